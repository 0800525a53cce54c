"""The benchmark of two GPUs, on two processes of a CPU: nothing is lost, and nothing differs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("ray", reason="the ray extra is not installed")

FOLDER = Path(__file__).parents[1] / "benchmarks" / "gpu"


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("two_gpus")


def test_two_processes_and_one_that_is_lost(
    two_gpus: Any, tiny_model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "speed.md"
    page.write_text(f"above\n{two_gpus.MARKS[0]}\n{two_gpus.MARKS[1]}\nbelow\n")
    report = two_gpus.main(
        [
            *(str(tiny_model), "--data", "mini", "--device", "cpu"),
            *("--arms", "bf16,int4-nf4", "--few", "8", "--seconds", "900"),
            *("--kinds", "ranks,deterministic,shards,lost,ray", "--limit", "4"),
            *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "two.json")),
            *("--page", str(page)),
        ]
    )
    rows = {row["name"]: row for row in report["rows"]}
    assert [row.get("error") for row in rows.values()] == [None] * len(rows), rows
    assert len(rows) == 9
    # Batches differ where two share the prompts; with one prompt a batch they do not.
    for name in ("deterministic on two GPUs", "a lost rank, continued"):
        assert rows[name]["equal"] == 1.0
    alone, both = (rows[f"deterministic on {n} GPU{s}"] for n, s in (("one", ""), ("two", "s")))
    assert (alone["ranks"], both["ranks"]) == (1, 2)
    for name in ("samples", "prompt_tokens", "generated_tokens", "identity"):
        assert alone[name] == both[name]
    lost = rows["a lost rank, continued"]
    assert 0 < lost["kept"] < lost["samples"] == 16
    assert lost["answered_again"] == 0
    grid = rows["grid whose arm was lost, continued"]
    assert grid["kept"] > 0
    assert grid["equal"] == rows["grid of two arms, by --launcher ray"]["equal"] == 1.0
    assert "| a lost rank, continued |" in page.read_text()


def test_a_part_that_fails_is_a_row(two_gpus: Any, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    report = two_gpus.main(
        [
            *(str(nothing), "--data", "mini", "--device", "cpu", "--arms", "bf16"),
            *("--kinds", "ranks", "--limit", "4", "--seconds", "900"),
            *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "two.json")),
        ]
    )
    assert [row["name"] for row in report["rows"]] == [
        "transformers bf16 on one GPU",
        "transformers bf16 on two GPUs",
    ]
    assert all("nothing" in row["error"] for row in report["rows"])
