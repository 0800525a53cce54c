"""``qrag run`` and ``qrag merge``: what they print, and their exit codes."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

pytest.importorskip("torch", reason="the hf extra is not installed")

from grid_folders import complete, grid_folder, small_plan
from in_process_arms import InProcess

from qrag_tasks.cli import main
from qrag_tasks.cli.grids import command, failures
from qrag_tasks.cli.run import _Shown
from qrag_tasks.experiment.plan import Plan, read_plan
from qrag_tasks.experiment.running.progress import Progress


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def plan(tiny_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(
        f"name: tiny\nmodels: [{{name: llama, pretrained: {tiny_model}}}]\n"
        "precisions: [bf16, int8]\ntasks: [lamp3u]\nk: [0]\nlimit: 2\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qrag_tasks.experiment.running.launchers.Here", InProcess)


def test_a_grid_in_parts_and_together(
    plan: Path, tmp_path: Path, warm_arms: None, request: pytest.FixtureRequest
) -> None:
    first = invoke("run", plan, "--out", tmp_path / "one", "--shard", "1/2")
    request.getfixturevalue("in_process")
    assert first.exit_code == 0, first.output
    assert "[1/1] llama/bf16/lamp3u_rag_k0 complete, " in first.stderr
    assert f"1 of 1 cells complete in {tmp_path}/one" in first.stdout
    half = invoke("merge", tmp_path / "one", "--out", tmp_path / "grid")
    assert half.exit_code == 1
    assert half.stderr == "missing: llama/int8/lamp3u_rag_k0\n"
    # The merged folder is a grid like any other: what is missing is made there.
    rest = invoke("run", plan, "--out", tmp_path / "grid")
    assert rest.exit_code == 0, rest.output
    assert f"Now compare its arms: qrag compare {tmp_path}/grid" in rest.stdout
    assert "1 cell is complete already" in rest.stderr
    assert "[2/2] llama/int8/lamp3u_rag_k0 complete, " in rest.stderr
    again = invoke("run", plan, "--out", tmp_path / "grid")
    assert (again.exit_code, again.stderr) == (0, "2 cells are complete already\n")
    whole = invoke("merge", tmp_path / "grid", tmp_path / "one", "--out", tmp_path / "all")
    assert whole.exit_code == 0
    assert "2 of 2 cells complete" in whole.stdout
    compared = invoke("compare", tmp_path / "all", "--resamples", "99")
    assert compared.exit_code == 0, compared.output
    assert "int8" in compared.stdout


@pytest.mark.usefixtures("in_process")
def test_what_fails_is_told_with_exit_code_1(plan: Path, tiny_model: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    # Sound file by file, so that nothing is wrong with it before it is loaded.
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps({**config, "vocab_size": 7}), encoding="utf-8")
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace(str(tiny_model), str(broken)), encoding="utf-8")
    done = invoke("run", plan, "--out", tmp_path / "grid")
    assert done.exit_code == 1
    assert "\nfailed: llama/bf16/lamp3u_rag_k0" in done.stderr
    assert f"(see {tmp_path}/grid/arms/llama/bf16.log)" in done.stderr
    assert "0 of 2 cells complete" in done.stdout
    assert "2 failed; the same command tries those again" in done.stdout


def test_an_arm_that_cannot_be_had_stops_the_run_before_its_first(
    plan: Path, tmp_path: Path
) -> None:
    text = plan.read_text(encoding="utf-8")
    plan.write_text(
        text.replace("}]", ", checkpoints: {int8: ./gone}, args: {max_lenght: 512}}]"),
        encoding="utf-8",
    )
    done = invoke("run", plan, "--out", tmp_path / "grid")
    assert done.exit_code == 1
    assert f"{plan}:2: models[0].args.max_lenght: max_lenght=512: unknown" in done.stderr
    assert (
        f"{plan}:2: models[0].checkpoints.int8: {tmp_path}/gone: there is no such folder"
    ) in done.stderr
    assert not (tmp_path / "grid").exists()


def test_an_arm_that_is_whole_needs_its_model_no_more(
    plan: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """Who is short of room may remove a model once it has answered."""
    gone = shutil.copytree(tiny_model, tmp_path / "gone")
    text = plan.read_text(encoding="utf-8").replace(str(tiny_model), str(gone))
    plan.write_text(text, encoding="utf-8")
    grid = grid_folder(tmp_path / "grid", read_plan(plan))
    shutil.rmtree(gone)
    first, second = grid.plan.cells()
    complete(grid, first)
    done = invoke("run", plan, "--out", grid.root)
    assert done.exit_code == 1
    assert "models[0].pretrained" in done.stderr
    assert invoke("run", plan, "--out", grid.root, "--shard", "1/2").exit_code == 0
    complete(grid, second)
    assert invoke("run", plan, "--out", grid.root).exit_code == 0


def test_how_long_the_rest_will_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pace of this run alone: what was there before took it no time."""
    clock = [0.0]
    monkeypatch.setattr("qrag_tasks.experiment.running.progress.time.monotonic", lambda: clock[0])
    plan = small_plan()
    before, *others = cells = plan.cells()
    grid = grid_folder(tmp_path, plan)
    complete(grid, before)
    screen = io.StringIO()
    shown = _Shown(Console(file=screen))
    progress = Progress(dict.fromkeys(cells, 10))
    progress.begin(grid)
    shown(progress)
    for cell, clock[0] in zip(others, (10.0, 40.0, 50.0), strict=True):
        complete(grid, cell)
        progress.look(grid, [cell])
        shown(progress)
    one, two, three = others
    assert screen.getvalue().splitlines() == [
        "1 cell is complete already",
        # 20 of 50 sample-documents in 10 s.
        f"[2/4] {one.folder} complete, 0:00:10, about 0:00:15 left",
        f"[3/4] {two.folder} complete, 0:00:40, about 0:00:27 left",
        f"[4/4] {three.folder} complete, 0:00:50",
    ]


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_that_is_refused_leaves_no_bar(begun: bool) -> None:
    screen = io.StringIO()
    shown = _Shown(Console(file=screen, force_terminal=True, width=80))
    with shown:
        assert "reading the data" in screen.getvalue()
        if begun:
            shown(Progress(dict.fromkeys(small_plan().cells(), 10)))
    erased = screen.getvalue().endswith("\x1b[1A\x1b[2K")
    assert erased is not begun


