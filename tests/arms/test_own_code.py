"""Models that bring code of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qrag_tasks.errors import ModelError

pytest.importorskip("torch", reason="the hf extra is not installed")
from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.quantizing.source import read_source

Command = Callable[..., subprocess.CompletedProcess[str]]

CONFIGURATION = """
from transformers import LlamaConfig


class BirdsongConfig(LlamaConfig):
    model_type = "birdsong"
"""
MODEL = """
from transformers import LlamaForCausalLM

from .configuration_birdsong import BirdsongConfig


class BirdsongForCausalLM(LlamaForCausalLM):
    config_class = BirdsongConfig
"""


@pytest.fixture
def own_code(tiny_model: Path, tmp_path: Path) -> Path:
    """A model that transformers does not know, with the code that runs it."""
    folder = tmp_path / "birdsong"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "birdsong",
        "architectures": ["BirdsongForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_birdsong.BirdsongConfig",
            "AutoModelForCausalLM": "modeling_birdsong.BirdsongForCausalLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_birdsong.py").write_text(CONFIGURATION)
    (folder / "modeling_birdsong.py").write_text(MODEL)
    return folder


def test_the_commands_own_option_trusts_it(
    lm_eval_command: Command, own_code: Path, tmp_path: Path
) -> None:
    done = lm_eval_command(
        *("--model", "qrag", "--model_args", f"pretrained={own_code}", "--trust_remote_code"),
        *("--tasks", "lamp3u_rag_k1", "--limit", 2, "--metadata", '{"data": "mini"}'),
        *("--device", "cpu", "--output_path", tmp_path / "out"),
        HF_HOME=str(tmp_path / "hf"),
    )
    assert done.returncode == 0, done.stderr
    assert "custom code?" not in done.stdout


def test_without_trust_it_is_refused_and_nobody_is_asked(
    own_code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "n")
    with pytest.raises(ModelError, match=r"run only if you trust it: .*trust_remote_code=True"):
        model_text({"pretrained": str(own_code)})
    with pytest.raises(ModelError, match="code of its own"):
        read_source(str(own_code))
    assert asked == []
