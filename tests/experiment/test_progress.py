"""How far a run has come, and at what pace."""

from __future__ import annotations

from pathlib import Path

import pytest
from grid_folders import answer, complete, grid_folder, small_plan

from qrag_tasks.experiment.running.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time: a list of one number of seconds."""
    now = [0.0]
    monkeypatch.setattr("qrag_tasks.experiment.running.progress.time.monotonic", lambda: now[0])
    return now


def test_what_is_left_counts_by_documents() -> None:
    none, one, *_ = small_plan().cells()
    progress = Progress({none: 6, one: 6})
    assert progress.work() == (0, 6 * 1 + 6 * 2)
    progress.answered[one] = 2
    assert progress.work() == (4, 6 + 8)
    progress.failed[one] = "why"
    assert progress.work() == (4, 6)


def test_what_earlier_runs_answered_is_no_pace_of_this_one(
    tmp_path: Path, clock: list[float]
) -> None:
    """Whole cells and answers of a cell that was cut short: both took this run no time."""
    plan = small_plan()
    none, one, *_ = cells = plan.cells()
    grid = grid_folder(tmp_path / "grid", plan)
    complete(grid, none)
    answer(grid, one, answers=90, tokens=9_000, seconds=60.0)
    progress = Progress(dict.fromkeys(cells, 100))
    progress.begin(grid)
    assert progress.work() == (100 + 2 * 90, 2 * 10 + 100 + 2 * 100)
    clock[0] = 30.0
    progress.look(grid, [none, one])
    assert progress.seconds_left is None
    answer(grid, one, answers=5, tokens=500, seconds=6.0)
    clock[0] = 40.0
    progress.look(grid, [none, one])
    # 10 sample-documents in 40 s, and 310 are left.
    assert progress.seconds_left == 40.0 * 310 / 10


def test_the_arm_at_work_is_named_with_its_pace(tmp_path: Path) -> None:
    plan = small_plan()
    none, one, *others = cells = plan.cells()
    grid = grid_folder(tmp_path / "grid", plan)
    answer(grid, none, answers=1, tokens=100, seconds=1.0)
    arms = {none.arm: [none, one], others[0].arm: others}
    progress = Progress(dict.fromkeys(cells, 4))
    progress.begin(grid)

    def doing() -> str:
        for members in arms.values():
            progress.look(grid, members)
        progress.tell_of_arms(arms)
        return progress.doing

    # What an earlier run had answered is no sign that the model is loaded by now.
    assert doing() == "arm 1/2: loading llama/bf16"
    answer(grid, none, answers=3, tokens=2_300, seconds=1.0)
    assert doing() == "arm 1/2, 1,200 tokens/s: llama/bf16/lamp3u_rag_k0"
    complete(grid, none)
    assert doing() == "arm 1/2, 1,200 tokens/s: llama/bf16/bm25/lamp3u_rag_k1"
    grid.cell(one).fail("out of memory")
    assert doing() == "arm 2/2: loading llama/int8"
    complete(grid, *others)
    assert doing() == ""
