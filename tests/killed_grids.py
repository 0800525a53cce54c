"""Grids whose arm is killed in the middle of a cell, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dying import dies_over
from in_process_arms import InProcess

from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import run_plan


def samples(root: Path) -> dict[str, bytes]:
    """Return the logged samples by cell: they are the same however they came about."""
    logs = (root / "cells").rglob("samples_*.jsonl")
    return {path.parent.name: path.read_bytes() for path in logs}


def kill_midway(plan: Plan, root: Path, folder: Path, cell: str, opening: int) -> Path:
    """Have ``qrag run`` begin a grid, whose arm is killed as it keeps answers of a cell.

    :param folder: for files of this function.
    :param opening: which opening of the file of answers to be written is the last.
    :returns: the file of answers.
    """
    file = folder / "plan.yaml"
    file.write_text(plan.model_dump_json(exclude_none=True), encoding="utf-8")
    killed = subprocess.run(
        [sys.executable, "-m", "qrag_tasks.cli", "run", str(file), "--out", str(root)],
        env={**os.environ, **dies_over(f"{cell}/answers.jsonl", folder, opening)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == 1, killed.stderr
    assert "its process ended with signal 9" in killed.stderr
    (kept,) = root.rglob(f"{cell}/answers.jsonl")
    return kept


def check_that_a_killed_grid_goes_on(plan: Plan, folder: Path) -> None:
    """Hold a grid that was killed, and went on, to one that nobody disturbed.

    :param plan: of one arm, with the cells ``lamp3u_rag_k0`` and ``lamp3u_rag_k1``.
    """
    whole, root = folder / "whole", folder / "grid"
    assert not run_plan(plan, whole, launcher=InProcess()).failed
    kept = kill_midway(plan, root, folder, "lamp3u_rag_k1", opening=4)
    before = kept.read_bytes()
    _header, *answers = before.splitlines()
    assert 0 < len(answers) < (plan.limit or 0)
    assert not run_plan(plan, root, launcher=InProcess()).failed
    assert kept.read_bytes().startswith(before)
    assert len(kept.read_bytes().splitlines()) == 1 + (plan.limit or 0)
    assert samples(root) == samples(whole)
