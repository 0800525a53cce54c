"""The folders that model arguments name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from qrag_tasks.arms.arguments import check_arguments
from qrag_tasks.arms.places import (
    local_folder,
    whole_place,
    with_whole_places,
)
from qrag_tasks.errors import ModelError


def test_the_home_folder_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    given = {"pretrained": "~/m", "tokenizer": "~", "peft": "~/a", "delta": "x/~y", "dtype": "~/m"}
    whole = {"pretrained": "/h/m", "tokenizer": "/h", "peft": "/h/a", "delta": "x/~y"}
    assert with_whole_places(given) == {**whole, "dtype": "~/m"}
    assert whole_place("~nobody-of-that-name/m") == "~nobody-of-that-name/m"


def test_what_cannot_be_the_folder_of_a_model_is_told_before_hf_loads(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def told(**arguments: str) -> str:
        with pytest.raises(ModelError) as caught:
            check_arguments("hf", arguments)
        return str(caught.value)

    weights = tmp_path / "packed" / "b.Q4_K_M.gguf"
    weights.parent.mkdir()
    weights.write_bytes(b"GGUF")
    both = f"pretrained={weights.parent},gguf_file=b.Q4_K_M.gguf"
    itself = f"is a GGUF file: give --model qrag pretrained={weights},engine=llama_cpp"
    assert itself in told(pretrained=str(weights))
    assert told(pretrained="~/packed/b.Q4_K_M.gguf").endswith(both)
    assert "It holds b.Q4_K_M.gguf. Give --model qrag pretrained=" in told(pretrained="~/packed")
    assert "no such file in" in told(pretrained="~/packed", gguf_file="a.gguf")
    assert "pretrained=~/nothing: no such folder" in told(pretrained="~/nothing")
    assert "no such folder: " in told(pretrained=str(tiny_model), subfolder="inner")
    assert "is a file: name the folder" in told(pretrained=str(tiny_model / "config.json"))

    check_arguments("hf", {"pretrained": "~/packed", "gguf_file": "b.Q4_K_M.gguf"})
    assert "pretrained=~/packed/b.Q4_K_M.gguf,engine=llama_cpp runs the file itself" in caplog.text
    shutil.copytree(tiny_model, tmp_path / "whole" / "inner")
    check_arguments("hf", {"pretrained": "~/whole", "subfolder": "inner"})


def test_a_name_is_looked_for_on_the_hub() -> None:
    assert local_folder("somebody/some-model") is None


@pytest.mark.parametrize("model", ["hf", "qrag"])
def test_an_adapter_that_cannot_be_had_is_told_before_the_model_loads(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    def told(**arguments: str) -> str:
        with pytest.raises(ModelError) as caught:
            check_arguments(model, {"pretrained": str(tiny_model), **arguments})
        return str(caught.value)

    assert told(delta="~/nothing-here") == "delta=~/nothing-here: no such folder"
    assert told(peft="./nothing-here") == "peft=./nothing-here: no such folder"
    assert "holds no adapter_config.json: name" in told(peft=str(tiny_model))
    (tmp_path / "adapter_config.json").write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert told(peft=str(tmp_path)).endswith("needs peft: pip install peft")
