"""Grids whose processes are killed, die over a cell, or have no room left: nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from dying import dies_over
from in_process_arms import InProcess
from run_grids import contents, plan_of_several_batches
from warm_python import WarmPython

from qrag_tasks.experiment.plan import Cell, Plan
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.processes import ending


@pytest.fixture(scope="module")
def plan(tiny_model: Path) -> Plan:
    return plan_of_several_batches(tiny_model)


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid, undisturbed."""
    root = tmp_path_factory.mktemp("whole") / "grid"
    assert not run_plan(plan, root, launcher=InProcess()).failed
    return root


RUN = """
import sys
from pathlib import Path
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import run_plan
run_plan(Plan.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""
RUN_IN_ONE_PROCESS = RUN.replace("[2]))", "[2]), launcher=InProcess())").replace(
    "import sys\n",
    f"import sys\nsys.path.append({str(Path(__file__).parents[1])!r})\n"
    "from in_process_arms import InProcess\n",
)
"""The same, whose arms start no processes of their own."""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX has them")
def test_killed_wherever_it_is_it_comes_out_the_same(
    plan: Plan, whole: Path, warm_python: WarmPython, tmp_path: Path
) -> None:
    root, site = tmp_path / "grid", tmp_path / "site"
    site.mkdir()
    cells = [cell.folder for cell in plan.cells()]
    for run, victim, file, opening in (
        # All is answered, and not marked; the process of the arm must end by itself.
        (RUN, "parent", f"{cells[0]}/.complete.json.*", 1),
        # The results are written, the samples are not.
        (RUN_IN_ONE_PROCESS, "group", f"{cells[1]}/samples_*.jsonl", 1),
        # The journal's head, its first batch, and its second, which is lost.
        (RUN_IN_ONE_PROCESS, "group", f"{cells[3]}/answers.jsonl", 3),
    ):
        environment = dies_over(file, site, opening, victim)
        done = warm_python.run(
            ["-c", run, plan.model_dump_json(), str(root)], {**os.environ, **environment}
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    progress = run_plan(plan, root, launcher=InProcess())
    assert not progress.failed
    assert contents(root) == contents(whole)
    for name in ("batches", "prompt_tokens", "generated_tokens", "largest_batch"):
        assert [cost(root, cell)[name] for cell in plan.cells()] == [
            cost(whole, cell)[name] for cell in plan.cells()
        ]


def cost(root: Path, cell: Cell) -> dict[str, Any]:
    (results,) = (root / "cells" / cell.folder).glob("results_*.json")
    return dict(json.loads(results.read_bytes())["config"]["qrag"]["cost"])


def test_without_its_marker_a_cell_is_made_anew_from_its_answers(
    plan: Plan, whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "grid"
    shutil.copytree(whole, root)
    grid = GridFolder.at(root)
    for cell in plan.cells():
        if cell.arm.precision == "bf16":
            folder = grid.cell(cell).path
            (folder / "complete.json").unlink()
            (samples,) = folder.glob("samples_*.jsonl")
            samples.write_bytes(samples.read_bytes()[:100])
            journal = folder / "answers.jsonl"
            lines = journal.read_bytes().splitlines(keepends=True)
            # All but the last batch, and that torn.
            journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:-20])
    assert not run_plan(plan, root, launcher=InProcess()).failed
    assert contents(root) == contents(whole)


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX has them")
@pytest.mark.usefixtures("warm_arms")
def test_a_process_that_dies_takes_one_cell_with_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_arm = plan.model_copy(update={"precisions": ("bf16",), "limit": 3})
    cells = one_arm.cells()
    # Written to be begun, and to keep the first answers.
    journal = f"{cells[1].folder}/answers.jsonl"
    with monkeypatch.context() as context:
        for name, value in dies_over(journal, tmp_path, opening=2).items():
            context.setenv(name, value)
        progress = run_plan(one_arm, tmp_path / "grid")
    assert list(progress.failed) == [cells[1]]
    assert set(progress.complete) == {cells[0], *cells[2:]}
    assert progress.failed[cells[1]].startswith(
        "its process ended with signal 9 (killed: was memory short?)"
    )
    assert not run_plan(one_arm, tmp_path / "grid", launcher=InProcess()).failed


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "exit code 1"),
        (-4, "signal 4 (illegal instruction: was a library compiled for another processor?)"),
        (-15, "signal 15"),
    ],
)
def test_how_a_process_ended_is_said(code: int, said: str) -> None:
    assert ending(code) == said


ON_A_SMALL_DISK = (
    "import resource, signal\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
    + RUN_IN_ONE_PROCESS.replace("run_plan(Plan", "progress = run_plan(Plan")
    + "print(*progress.failed.values())\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on file size as Linux has it")
def test_a_full_disk_loses_nothing(
    plan: Plan, whole: Path, warm_python: WarmPython, tmp_path: Path
) -> None:
    one_cell = plan.model_copy(update={"precisions": ("bf16",), "tasks": ("lamp3u",), "k": ("0",)})
    done = warm_python.run(
        ["-c", ON_A_SMALL_DISK, one_cell.model_dump_json(), str(tmp_path / "grid")], os.environ
    )
    assert "could not be written in full: is the disk full? The answers are kept" in done.stdout
    root = tmp_path / "grid"
    assert not run_plan(one_cell, root, launcher=InProcess()).failed
    name = "cells/llama/bf16/lamp3u_rag_k0 samples"
    assert contents(root)[name] == contents(whole)[name]
