"""``qrag status``: what it prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from grid_folders import complete, grid_folder, small_plan
from printed_tables import row_of

from qrag_tasks.cli import main
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.progress import Progress
from qrag_tasks.experiment.running.run_notes import RunNotes
from qrag_tasks.experiment.running.shards import Shard, whole_grid


def status(folder: Path) -> Result:
    return CliRunner().invoke(main, ["status", str(folder)])


def noted(grid: GridFolder, shard: Shard, *options: str, answered: int = 0) -> None:
    """Leave the note of a run that answered so much in no time."""
    cells = grid.plan.cells()
    progress = Progress(dict.fromkeys(cells, 10), {cells[0]: answered} if answered else {})
    progress.doing = "arm 1/2: loading llama/bf16"
    RunNotes(grid, shard, Path("my plan.yaml"), options).note(progress)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GridFolder:
    monkeypatch.chdir(tmp_path)
    return grid_folder(Path("grid"), small_plan())


def test_while_it_is_run(grid: GridFolder) -> None:
    noted(grid, whole_grid(), answered=5)
    complete(grid, grid.plan.cells()[0])
    with grid.alone("1-of-1"):
        done = status(grid.root)
    assert done.exit_code == 0
    assert done.output.startswith("small: 1 of 4 cells complete\n")
    assert row_of(done.output, "llama/bf16") == ["1", "0", "1"]
    assert row_of(done.output, "llama/int8") == ["0", "0", "2"]
    *_, running, doing, left, following = done.output.splitlines()
    assert running.startswith("Running now, for 0:00:0")
    assert running.endswith(f", in process {os.getpid()} on {os.uname().nodename}.")
    assert doing == "arm 1/2: loading llama/bf16"
    assert left == "5 of 40 samples are answered, about 0:00:00 left."
    assert following == "Next when the run has ended: qrag compare grid"


def test_when_it_was_stopped(grid: GridFolder) -> None:
    noted(grid, whole_grid(), answered=5)
    first, second, *_ = grid.plan.cells()
    grid.cell(first).fail("out of memory")
    grid.cell(second).fail("out of memory")
    *_, running, left, failed, following = status(grid.root).output.splitlines()
    assert running.startswith(f"Not running now. The last run, process {os.getpid()} on ")
    assert ", took 0:00:00, until 2" in running
    assert left == "5 of 40 samples are answered, about 0:00:00 left at that pace."
    assert failed == f"failed: {first.folder} and 1 more: out of memory"
    assert following == "Next: qrag run 'my plan.yaml' --out grid"


def test_in_parts(grid: GridFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted(grid, Shard(2, 2), "--launcher", "ray")
    lines = status(grid.root).output.splitlines()
    assert lines[-4].startswith("Part 2/2: Not running now.")
    assert lines[-3] == "Part 2/2: 0 of 40 samples are answered."
    for number in (1, 2):
        command = f"qrag run 'my plan.yaml' --out grid --launcher ray --shard {number}/2"
        assert lines[-3 + number] == f"Next: {command}"
    # From another folder, the plan is named in full.
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert f"qrag run '{tmp_path}/my plan.yaml' --out ../grid " in status(Path("../grid")).output


def test_when_it_is_whole(grid: GridFolder) -> None:
    assert "Next: qrag run PLAN.yaml --out grid" in status(grid.root).output
    complete(grid, *grid.plan.cells())
    done = status(grid.root)
    assert done.output.startswith("small: 4 of 4 cells complete\n")
    assert done.output.endswith("\n\nNext: qrag compare grid\n")


def test_without_a_grid(tmp_path: Path) -> None:
    done = status(tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "holds no grid: there is no plan.json; `qrag run` makes one" in done.stderr
