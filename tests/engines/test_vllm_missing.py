"""Where vLLM is not installed, and where what only it makes is asked of transformers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.arms.engine_choice import check_model
from qrag_tasks.engines.ways import Machine, ways
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.locations import embedded_model


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_the_error_has_the_command_that_brings_it() -> None:
    arguments = {"pretrained": str(embedded_model()), "engine": "vllm", "precision": "bf16"}
    with pytest.raises(ModelError, match=r"pip install 'qrag-tasks\[vllm\]'"):
        check_model("qrag", arguments)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_a_folder_of_its_name_is_not_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone of vLLM's sources in the folder at work, say, which Python would import as empty."""
    (tmp_path / "vllm").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert importlib.util.find_spec("vllm") is not None
    (plain,) = (way for way in ways() if (way.engine, way.row.name) == ("vllm", "fp16"))
    assert [lack.what for lack in Machine(frozenset({"cpu"})).lacks(plain)] == ["vllm"]
    arguments = {"pretrained": str(embedded_model()), "engine": "vllm", "precision": "bf16"}
    with pytest.raises(ModelError, match="engine=vllm needs vllm"):
        check_model("qrag", arguments)


def test_transformers_does_not_make_fp8() -> None:
    arguments = {"pretrained": str(embedded_model()), "precision": "fp8"}
    with pytest.raises(SettingsError, match=r"precision=fp8: .*give engine=vllm, too$"):
        check_model("qrag", arguments)


def test_vllm_makes_no_int8() -> None:
    arguments = {"pretrained": str(embedded_model()), "engine": "vllm", "precision": "int8"}
    with pytest.raises(SettingsError, match="engine=vllm cannot load it"):
        check_model("qrag", arguments)
