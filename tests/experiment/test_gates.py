"""Conditions on which a comparison fails, and what is written of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from rated_arms import answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import SettingsError
from qrag_tasks.experiment.comparison.gated_rows import gated_rows
from qrag_tasks.experiment.comparison.gates import Gate, judge
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.recovery import recovery_tables

TASKS = ("lamp3u_rag_k1", "lamp3u_rag_k5")


def arm(folder: Path, *wrong: int, **run: Any) -> Path:
    for task, few in zip(TASKS, wrong, strict=True):
        write_run(folder / task, samples(answers(few)), task, **run)
    return folder


@pytest.fixture
def arms(tmp_path: Path) -> tuple[Path, Path]:
    """An arm that loses much at k = 1, and too little to tell at k = 5."""
    one = arm(tmp_path / "one", 6, 6)
    return one, arm(tmp_path / "two", 20, 8, model_args=QUANTIZED)


@pytest.fixture
def comparison(arms: tuple[Path, Path]) -> Comparison:
    return compared(*arms)


@pytest.mark.parametrize(
    ("text", "of", "failed"),
    [
        ("worse", 3, ["lamp3u, k = 1, bm25", "all cells"]),
        ("cells: worse", 2, ["lamp3u, k = 1, bm25"]),
        ("pooled: worse", 1, ["all cells"]),
        ("cells k=5: worse", 1, []),
        ("k=5 arm=int4-nf4 metric=mae: not worse", 1, ["lamp3u, k = 5, bm25"]),
        ("pooled: not equivalent", 1, ["all cells"]),
        ("worse and not equivalent", 3, ["lamp3u, k = 1, bm25", "all cells"]),
        ("worse and equivalent", 3, []),
        ("too few", 3, ["lamp3u, k = 5, bm25"]),
        ("better", 3, []),
        ("cells: recovery < 0.5", 2, ["lamp3u, k = 1, bm25"]),
        ("cells: recovery<50%", 2, ["lamp3u, k = 1, bm25"]),
        ("pooled: recovery >= 0.5", 1, ["all cells"]),
        ("loss > 3", 3, ["lamp3u, k = 1, bm25"]),
        ("loss > 2.5 and recovery < 1", 3, ["lamp3u, k = 1, bm25", "all cells"]),
        ("same_answers <= 90%", 2, ["lamp3u, k = 1, bm25"]),
        ("not tested", 3, []),
        ("not not tested", 3, ["lamp3u, k = 1, bm25", "lamp3u, k = 5, bm25", "all cells"]),
    ],
)
def test_gates(comparison: Comparison, text: str, of: int, failed: list[str]) -> None:
    (outcome,) = judge([Gate.read(text)], gated_rows(comparison))
    assert len(outcome.rows) == of
    assert [row.where for row in outcome.failed] == failed


def test_the_row_of_an_arm_with_one_cell_is_asked_once(base: Path, other: Path) -> None:
    rows = gated_rows(compared(base, other))
    (outcome,) = judge([Gate.read("worse")], rows)
    assert [row.kind for row in outcome.rows] == ["cells"]
    (outcome,) = judge([Gate.read("pooled: worse")], rows)
    assert [row.kind for row in outcome.rows] == ["pooled"]


def test_what_is_not_known_does_not_pass(tmp_path: Path) -> None:
    """A recovery of nothing: no share of a base that scores 0."""
    one = write_run(tmp_path / "one", samples([str(0)] * 60))
    two = write_run(tmp_path / "two", samples(answers(6)), model_args=QUANTIZED)
    comparison = compared(one, two)
    rows = gated_rows(comparison, ["accuracy"])
    assert rows[0].figures["recovery"] is None
    (outcome,) = judge([Gate.read("cells: recovery < 0.5")], rows)
    assert outcome.failed == [rows[0]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wurse", "unknown verdict 'wurse'"),
        ("wurse", "Did you mean 'worse'?"),
        ("", "unknown verdict ''"),
        ("worse and", "unknown verdict ''"),
        ("worse or better", "unknown verdict 'worse or better'"),
        ("recovry < 1", "unknown figure 'recovry'"),
        ("recovery < much", "'much' is not a number"),
        ("loss > nan", "'nan' is not a number"),
        ("recovery < NaN%", "'NaN%' is not a number"),
        ("cells: loss > 1e400", "'1e400' is not a number"),
        ("recovery < 98", "recovery is a share: 0.98 or 98%, not 98"),
        ("pooled: same_answers < 0.9", "pooled rows have no same_answers"),
        ("foo=1: worse", "rows cannot be chosen by 'foo'"),
        ("kk=1: worse", "(known: model, arm, base, task, k, retriever, metric)"),
        ("all: worse", "'all' does not say which rows it is asked of"),
        ("pooled cells: worse", "'cells' does not say"),
    ],
)
def test_what_is_no_gate(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Gate.read(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("arm=int4-nf: worse", "no row has arm=int4-nf (they have int4-nf4)."),
        ("k=7: worse", "no row has k=7 (they have 1, 5)"),
        ("pooled k=5: worse", "no row has k=5 (they have no k)"),
    ],
)
def test_a_gate_for_no_row_does_not_pass(comparison: Comparison, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        judge([Gate.read(text)], gated_rows(comparison))
    assert told in str(refused.value)


def run(arms: tuple[Path, Path], *options: str) -> Result:
    given = ["compare", *map(str, arms), "--resamples", "999", *options]
    return CliRunner().invoke(main, given)


def test_exit_codes(arms: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(arms).exit_code == 0
    passed = run(arms, "--fail-if", "cells k=5: worse")
    assert passed.exit_code == 0
    assert (
        "fail if cells k=5: worse: passed by 1 comparison, of which 1 could not be tested"
    ) in passed.output
    failed = run(arms, "--fail-if", "better", "--fail-if", "cells: worse")
    assert failed.exit_code == 3
    assert "fail if better: passed by 3 comparisons" in failed.output
    assert "fail if cells: worse: failed by 1 of 2 comparisons" in failed.output
    assert "lamp3u, k = 1, bm25: worse: mae 0.1000 to 0.3333 (+0.2333" in failed.output
    assert run(arms, "--fail-if", "wurse").exit_code == 1
    assert run(arms, "--fail-iff", "worse").exit_code == 2
    alone = run(arms, "--junit", str(tmp_path / "gates.xml"))
    assert alone.exit_code == 1
    assert "say by it when a row fails" in alone.output


def test_junit(arms: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "gates.xml"
    named = (Path(f"base={arms[0]}"), Path(f'<a & "b">\x07={arms[1]}'))
    done = run(
        named, "--fail-if", "worse", "--fail-if", "pooled: recovery < 99%", "--junit", str(out)
    )
    assert done.exit_code == 3, done.output
    suites = ElementTree.parse(out).getroot()  # noqa: S314 -- what we wrote
    assert suites.attrib == {
        "name": '<a & "b">\N{REPLACEMENT CHARACTER} against base',
        "tests": "3",
        "failures": "2",
        "skipped": "1",
        "errors": "0",
    }
    (suite,) = suites
    assert suite.get("name") == 'model-1b <a & "b">\N{REPLACEMENT CHARACTER} against base'
    cases = {case.get("name"): case for case in suite}
    assert list(cases) == [
        "lamp3u, k = 1, bm25: mae",
        "lamp3u, k = 5, bm25: mae",
        "all cells: mae",
    ]
    failure = cases["all cells: mae"].find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("worse: +")
    assert "fails if: worse; pooled: recovery < 99%" in str(failure.text)
    assert cases["lamp3u, k = 5, bm25: mae"].find("skipped") is not None


def test_a_summary_of_a_step_is_appended(
    arms: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "step"
    out.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(out))
    run(arms, "--fail-if", "worse")
    assert out.read_text(encoding="utf-8") == "before\n", "nothing is written unasked"
    run(arms, "--fail-if", "worse", "--summary", str(out))
    text = out.read_text(encoding="utf-8")
    assert text.startswith("before\n## two against one\n\n- **fail if worse: failed by 2 of 3")
    assert "| model-1b | int4-nf4 | bf16 | all | 2 |" in text
    assert "**Average**" in text
    other = tmp_path / "other.md"
    other.write_text("before\n", encoding="utf-8")
    run(arms, "--summary", str(other))
    assert other.read_text(encoding="utf-8").startswith("## two against one\n\n| Model |")


def test_the_table_of_a_model_card(
    arms: tuple[Path, Path], comparison: Comparison, tmp_path: Path
) -> None:
    (table,) = recovery_tables(comparison)
    assert table.headings == ("Task", "model-1b bf16", "int4-nf4", "Recovery")
    first, second, average = table.rows
    assert first == ("lamp3u, k = 1, bm25: mae ↓", "0.1000", "0.3333", "30.0%")
    assert second == ("lamp3u, k = 5, bm25: mae ↓", "0.1000", "0.1333", "75.0%")
    assert average[:3] == ("**Average**", "", "")
    assert average[3].startswith("**52.5%** (95 % interval ")
    out = tmp_path / "card.md"
    assert run(arms, "--card", str(out)).exit_code == 0
    assert out.read_text(encoding="utf-8").splitlines()[2] == f"| {' | '.join(first)} |"


def test_a_card_without_scores_is_refused(tmp_path: Path) -> None:
    def unscored(wrong: int) -> list[dict[str, Any]]:
        return [
            {**sample, "target": None, "metrics": ["valid_rate"]}
            for sample in samples(answers(wrong))
        ]

    one = write_run(tmp_path / "one", unscored(6))
    two = write_run(tmp_path / "two", unscored(16), model_args=QUANTIZED)
    done = run((one, two), "--card", str(tmp_path / "card.md"))
    assert done.exit_code == 1
    assert "there are no scores, and so no recovery" in done.output
    same = run((one, two), "--fail-if", "same_answers < 90%")
    assert same.exit_code == 3
    assert "no scores; 83.3% same answers" in same.output
