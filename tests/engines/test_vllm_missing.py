"""Where vLLM is not installed, and where what only it makes is asked of transformers."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.arms.engine_choice import check_model
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.locations import embedded_model


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_the_error_has_the_command_that_brings_it() -> None:
    arguments = {"pretrained": str(embedded_model()), "engine": "vllm", "precision": "bf16"}
    with pytest.raises(ModelError, match=r"pip install 'qrag-tasks\[vllm\]'"):
        check_model("qrag", arguments)


def test_transformers_does_not_make_fp8() -> None:
    arguments = {"pretrained": str(embedded_model()), "precision": "fp8"}
    with pytest.raises(SettingsError, match=r"precision=fp8: .*give engine=vllm, too$"):
        check_model("qrag", arguments)


def test_vllm_makes_no_int8() -> None:
    arguments = {"pretrained": str(embedded_model()), "engine": "vllm", "precision": "int8"}
    with pytest.raises(SettingsError, match="engine=vllm cannot load it"):
        check_model("qrag", arguments)