def test_commands_are_quoted_as_a_shell_wants_it() -> None:
    assert command("compare", Path("my grid")) == "qrag compare 'my grid'"


def test_cells_that_failed_for_one_reason_take_one_line() -> None:
    one, two, three, four = small_plan().cells()
    assert failures({one: "no memory", two: "no disk", three: "no memory", four: "no memory"}) == [
        f"failed: {one.folder} and 2 more: no memory",
        f"failed: {two.folder}: no disk",
    ]


def test_the_screen_keeps_the_time_left_through_a_batch_of_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing new for ten minutes, on 80 columns: the time left is still there, and no word cut."""
    clock = [0.0]
    monkeypatch.setattr("qrag_tasks.experiment.running.progress.time.monotonic", lambda: clock[0])
    one, two = Plan.model_validate(
        {
            "name": "long",
            "models": [{"name": "a-model-with-quite-a-long-name-7b", "pretrained": "somewhere"}],
            "precisions": ["int4-nf4"],
            "retrievers": ["bm25", "bm25-word"],
            "tasks": ["lamp3u"],
            "k": [5],
        }
    ).cells()
    told = io.StringIO()
    shown = _Shown(Console(file=told, force_terminal=True, width=80))
    progress = Progress({one: 100, two: 100}, doing=f"arm 1/1: {one.folder}")
    with shown:
        for clock[0], answered in ((0.0, 0), (60.0, 20), (660.0, 20)):
            progress.answered[one] = answered
            shown(progress)
        progress.failed[two] = "out of memory\nand a trace"
        shown(progress)
    screen = told.getvalue().rpartition("cells")[2]
    assert "about 0:44:00 left" in screen  # 80 samples at 20 in 660 s; the other cell is lost
    assert f"arm 1/1: {one.folder}" in screen
    # As it happens, with the first line of the reason.
    line = f"[1/2] failed: {two.folder}: out of memory (0:11:00, about 0:44:00 left)"
    assert line in told.getvalue().replace("\r", "").replace("\n", "")


def test_what_is_refused(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    for arguments, told in {
        ("--shard", ""): "--shard '': give the number of this part and of all parts",
        ("--shard", "1/2,2/2"): "--shard '1/2,2/2': give",
        ("--shard", "3/2"): "give the number of this part and of all parts",
        ("--gpus", "1"): "--address and --gpus are for --launcher ray",
        ("--engine", "ray"): "--engine is now called --launcher: write --launcher ray",
    }.items():
        done = invoke("run", plan, "--out", out, *arguments)
        assert done.exit_code == 1
        assert told in done.output
    plan.write_text("name: [", encoding="utf-8")
    done = invoke("run", plan, "--out", out)
    assert done.exit_code == 1
    assert "plan.yaml:1" in done.output
    assert not out.exists()
    (tmp_path / "empty").mkdir()
    done = invoke("merge", tmp_path / "empty", "--out", out)
    assert "holds no grid: there is no plan.json" in done.output
