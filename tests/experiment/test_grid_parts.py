"""The folder of a grid and the parts of it: who may run what into which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from grid_folders import small_plan

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.launchers import Handle, Work
from qrag_tasks.experiment.running.shards import Shard


@pytest.fixture
def plan() -> Plan:
    """A plan of eight cells."""
    return small_plan(tasks=["lamp3u", "lamp5u"])


@pytest.mark.parametrize("count", range(1, 12))
def test_every_cell_is_in_one_part(plan: Plan, count: int) -> None:
    cells = plan.cells()
    parts = [Shard(number, count).of(cells) for number in range(1, count + 1)]
    assert [cell for part in parts for cell in part] == list(cells)
    if count <= 4:
        assert all(parts)


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/0"])
def test_a_part_that_is_none(text: str) -> None:
    with pytest.raises(PlanError, match=r"give the number of this part and of all parts"):
        Shard.parse(text)
    assert Shard.parse(" 2/4 ") == Shard(2, 4)


def test_a_plan_is_not_replaced_under_a_run(plan: Plan, tmp_path: Path) -> None:
    """The arms of another part read it when they start, and would answer cells of the new one."""
    grid = GridFolder(tmp_path, plan)
    grid.write_plan()
    edited = plan.model_copy(update={"k": ("0", "1", "5")})
    with grid.alone("1-of-2"):
        with pytest.raises(PlanError, match=r"is at work in .* with another plan, or this one"):
            run_plan(edited, tmp_path, Shard(2, 2))
        assert GridFolder.at(tmp_path).plan == plan
        # How it will be compared is nothing that an arm reads.
        GridFolder(tmp_path, plan.model_copy(update={"base": "int8"})).check_others("2-of-2")
    GridFolder(tmp_path, edited).check_others("2-of-2")


def test_a_folder_with_something_else_in_it(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(PlanError, match="holds something, and no grid"):
        run_plan(plan, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_that_was_killed_at_its_very_start_is_run_again(plan: Plan, tmp_path: Path) -> None:
    """It has left its lock, and a plan that is written to the half, and is no other's folder."""
    (tmp_path / ".run-1-of-1.lock").touch()
    (tmp_path / ".plan.json.4711").write_text('{"na', encoding="utf-8")
    GridFolder(tmp_path, plan).write_plan()
    assert GridFolder.at(tmp_path).plan == plan


def test_a_cell_that_leaves_no_word_counts_as_failed(plan: Plan, tmp_path: Path) -> None:
    """As where its folder cannot be written, and so not even why."""

    class Idle:
        @contextmanager
        def started(self, grid: GridFolder, work: Work) -> Iterator[Handle]:
            log = grid.log(plan.arms()[0])
            log.parent.mkdir(parents=True)
            log.write_text("Permission denied\n")
            yield self

        def done(self) -> bool:
            return True

    progress = run_plan(plan, tmp_path / "grid", launcher=Idle())
    assert not progress.complete
    assert set(progress.failed) == set(plan.cells())
    reasons = {cell.arm.precision: why for cell, why in progress.failed.items()}
    assert reasons["bf16"].startswith("not made: Permission denied (see ")
    assert "its process was not started" in reasons["int8"]
