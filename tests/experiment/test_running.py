"""A grid: run whole, again, in parts, with cells that fail; and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from in_process_arms import InProcess
from run_grids import contents, plan_of_several_batches
from warm_python import WarmPython

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running import processes
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.merging import merge
from qrag_tasks.experiment.running.shards import Shard
from qrag_tasks.logs.runs import read_runs
from qrag_tasks.logs.schema import SCHEMA


@pytest.fixture(scope="module")
def plan(tiny_model: Path) -> Plan:
    return plan_of_several_batches(tiny_model)


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython) -> Path:
    """The grid, undisturbed: its first arm is a Python that starts cold."""
    root = tmp_path_factory.mktemp("whole") / "grid"
    starts: list[Any] = [subprocess.Popen]
    warm = SimpleNamespace(**vars(subprocess))
    warm.Popen = lambda *command, **how: (starts.pop() if starts else warm_python.popen)(
        *command, **how
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(processes, "subprocess", warm)
        progress = run_plan(plan, root)
    assert not starts
    assert not progress.failed
    return root


def test_answers_may_be_as_long_as_the_plan_says(plan: Plan, tmp_path: Path) -> None:
    short = plan.model_copy(
        update={"answer_tokens": 3, "precisions": ("bf16",), "tasks": ("lamp3u",), "k": ("0",)}
    )
    assert not run_plan(short, tmp_path / "grid", launcher=InProcess()).failed
    (log,) = (tmp_path / "grid").rglob("samples_*.jsonl")
    for line in log.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        assert sample["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 3
        assert sample["doc"]["answer_tokens"] == 3


def test_every_cell_is_a_result_of_lm_evals(plan: Plan, whole: Path, tiny_model: Path) -> None:
    cells = plan.cells()
    assert len(cells) == 8
    for cell in cells:
        folder = whole / "cells" / cell.folder
        (results,) = folder.glob("results_*.json")
        (samples,) = folder.glob(f"samples_{cell.task_name}_*.jsonl")
        body = json.loads(results.read_bytes())
        assert body["config"]["model"] == "qrag"
        assert body["config"]["model_args"]["pretrained"] == str(tiny_model)
        assert body["config"]["qrag"]["schema"] == SCHEMA
        assert body["config"]["qrag"]["precision"] == cell.arm.precision
        (run,) = read_runs(results)
        assert run.logged.as_dict() == body["config"]["qrag"]
        assert body["config"]["qrag"]["cost"]["batches"] >= 1
        assert body["model_name"] == str(tiny_model)
        assert set(body["results"]) == {cell.task_name}
        assert len(samples.read_bytes().splitlines()) == 6
    costs = [
        json.loads(next((whole / "cells" / cell.folder).glob("results_*.json")).read_bytes())[
            "config"
        ]["qrag"]["cost"]
        for cell in cells
    ]
    assert max(cost["batches"] for cost in costs) > 1
    # A cell's cost is its own.
    assert costs[1]["prompt_tokens"] > costs[0]["prompt_tokens"]
    assert costs[2]["prompt_tokens"] != costs[1]["prompt_tokens"] + costs[0]["prompt_tokens"]


def test_the_same_command_again_does_nothing(plan: Plan, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (whole / "cells").rglob("*.json*")}
    told: list[str] = []
    progress = run_plan(plan, whole, tell=lambda progress: told.append(progress.doing))
    assert len(progress.complete) == 8
    assert told == [""]
    assert before == {path: path.stat().st_mtime_ns for path in (whole / "cells").rglob("*.json*")}


@pytest.mark.usefixtures("warm_arms")
def test_an_arm_that_has_changed_is_told_from_its_first_cell_on(
    plan: Plan, whole: Path, tmp_path: Path
) -> None:
    """As where packages were upgraded before the run went on."""
    root = tmp_path / "grid"
    shutil.copytree(whole, root)
    grid = GridFolder.at(root)
    first, *rest = (cell for cell in plan.cells() if cell.arm.precision == "bf16")
    (results,) = grid.cell(first).path.glob("results_*.json")
    (run,) = read_runs(results)
    identity = str(run.logged.identity)
    text = results.read_text(encoding="utf-8")
    assert identity in text
    # In as many bytes, which its marker counts.
    results.write_text(text.replace(identity, identity[::-1]), encoding="utf-8")
    for cell in rest:
        (grid.cell(cell).path / "complete.json").unlink()
    seen = []
    progress = run_plan(plan, root, tell=lambda now: seen.append((len(now.complete), now.notes)))
    assert not progress.failed
    assert all(not notes for complete, notes in seen if complete == 5)
    after_one = [notes for complete, notes in seen if complete > 5]
    assert len(after_one) > 1
    for notes in after_one:
        assert len(notes) == 1
        assert notes[0].startswith("llama/bf16: its cells were answered by 2 different arms")


def test_what_fails_is_named_and_the_rest_is_whole(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nowhere"
    broken = plan.model_copy(
        update={
            "models": (
                plan.models[0].model_copy(update={"name": "gone", "pretrained": str(missing)}),
                plan.models[0],
            ),
            "precisions": ("bf16",),
            "tasks": ("lamp3u",),
            "retrievers": ("bm25", f"run:{tmp_path}/none.trec"),
            "limit": 2,
        }
    )
    progress = run_plan(broken, tmp_path / "grid", launcher=InProcess())
    failed = {cell.folder: why for cell, why in progress.failed.items()}
    assert [cell.folder for cell in progress.complete] == [
        "llama/bf16/lamp3u_rag_k0",
        "llama/bf16/bm25/lamp3u_rag_k1",
    ]
    assert len(failed) == 4
    assert f"{missing}" in failed["gone/bf16/lamp3u_rag_k0"]
    assert all("none.trec" in why for name, why in failed.items() if "/run-" in name)
    # Mended, the same command makes the rest.
    mended = broken.model_copy(update={"models": plan.models, "retrievers": ("bm25",)})
    assert not run_plan(mended, tmp_path / "grid", launcher=InProcess()).failed


def test_the_processes_end_in_peace(plan: Plan, whole: Path) -> None:
    """The thread that waits for the parent's end must not break that of the process."""
    for arm in plan.arms():
        assert "Fatal" not in (whole / "arms" / f"{arm.name}.log").read_text(encoding="utf-8")


