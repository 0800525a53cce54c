"""The benchmark of two GPUs, on two processes of a CPU: nothing is lost, and nothing differs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("ray", reason="the ray extra is not installed")

pytestmark = pytest.mark.usefixtures("ray_at_once")

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu" / "two_gpus.py"


def rows_of(model: Path, folder: Path, *options: str) -> list[dict[str, Any]]:
    """Run the benchmark on a CPU; return its rows."""
    out = folder / "two.json"
    command = [
        *(sys.executable, str(SCRIPT), str(model), "--data", "mini", "--device", "cpu"),
        *("--work", str(folder / "work"), "--out", str(out), "--seconds", "900", *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return rows


def test_two_processes_and_one_that_is_lost(tiny_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text("above\n<!-- two GPUs: begin -->\n<!-- two GPUs: end -->\nbelow\n")
    found = rows_of(
        *(tiny_model, tmp_path, "--arms", "bf16,int4-nf4", "--few", "6"),
        *("--kinds", "deterministic,shards,lost,ray", "--page", str(page)),
    )
    assert [row.get("error") for row in found] == [None] * 6, found
    rows = {row["name"]: row for row in found}
    alone, both = (rows[f"deterministic on {n} GPU{s}"] for n, s in (("one", ""), ("two", "s")))
    assert (alone["ranks"], both["ranks"], both["equal"]) == (1, 2, 1.0)
    for name in ("samples", "prompt_tokens", "generated_tokens", "identity"):
        assert alone[name] == both[name]
    lost = rows["a lost rank, continued"]
    assert 0 < lost["kept"] < lost["samples"] == 12
    assert (lost["equal"], lost["answered_again"]) == (1.0, 0)
    grid = rows["grid whose arm was lost, continued"]
    assert grid["kept"] > 0
    assert grid["equal"] == rows["grid of two arms, by --launcher ray"]["equal"] == 1.0
    assert "| a lost rank, continued |" in page.read_text()


def test_a_part_that_fails_is_a_row(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    rows = rows_of(nothing, tmp_path, "--arms", "bf16", "--kinds", "ranks", "--limit", "4")
    assert [row["name"] for row in rows] == [
        "transformers bf16 on one GPU",
        "transformers bf16 on two GPUs",
    ]
    assert all("nothing" in row["error"] for row in rows)
