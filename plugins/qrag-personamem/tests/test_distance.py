"""How far back does an arm forget? On made-up histories, where the place of an answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from qrag_tasks.experiment.comparison.arm_names import read_arm
from qrag_tasks.experiment.comparison.compare import compare_matched
from qrag_tasks.experiment.comparison.matching import match_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import AttributeRow, Comparison
from qrag_tasks.experiment.comparison.verdicts import attribute_verdict, verdict
from readers import HistoryReader, run

from qrag_personamem.mini.make import make

TASK = "personamem-full-32k_rag_k0"
REMEMBERS = 3
"""Sessions that the arm which forgets reads: answers 0 to 2 sessions back."""


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("histories")
    make(root, "32k", users=20, sessions=14)
    arms = {
        "base": HistoryReader(None, slips=0.03, seed=1),
        "forgets": HistoryReader(REMEMBERS, slips=0.03, seed=2),
        "keeps": HistoryReader(None, slips=0.03, seed=3),
    }
    named = {
        name: Path(f"{name}={run(model, TASK, root, root / name)}") for name, model in arms.items()
    }
    matched = match_runs(
        read_arm(named["base"]), [read_arm(named["forgets"]), read_arm(named["keeps"])]
    )
    asked = {"distance_blocks": [1.0, 2.0, 3.0, 4.0, 5.0]}
    return compare_matched(matched, Options(attributes=asked, resamples=999))


def row(comparison: Comparison, arm: str) -> AttributeRow:
    (found,) = (
        one
        for one in comparison.attributes
        if (one.attribute, one.metric) == ("distance_blocks", "accuracy")
        and comparison.cells[one.cell].other.arm == arm
    )
    return found


def test_the_curve_breaks_where_the_arm_forgets(comparison: Comparison) -> None:
    forgets = row(comparison, "forgets")
    verdicts = {one.label: verdict(one.row) for one in forgets.bins}
    assert {label for label, word in verdicts.items() if "worse" in word} == {
        *("3 to below 4", "4 to below 5", "5 and more")
    }
    assert attribute_verdict(forgets) == "worse"
    # It guesses among four there.
    assert [one.row.other for one in forgets.bins[3:]] == pytest.approx([0.25] * 3, abs=0.2)
    assert all(one.row.base > 0.9 for one in forgets.bins)


def test_an_arm_that_forgets_nothing_has_a_flat_curve(comparison: Comparison) -> None:
    keeps = row(comparison, "keeps")
    assert not any("worse" in verdict(one.row) for one in keeps.bins)
    assert attribute_verdict(keeps) != "worse"


def test_persons_are_resampled_as_a_whole(comparison: Comparison) -> None:
    for cell in comparison.cells:
        assert (cell.samples, cell.users) == (280, 20)
    forgets = row(comparison, "forgets")
    assert all(one.row.units == one.users <= 20 for one in forgets.bins)


def test_types_and_topics_too(comparison: Comparison) -> None:
    names = {one.attribute for one in comparison.attributes}
    assert names == {
        *("question_type", "topic", "distance_blocks", "distance_tokens", "context_tokens"),
    }