def test_parts_that_ran_apart_are_the_whole(plan: Plan, whole: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "one", tmp_path / "two"]
    for number, part in enumerate(parts, start=1):
        progress = run_plan(plan, part, Shard(number, 2), InProcess())
        assert 0 < len(progress.complete) < 8
    assert len(merge(parts[:1], tmp_path / "half").missing) > 0
    merged = merge(parts, tmp_path / "all")
    assert not merged.missing
    assert contents(tmp_path / "all") == contents(whole)
    assert len(run_plan(plan, tmp_path / "all").complete) == 8
    with pytest.raises(PlanError, match="is of another plan than"):
        other = tmp_path / "other"
        GridFolder(other, plan.model_copy(update={"limit": 1})).write_plan()
        merge([parts[0], other], tmp_path / "none")


# ---------------------------------------------------------------------- refused
def test_two_runs_in_one_folder(plan: Plan, whole: Path) -> None:
    with (
        GridFolder.at(whole).alone("1-of-1"),
        pytest.raises(PlanError, match=r"another `qrag run` is at work in .*grid: wait for it, "),
    ):
        run_plan(plan, whole)


def test_other_settings_in_the_same_folder(plan: Plan, whole: Path) -> None:
    before = contents(whole)
    message = (
        r"was made with other settings than the plan has now \(limit was 6 and is 5\)\. Run into"
    )
    with pytest.raises(PlanError, match=message):
        run_plan(plan.model_copy(update={"limit": 5}), whole)
    assert contents(whole) == before
    assert GridFolder.at(whole).plan == plan
