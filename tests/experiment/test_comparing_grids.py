"""A grid compared: which cell meets which, and what is said of those that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_files import rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import ComparisonError, PlanError
from qrag_tasks.experiment.comparison.grids import compare_grid, match_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.answered_by import mixed_arms_of
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.schema import LoggedArm
from qrag_tasks.prompting.prompt_source import chosen_data
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.catalog import task_named

GOLDS = [1 + i % 5 for i in range(40)]
WRONG = {"large/bf16": 2, "large/int4-nf4": 6, "small/bf16": 20, "small/int4-nf4": 22}
"""Ratings of each arm that are one off."""


def data_now() -> dict[str, str]:
    """Return what results say of the data that the plan names."""
    settings = Settings.from_metadata({"data": "mini"}, ())
    return {"data_sha256": chosen_data(task_named("lamp3u"), settings).fingerprint}


def samples(wrong: int) -> list[dict[str, Any]]:
    given = [gold - 1 or 2 if i < wrong else gold for i, gold in enumerate(GOLDS)]
    both = enumerate(zip(given, GOLDS, strict=True))
    return [rating(i, f"review {i}", str(answer), gold) for i, (answer, gold) in both]


@pytest.fixture
def grid(tmp_path: Path) -> GridFolder:
    """Two models, two precisions, two k, whole."""
    plan = Plan.model_validate(
        {
            "name": "two",
            "models": [
                {"name": "large", "pretrained": "large"},
                {"name": "small", "pretrained": "small"},
            ],
            "precisions": ["bf16", "int4-nf4"],
            "tasks": ["lamp3u"],
            "k": [0, 1],
            "margins": {"mae": 0.1},
        }
    )
    whole = GridFolder(tmp_path / "grid", plan)
    whole.write_plan()
    for cell in plan.cells():
        folder = whole.cell(cell)
        write_run(
            folder.path,
            samples(WRONG[cell.arm.name]),
            task=cell.task_name,
            model_args=dict(cell.arm.arguments),
            facts=data_now(),
        )
        folder.finish()
    return whole


@pytest.mark.parametrize(
    ("k", "facts", "told"),
    [
        ("0", {}, "lamp3u: the data changed between cells: there were 2 versions, by their sha256"),
        ("1", {"retriever_sha256": "e" * 64}, "lamp3u: the retriever bm25 changed between cells"),
    ],
)
def test_data_and_retrievers_that_changed_between_cells_are_told(
    grid: GridFolder, k: str, facts: dict[str, str], told: str
) -> None:
    """As where own data, or the file of a retriever, were edited before `qrag run` went on."""
    facts = {**(data_now() if facts else {"data_sha256": "e" * 64}), **facts}
    for cell in grid.plan.cells():
        if cell.k == k and cell.arm.model == "large":
            folder = grid.cell(cell)
            folder.begin()
            write_run(folder.path, samples(6), task=cell.task_name, facts=facts)
            folder.finish()
    ours = [note for note in mixed_arms_of(grid) if told in note]
    shown = [note for note in compare_grid(grid.root, Options(resamples=99)).notes if told in note]
    assert (len(ours), len(shown)) == (1, 1)


def test_a_run_does_not_go_on_with_data_that_changed(grid: GridFolder) -> None:
    cell = grid.plan.cells()[1]
    folder = grid.cell(cell)
    folder.begin()
    write_run(folder.path, samples(6), task=cell.task_name, facts={"data_sha256": "e" * 64})
    folder.finish()
    with pytest.raises(PlanError) as refused:
        run_plan(grid.plan, grid.root)
    assert f"{folder.path} was made of other data than" in str(refused.value)
    assert "Run into another folder, put the data back as they were, or remove" in str(
        refused.value
    )
    assert folder.complete


def test_every_cell_meets_the_base_of_its_own_model(grid: GridFolder) -> None:
    """Another model's answers to the same prompts would compare just as smoothly."""
    comparison = compare_grid(grid.root, Options(resamples=99))
    assert not comparison.notes
    seen = {}
    for cell in comparison.cells:
        assert cell.base.model == cell.other.model
        mae = next(row for row in cell.metrics if row.metric == "mae")
        assert mae.margin == 0.1
        seen[cell.base.model, cell.facts["k"]] = (mae.base * 40, mae.other * 40)
    wrong = {"large": pytest.approx((2, 6)), "small": pytest.approx((20, 22))}
    assert seen == {(model, k): wrong[model] for model in wrong for k in ("0", "1")}


