"""How far a grid is, told from its folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from grid_folders import answer, complete, grid_folder, small_plan

from qrag_tasks.errors import PlanError, StoreError
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.progress import Progress
from qrag_tasks.experiment.running.run_notes import RunNotes
from qrag_tasks.experiment.running.shards import Shard, whole_grid
from qrag_tasks.experiment.running.status import status_of


def test_cells_are_counted_by_arm(tmp_path: Path) -> None:
    plan = small_plan()
    none, one, *_ = plan.cells()
    grid = grid_folder(tmp_path, plan)
    complete(grid, none)
    answer(grid, one, answers=3, tokens=30, seconds=1.0)
    grid.cell(plan.cells()[2]).fail("out of memory")
    status = status_of(tmp_path)
    counts = [(arm.arm.name, arm.complete, arm.failed, arm.left) for arm in status.arms]
    assert counts == [("llama/bf16", 1, 0, 1), ("llama/int8", 0, 1, 1)]
    assert list(status.failed.values()) == ["out of memory"]
    assert status.parts == []
    assert status.parts_to_run() == [whole_grid()]
    complete(grid, *plan.cells())
    assert status_of(tmp_path).parts_to_run() == []


def test_a_run_is_seen_while_it_is_at_work_and_after(tmp_path: Path) -> None:
    """By a real run, whose arm cannot be had: it fails, in an arm's own process."""
    root = tmp_path / "grid"
    plan = small_plan(precisions=["bf16"], k=[0], limit=2)
    seen = []
    file = tmp_path / "plan.yaml"
    run_plan(plan, root, tell=lambda _: seen.append(status_of(root)), file=file, options=["--x"])
    (during,) = seen[0].parts
    assert during.at_work
    assert during.note is not None
    assert during.note.doing == "arm 1/1: loading llama/bf16"
    assert seen[0].parts_to_run() == []
    (after,) = status_of(root).parts
    assert not after.at_work
    assert after.note is not None
    assert (after.note.plan, after.note.options) == (str(file), ("--x",))
    assert (after.note.doing, after.note.answered, after.note.samples) == ("", 0, 2)
    assert after.note.seen >= during.note.seen >= after.note.begun == during.note.begun
    assert status_of(root).parts_to_run() == [whole_grid()]


def test_the_parts_of_the_last_division_count(tmp_path: Path) -> None:
    plan = small_plan(k=[0, 1, 5])
    grid = grid_folder(tmp_path, plan)
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    progress = Progress(dict.fromkeys(plan.cells(), 9), answered={plan.cells()[0]: 4})
    # The second of three was begun last; an earlier run was of the whole.
    for shard in (whole_grid(), shards[1]):
        with grid.alone(shard.name):
            RunNotes(grid, shard, None, ()).note(progress)
    status = status_of(tmp_path)
    assert [part.shard for part in status.parts] == [shards[1]]
    assert status.parts_to_run() == shards
    with grid.alone(shards[0].name):
        complete(grid, *shards[2].of(plan.cells()))
        assert status_of(tmp_path).parts_to_run() == [shards[1]]
        assert [part.at_work for part in status_of(tmp_path).parts] == [True, False]


def test_a_merge_at_work_is_seen(tmp_path: Path) -> None:
    grid = grid_folder(tmp_path, small_plan())
    with grid.alone("merge"):
        assert status_of(tmp_path).is_merged_now
    assert not status_of(tmp_path).is_merged_now


def test_to_look_keeps_no_run_out(tmp_path: Path) -> None:
    """Who looks holds the lock for a moment, and a run that begins just then waits for it."""
    grid = grid_folder(tmp_path, small_plan())
    with grid.alone("1-of-1"):
        pass
    before = sorted(tmp_path.rglob("*"))
    for _ in range(3):
        assert not status_of(tmp_path).parts[0].at_work
        with grid.alone("1-of-1"):
            assert status_of(tmp_path).parts[0].at_work
    assert sorted(tmp_path.rglob("*")) == before


def test_where_the_lock_cannot_be_opened_nobody_can_tell(tmp_path: Path) -> None:
    """As in a folder of another user's; a directory in its place refuses root as well."""
    grid_folder(tmp_path, small_plan())
    (tmp_path / ".run-1-of-1.lock").mkdir()
    (part,) = status_of(tmp_path).parts
    assert part.at_work is None


def test_what_a_cell_was_made_with_is_told(tmp_path: Path) -> None:
    plan = small_plan(models=[{"name": "llama", "pretrained": "a", "args": {"max_length": 900}}])
    grid = grid_folder(tmp_path, plan)
    complete(grid, plan.cells()[0])
    message = "now {}. Run into another folder, or remove that one to have it made again."
    for changes, differing in (
        ({"answer_tokens": 9}, "(max_gen_toks was not given and is 9)"),
        (
            {"seed": 1, "data": "./lamp", "models": [{"name": "llama", "pretrained": "b"}]},
            "(pretrained was a and is b, max_length was 900 and is not given, data was mini and is "
            "./lamp, seed was 0 and is 1)",
        ),
    ):
        grid_folder(tmp_path, small_plan(**{"models": plan.model_dump()["models"], **changes}))
        with pytest.raises(PlanError, match=re.escape(message.format(differing))):
            status_of(tmp_path)
    # Releases before wrote a digest alone.
    marker = next(tmp_path.rglob("complete.json"))
    marker.write_text('{"key": "x", "files": {}}', encoding="utf-8")
    with pytest.raises(PlanError, match=re.escape(message.format("").replace(" .", "."))):
        status_of(tmp_path)


def test_what_is_damaged_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"holds no grid: there is no plan\.json"):
        status_of(tmp_path)
    plan = small_plan()
    grid = grid_folder(tmp_path, plan)
    (tmp_path / "runs").mkdir()
    cell = grid.cell(plan.cells()[0]).path
    cell.mkdir(parents=True)
    again = "damaged; remove it to have its cell made again"
    for path, text, told in (
        (tmp_path / "runs" / "1-of-1.json", "{}", "no note of a run that this release reads"),
        (tmp_path / "runs" / "1-of-1.json", "[", "damaged; remove it"),
        (cell / "complete.json", "{}", again),
        (cell / "complete.json", "[]", again),
        (cell / "failed.json", "3", again),
        (tmp_path / "plan.json", '{"na', "damaged; run its plan again to have it written"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StoreError, match=told):
            status_of(tmp_path)
        path.unlink()
    (tmp_path / "plan.json").write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(PlanError, match=r"plan.json is not a plan .*: models: this field is miss"):
        GridFolder.at(tmp_path)
