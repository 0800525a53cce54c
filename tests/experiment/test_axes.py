"""Cells of a grid compared along another axis than precision: the same questions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_files import FACTS, rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import ComparisonError, QragError
from qrag_tasks.experiment.comparison.axes import match_axis, match_pairs
from qrag_tasks.experiment.comparison.compare import compare_matched
from qrag_tasks.experiment.comparison.matching import Matched
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.plan import Cell, Plan
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.running.grid_folder import GridFolder

GOLDS = [1 + i % 5 for i in range(40)]


def wrong(cell: Cell) -> int:
    """How many answers of a cell are wrong: its own number."""
    by_k = {"0": 12, "1": 6, "5": 3}[cell.k]
    return by_k + 8 * (cell.arm.precision == "int4-nf4") + 4 * (cell.retriever == "random")


def answer(
    grid: GridFolder, cell: Cell, *, gold: int = 0, facts: Mapping[str, Any] = FACTS
) -> None:
    folder = grid.cell(cell)
    rows = []
    for i, right in enumerate(GOLDS):
        given = (right - 1 or 2) if i < wrong(cell) else right
        prompt = f"{cell.retriever} {cell.k} {cell.order} {i}"
        kept = [f"d{place}" for place in range(int(cell.k))]
        rows.append(
            rating(i, prompt, str(given), right + gold, kept=kept, prompt_tokens=10 * len(kept))
        )
    own = {**facts, "retriever": cell.retriever or "bm25", "order": cell.order or "best-first"}
    write_run(folder.path, rows, cell.task_name, own, dict(cell.arm.arguments))
    folder.finish()


@pytest.fixture
def grid(tmp_path: Path) -> GridFolder:
    """Two precisions, two retrievers, three k, two orders."""
    plan = Plan.model_validate(
        {
            "name": "axes",
            "models": [{"name": "m", "pretrained": "m"}],
            "precisions": ["bf16", "int4-nf4"],
            "retrievers": ["bm25", "random"],
            "tasks": ["lamp3u"],
            "k": [0, 1, 5],
        }
    )
    whole = GridFolder(tmp_path / "grid", plan)
    whole.write_plan()
    for cell in plan.cells():
        answer(whole, cell)
    return whole


def compared(matched: Matched) -> Comparison:
    return compare_matched(matched, Options(resamples=199))


def losses(comparison: Comparison) -> dict[tuple[str, str, str], int]:
    """(base, other, k and retriever of the row) -> further answers that are wrong."""
    return {
        (cell.base.arm, cell.other.arm, f"{cell.k} {cell.retriever}"): round(
            40 * cell.metrics[0].difference
        )
        for cell in comparison.cells
    }


def test_by_retriever(grid: GridFolder) -> None:
    comparison = compared(match_axis(grid.root, "retriever"))
    assert losses(comparison) == {
        (f"{arm}, bm25", f"{arm}, random", f"{k} random"): 4
        for arm in ("bf16", "int4-nf4")
        for k in (1, 5)
    }
    assert {tuple(cell.by_design) for cell in comparison.cells} == {("retriever",)}
    assert comparison.notes[0].startswith("the prompts differ by design, in retriever: samples are")
    assert "on the same questions, " in sentences(comparison)[0]
    assert [(row.arm, row.cells) for row in comparison.pooled] == [
        ("bf16, random", 2),
        ("int4-nf4, random", 2),
    ]
    backwards = compared(match_axis(grid.root, "retriever=random"))
    assert set(losses(backwards).values()) == {-4}


def test_by_k(grid: GridFolder) -> None:
    """Without documents there is no retriever: k = 0 is the base of both."""
    comparison = compared(match_axis(grid.root, "k"))
    assert losses(comparison) == {
        (f"{arm}, k = 0", f"{arm}, k = {k}", f"{k} {retriever}"): less + more
        for arm in ("bf16", "int4-nf4")
        for k, less in ((1, -6), (5, -9))
        for retriever, more in (("bm25", 0), ("random", 4))
    }
    assert {tuple(cell.by_design) for cell in comparison.cells} == {("k",)}
    assert {cell.kept for cell in comparison.cells} == {1, 5}
    of_five = [cell for cell in comparison.cells if cell.k == "5"]
    assert {(cell.base.prompt_tokens, cell.other.prompt_tokens) for cell in of_five} == {(0, 50)}
    # A base with documents has them by the same retriever.
    from_one = losses(compared(match_axis(grid.root, "k=1")))
    assert from_one["bf16, k = 1", "bf16, k = 5", "5 random"] == -3
    assert len(from_one) == 2 * 2
    # Nobody ranked at k = 0, so it is like both.
    assert (
        "m/bf16/lamp3u_rag_k0 has 2 bases, which differ in retriever (bm25, random): it is left "
        "out; --pair can compare it"
    ) in match_axis(grid.root, "k=1").notes


def test_pairs(grid: GridFolder) -> None:
    matched = match_pairs(grid.root, [("bf16@k=1", "int4-nf4@k=5")])
    assert losses(compared(matched)) == {
        ("bf16, k = 1", "int4-nf4, k = 5", "5 bm25"): 5,
        ("bf16, k = 1", "int4-nf4, k = 5", "5 random"): 5,
    }
    one = match_pairs(grid.root, [("bf16@k=1@retriever=random", "int4-nf4@k=5@retriever=bm25")])
    assert losses(compared(one)) == {("bf16, k = 1, random", "int4-nf4, k = 5, bm25", "5 bm25"): 1}
    # Prompts that are the same are held to be so.
    same = match_pairs(grid.root, [("bf16", "int4-nf4")])
    assert set(losses(compared(same)).values()) == {8}
    assert not any(cell.by_design for cell in compared(same).cells)
    # What is said of one side holds for both.
    at_five = match_pairs(grid.root, [("bf16", "int4-nf4@k=5@retriever=random")])
    assert losses(compared(at_five)) == {("bf16", "int4-nf4", "5 random"): 8}
    two = match_pairs(grid.root, [("bf16@k=5", "int4-nf4@k=5"), ("@k=1", "@k=5")])
    assert len(two.sides) == 2 + 4


@pytest.mark.parametrize(
    ("match", "told"),
    [
        (lambda root: match_axis(root, "precision"), "--by precision: name one of retriever, k,"),
        (lambda root: match_axis(root, "retreiver"), "Did you mean 'retriever'?"),
        (lambda root: match_axis(root, "k="), "perhaps with the base, as in k=0"),
        (lambda root: match_axis(root, "k=3"), "no complete cell has k=3 (they have 0, 1, 5)"),
        (lambda root: match_axis(root, "order"), "have one order or none (best-first), so there"),
        (
            lambda root: match_pairs(root, [("bf16@k=1", "int4-nf4@k=0")]),
            "--pair bf16@k=1 int4-nf4@k=0: m/int4-nf4/lamp3u_rag_k0 has 2 bases, which differ in "
            "retriever (bm25, random): say of both sides which",
        ),
        (lambda root: match_pairs(root, [("bf16@retriever=bm25", "bf16@k=5")]), "say of both what"),
        (lambda root: match_pairs(root, [("bf16@kk=1", "int4-nf4")]), "'kk=1' does not choose"),
        (lambda root: match_pairs(root, [("bf16@k", "int4-nf4")]), "write ARM@NAME=VALUE"),
        (lambda root: match_pairs(root, [("", "int4-nf4")]), "names no cells"),
        (
            lambda root: match_pairs(root, [("bf16", "int4-nf")]),
            "--pair int4-nf: no complete cell has arm=int4-nf (they have bf16, int4-nf4)",
        ),
    ],
)
def test_what_cannot_be_matched(grid: GridFolder, match: Any, told: str) -> None:
    with pytest.raises(QragError) as refused:
        match(grid.root)
    assert told in str(refused.value)


def refused(grid: GridFolder, axis: str = "k=1") -> str:
    with pytest.raises(ComparisonError) as error:
        compared(match_axis(grid.root, axis))
    return str(error.value)


def test_what_must_be_the_same_is_still_checked(grid: GridFolder) -> None:
    cell = next(c for c in grid.plan.cells() if c.folder == "m/bf16/bm25/lamp3u_rag_k5")
    (results,) = grid.cell(cell).path.glob("results_*")
    (log,) = grid.cell(cell).path.glob("samples_*")
    whole = results.read_bytes(), log.read_bytes()
    for name in ("data_sha256", "protocol", "prompt", "split"):
        body = json.loads(whole[0])
        body["configs"]["lamp3u_rag_k5"]["metadata"]["qrag"][name] = "another"
        results.write_text(json.dumps(body), encoding="utf-8")
        grid.cell(cell).finish()
        assert f"they differ in {'data' if name == 'data_sha256' else name}" in refused(grid)
    results.write_bytes(whole[0])
    for was, becomes, told in (
        (b'"max_gen_toks": 16', b'"max_gen_toks": 32', "sample 90000: its max_gen_toks differ"),
        (b'"user": "user-0"', b'"user": "user-x"', "sample 90000: its prompts differ"),
        (b'"target": "1"', b'"target": "2"', "its golds differ: '1' and '2'"),
        (b'"id": "90000"', b'"id": "80000"', "the first alone has 1 (90000)"),
    ):
        log.write_bytes(whole[1].replace(was, becomes))
        grid.cell(cell).finish()
        assert told in refused(grid), told


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["compare", *map(str, arguments), "--resamples", "199"])


def test_the_command(grid: GridFolder, tmp_path: Path) -> None:
    done = run(grid.root, "--pair", "bf16@k=1", "int4-nf4@k=5@retriever=bm25", "--wide")
    assert done.exit_code == 0, done.output
    assert "10 / 50" in done.stdout
    assert "the prompts differ by design, in k" in done.output
    title = tmp_path / "summary.md"
    run(grid.root, "--by", "k=1", "--summary", title)
    assert title.read_text(encoding="utf-8").startswith("## axes, by k=1\n")
    for options, told in (
        (("--by", "k", "--pair", "a", "b"), "give one of them"),
        (("--by", "k", "--figures", tmp_path / "f"), "--figures draws arms on the same prompts"),
        ((grid.root, "--by", "k"), "--by chooses cells of a grid: name the one folder"),
    ):
        done = run(grid.root, *options)
        assert done.exit_code == 1
        assert told in done.output