def test_a_cell_whose_base_is_missing_is_left_out_and_named(grid: GridFolder) -> None:
    base = next(cell for cell in grid.plan.cells() if cell.folder == "small/bf16/lamp3u_rag_k0")
    (grid.cell(base).path / "complete.json").unlink()
    matched = match_grid(grid.root)
    assert matched.notes == ["small/bf16/lamp3u_rag_k0 is not complete"]
    assert len(matched.sides) == 3
    assert all(one.run.name == other.run.name for one, other in matched.sides)


def answered_by(grid: GridFolder, number: int, transformers: str) -> None:
    """Have one of the large model's int4 cells answered under a release of transformers."""
    cells = [cell for cell in grid.plan.cells() if cell.arm.name == "large/int4-nf4"]
    folder = grid.cell(cells[number])
    folder.begin()
    parts = {
        "class": "qrag_tasks.harness.model.QragLM",
        "versions": {"torch": "2.13.0", "transformers": transformers},
    }
    arm = LoggedArm(precision="int4-nf4", identity=f"of {transformers}", identity_parts=parts)
    write_run(
        folder.path,
        samples(6),
        task=cells[number].task_name,
        config={"qrag": arm.as_dict()},
        facts=data_now(),
    )
    folder.finish()


MIXED = (
    "its cells were answered by 2 different arms, which differ in versions.transformers (5.1 and "
    "5.2). What differs between its cells, or from another arm's, may come of that: run all of "
    "them again with one of these"
)


UNKNOWN_NOISE = (
    "how much of a difference the batches alone make is not known: measure it by `qrag noise "
    "--out`, and name that file by --noise"
)


def test_an_arm_that_changed_between_its_cells_is_told(grid: GridFolder, tmp_path: Path) -> None:
    """As where packages were upgraded before `qrag run` went on."""
    answered_by(grid, 0, "5.1")
    answered_by(grid, 1, "5.1")
    assert mixed_arms_of(grid) == []
    assert compare_grid(grid.root, Options(resamples=99)).notes == [UNKNOWN_NOISE]
    answered_by(grid, 1, "5.2")
    mixed = compare_grid(grid.root, Options(resamples=99))
    assert mixed.notes == [f"large int4-nf4: {MIXED}", UNKNOWN_NOISE]
    assert mixed_arms_of(grid) == [f"large/int4-nf4: {MIXED}"]
    plan = tmp_path / "plan.yaml"
    plan.write_text(grid.plan.model_dump_json(), encoding="utf-8")
    done = CliRunner().invoke(main, ["run", str(plan), "--out", str(grid.root)])
    assert done.exit_code == 0, done.output
    assert f"note: large/int4-nf4: {MIXED}" in done.stderr
    done = CliRunner().invoke(main, ["merge", str(grid.root), "--out", str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    assert f"note: large/int4-nf4: {MIXED}" in done.stderr


def test_a_grid_of_bases_alone(grid: GridFolder) -> None:
    for cell in grid.plan.cells():
        if cell.arm.precision != "bf16":
            (grid.cell(cell).path / "complete.json").unlink()
    with pytest.raises(ComparisonError, match="both in a base precision and in another"):
        match_grid(grid.root)


def test_unfinished_cells_are_one_note(grid: GridFolder) -> None:
    folders = [cell.folder for cell in grid.plan.cells() if cell.arm.model == "large"]
    for folder in folders:
        (grid.root / "cells" / folder / "complete.json").unlink()
    assert len(folders) == 4
    assert match_grid(grid.root).notes == [
        f"4 cells are not complete: {', '.join(folders[:3])}, ..."
    ]
