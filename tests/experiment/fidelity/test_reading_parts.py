"""Several processes read one grid: parts share the base arm's cells, and wait for its answers."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from click.testing import CliRunner
from filelock import FileLock
from in_process_arms import InProcess
from read_grids import TOP, left, read_here, reads, tiny_plan
from warm_python import WarmPython

from qrag_tasks.cli import main
from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.fidelity import reading, run
from qrag_tasks.experiment.fidelity.places import reads_of
from qrag_tasks.experiment.fidelity.run import read_grid, readings_of
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.plan.planned_fidelity import OWN
from qrag_tasks.experiment.running.arm import load
from qrag_tasks.experiment.running.grid import Progress, run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.shards import Shard


def test_a_cell_that_another_process_reads_is_left_to_it(grid: Path) -> None:
    wanted = reads(grid, "fp32")
    lm = load(wanted[0].cell.arm)
    with FileLock(wanted[0].folder.path / ".readings.lock"):
        reading.read_cells(lm, wanted, wait=False)
    assert [each.done for each in wanted] == [False, True, True, True]
    reading.read_cells(lm, wanted)
    assert all(each.done for each in wanted)


def test_parts(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads its own cells of the other arms, and what these need of the base arm first."""
    asked: list[tuple[str, list[str]]] = []

    def noted(at: GridFolder, arm: Arm, cells: list[Cell], top: int | None) -> None:
        asked.append((arm.precision, [cell.task_name for cell in cells]))
        read_here(at, arm, cells, top)

    monkeypatch.setattr(run, "_read", noted)
    read_grid(grid, TOP, shard=Shard(2, 2))
    assert [arm for arm, _ in asked] == ["fp32", "bf16"]
    (_, of_base), (_, second) = asked
    assert sorted(of_base) == sorted(second)
    asked.clear()
    read_grid(grid, TOP, ["llama/bf16"], Shard(1, 2))
    (_, of_base), (_, first) = asked
    assert sorted(of_base) == sorted(first)
    assert len({*first, *second}) == 4
    assert left(grid) == set()
    asked.clear()
    read_grid(grid, TOP)
    assert asked == []


def test_what_a_part_of_a_run_cannot_read_yet(tiny_model: Path, tmp_path: Path) -> None:
    plan = tiny_plan(tiny_model, tasks=["lamp5u"], fidelity={"answers": ["own"]}, limit=2)
    grid = tmp_path / "grid"
    second = run_plan(plan, grid, Shard(2, 2), InProcess())
    # The base arm's cells are in the first part.
    assert {cell.arm.precision for cell in second.unread} == {"bf16"}
    assert not any(each.done for each in reads_of(GridFolder.at(grid)))
    first = run_plan(plan, grid, Shard(1, 2), InProcess())
    assert {cell.arm.precision for cell in first.unread} == {"bf16"}
    told = CliRunner().invoke(main, ["status", str(grid)]).stdout
    assert "tiny: 4 of 4 cells complete, 2 of them read" in told
    assert f"Next: qrag fidelity {grid}" in told
    read_grid(grid)
    assert [each.kind for each in readings_of(grid)] == [OWN, OWN]
    assert "4 of them read" in CliRunner().invoke(main, ["status", str(grid)]).stdout
    assert not run_plan(plan, grid, launcher=InProcess()).unread


# ---------------------------------------------------------------------- the base arm's answers
FIRST_PART = """
import shutil, sys, time
from contextlib import contextmanager
from pathlib import Path
from qrag_tasks.experiment.fidelity import run
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.shards import Shard

plan, root, answered = Plan.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

class MadeElsewhere:
    @contextmanager
    def started(self, grid, work):
        while not (root / "go").exists():
            time.sleep(0.02)
        if sys.argv[4] == "dies":
            sys.exit(7)
        for _, cells in work:
            for cell in cells:
                shutil.copytree(answered / "cells" / cell.folder, grid.cell(cell).path)
        yield self

    def done(self):
        return True

run._read = lambda *_: None  # which takes a model
run_plan(plan, root, Shard(1, 2), MadeElsewhere())
"""
"""The part of the base arm; its answers come, or do not, once the file ``go`` is there."""


@pytest.fixture
def parts(tiny_model: Path, answered: Path, tmp_path: Path) -> tuple[Plan, Path]:
    """A plan of two parts, the second of which is answered; and its folder."""
    plan = tiny_plan(tiny_model, fidelity={"answers": ["own"], "top": TOP})
    root = tmp_path / "grid"
    GridFolder(root, plan).write_plan()
    for cell in Shard(2, 2).of(plan.cells()):
        shutil.copytree(answered / "cells" / cell.folder, root / "cells" / cell.folder)
    return plan, root


@contextmanager
def first_part(
    warm: WarmPython, plan: Plan, root: Path, answered: Path, how: str = "answers"
) -> Iterator[None]:
    """Run the first part in a process of its own, which answers from now on."""
    arguments = [plan.model_dump_json(), str(root), str(answered), how]
    with warm.popen([sys.executable, "-c", FIRST_PART, *arguments]) as other:
        try:
            while not GridFolder(root, plan).is_answering("1-of-2"):
                assert other.poll() is None
                time.sleep(0.05)
            yield
            assert other.wait(60) == (7 if how == "dies" else 0)
        finally:
            if other.poll() is None:
                other.kill()


def going(root: Path, told: list[str]) -> Callable[[str], None]:
    """Note what is told, and let the first part go on once it is waited for."""

    def tell(text: str) -> None:
        if text not in told:
            told.append(text)
        if text.startswith("waiting for "):
            (root / "go").touch()

    return tell


WAITING = (
    "waiting for part 1/2 of `qrag run` to answer 4 cells, such as llama/fp32/bm25/lamp3u_rag_k1"
)


def run_the_second_part(plan: Plan, root: Path, tell: Callable[[str], None]) -> Progress:
    return run_plan(plan, root, Shard(2, 2), InProcess(), lambda now: tell(now.doing))


def test_a_part_of_a_run_waits_for_the_answers_of_another(
    parts: tuple[Plan, Path],
    answered: Path,
    warm_python: WarmPython,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "_read", read_here)
    told: list[str] = []
    with first_part(warm_python, *parts, answered):
        second = run_the_second_part(*parts, going(parts[1], told))
    assert WAITING in told
    assert not second.unread
    assert [each.kind for each in readings_of(parts[1])] == [OWN] * 4


def test_a_part_does_not_wait_for_one_that_has_died(
    parts: tuple[Plan, Path],
    answered: Path,
    warm_python: WarmPython,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    with first_part(warm_python, *parts, answered, "dies"):
        second = run_the_second_part(*parts, going(parts[1], told))
    assert WAITING in told
    assert {cell.arm.precision for cell in second.unread} == {"bf16"}
    assert len(second.complete) == 4


def test_the_command_that_reads_waits_for_answers(
    parts: tuple[Plan, Path],
    answered: Path,
    warm_python: WarmPython,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "_read", read_here)
    _, root = parts
    with pytest.raises(PlanError, match="is not complete: run the plan first"):
        read_grid(root, shard=Shard(1, 2))
    told: list[str] = []
    with first_part(warm_python, *parts, answered):
        read_grid(root, shard=Shard(1, 2), tell=going(root, told))
    assert told[0].startswith("waiting for part 1/2 of `qrag run` to answer ")
    assert len(list(readings_of(root))) == 2
