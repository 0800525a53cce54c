"""``qrag quantize``: the command around it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from warm_python import WarmPython

from qrag_tasks.cli import main

pytest.importorskip("torch", reason="the hf extra is not installed")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["quantize", *map(str, arguments)])


def test_it_says_what_it_made(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = run(tiny_model, "--precision", "int4-nf4", "--out", out, "--seed", 7)
    assert done.exit_code == 0, done.output
    assert f"{out}: int4-nf4, group size 64; " in done.stdout
    assert f"pretrained={out},precision=int4-nf4" in done.stdout
    assert json.loads((out / "qrag-quantization.json").read_text())["seed"] == 7


def test_errors_are_messages(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = run(tiny_model, "--precision", "int8", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: --out {tmp_path / 'out'}: is there already, as an empty")
    assert done.stdout == ""


@pytest.mark.parametrize("option", ["--calibration=mini", "--samples=9", "--max-tokens=99"])
def test_calibration_is_refused_where_nothing_is_calibrated(
    tiny_model: Path, tmp_path: Path, option: str
) -> None:
    done = run(tiny_model, "--precision", "int8", "--out", tmp_path / "out", option)
    assert done.exit_code == 1
    assert "int8 takes no calibration" in done.stderr


needs_gptqmodel = pytest.mark.skipif(
    importlib.util.find_spec("gptqmodel") is None, reason="the gptq extra is not installed"
)


def run_gptqmodel(
    warm: WarmPython, model: Path, precision: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as a user does; into ``folder / "out"``."""
    command = ["-m", "qrag_tasks.cli", "quantize", str(model), "--precision", precision]
    (folder / "here").mkdir()
    environment = {**os.environ, "QRAG_CACHE": str(folder / "cache")}
    environment.pop("GPTQMODEL_CPU_WORKERS", None)
    command += ["--out", str(folder / "out"), "--group-size", "32", "--samples", "4"]
    return warm.run([*command, "--device", "cpu"], environment, cwd=folder / "here")


@needs_gptqmodel
@pytest.mark.parametrize("precision", ["int4-gptq", "int4-awq"])
def test_gptqmodel_is_kept_quiet(
    warm_python: WarmPython, tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    done = run_gptqmodel(warm_python, tiny_model, precision, tmp_path)
    assert done.returncode == 0, done.stderr
    said, use = done.stdout.splitlines()
    assert said.startswith(f"{tmp_path / 'out'}: {precision}, group size 32, calibrated with 4 te")
    assert use.startswith("lm_eval --model qrag")
    assert "Quantizing layer" not in done.stderr
    assert "GPT-QModel" not in done.stderr
    assert not list((tmp_path / "here").iterdir())


@needs_gptqmodel
@pytest.mark.parametrize("precision", ["int4-gptq", "int4-awq"])
def test_a_failure_in_gptqmodels_threads_is_told_and_leaves_nothing(
    warm_python: WarmPython, tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_model, tmp_path / "broken")
    path = tmp_path / "broken" / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.0.mlp.gate_proj.weight"][0, 0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    done = run_gptqmodel(warm_python, tmp_path / "broken", precision, tmp_path)
    assert done.returncode == 1
    assert "Error: GPT-QModel failed: " in done.stderr
    assert done.stdout == ""
    assert sorted(each.name for each in tmp_path.iterdir()) == ["broken", "cache", "here"]
