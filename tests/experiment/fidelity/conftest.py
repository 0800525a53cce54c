"""A grid that is answered, and the same one read by its arms."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def answered(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid that is answered."""
    from in_process_arms import InProcess
    from read_grids import tiny_plan

    from qrag_tasks.experiment.running.grid import run_plan

    root = tmp_path_factory.mktemp("answered") / "grid"
    assert not run_plan(tiny_plan(tiny_model), root, launcher=InProcess()).failed
    return root


@pytest.fixture(scope="session")
def read(answered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, read by its arms."""
    from read_grids import TOP, read_here

    from qrag_tasks.experiment.fidelity import run

    root = tmp_path_factory.mktemp("read") / "grid"
    shutil.copytree(answered, root)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "_read", read_here)
        run.read_grid(root, TOP)
    return root


@pytest.fixture
def grid(answered: Path, tmp_path: Path) -> Path:
    """A copy of the one that is answered."""
    return Path(shutil.copytree(answered, tmp_path / "grid"))


@pytest.fixture
def whole(read: Path, tmp_path: Path) -> Path:
    """A copy of the one that is read."""
    return Path(shutil.copytree(read, tmp_path / "whole"))
