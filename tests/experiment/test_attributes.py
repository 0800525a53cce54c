"""Scores by attributes of the questions: an arm that forgets what lies far back is found out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rated_arms import compared
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import DataError, SettingsError
from qrag_tasks.experiment.comparison.attribute_bins import bins_of
from qrag_tasks.experiment.comparison.rows import AttributeRow, Comparison
from qrag_tasks.experiment.comparison.tables.records import nested
from qrag_tasks.experiment.comparison.verdicts import attribute_verdict, verdict
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.report.figures import figures
from qrag_tasks.logs.sample_logs import SampleLog

USERS, QUESTIONS, FAR = 20, 24, 6_000
TOPICS = ("books", "food", "music")


def history(seed: int, forgets: bool = False, slips: float = 0.04) -> list[dict[str, Any]]:
    """Answers of twenty users whose answers lie 0 to 12,000 tokens back.

    :param forgets: whether the arm answers wrong where the answer is far back.
    :param slips: share of answers that are wrong by chance, wherever the answer is.
    """
    distances = np.random.default_rng(0).integers(0, 12_000, USERS * QUESTIONS)
    rng = np.random.default_rng(seed)
    samples = []
    for number, distance in enumerate(map(int, distances)):
        gold = 1 + number % 5
        lost = forgets and distance >= FAR and rng.random() < 0.5
        wrong = lost or rng.random() < slips
        samples.append(
            rating(
                number,
                f"question {number}",
                str(gold % 5 + 1 if wrong else gold),
                gold,
                f"user-{number % USERS}",
                attributes={"distance": distance, "topic": TOPICS[number % 3]},
            )
        )
    return samples


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("arms")
    eight = {"load_in_8bit": True}
    return {
        "base": write_run(root / "base", history(1)),
        "forgets": write_run(root / "forgets", history(2, forgets=True), model_args=QUANTIZED),
        "keeps": write_run(root / "keeps", history(3), model_args=eight),
    }


def row_of(comparison: Comparison, attribute: str, cell: int = 0) -> AttributeRow:
    (row,) = (
        one
        for one in comparison.attributes
        if (one.attribute, one.cell, one.metric) == (attribute, cell, "accuracy")
    )
    return row


@pytest.fixture(scope="module")
def comparison(arms: dict[str, Path]) -> Comparison:
    asked = {"distance": [2_000.0, 4_000.0, FAR, 8_000.0, 10_000.0], "topic": None}
    return compared(arms["base"], arms["forgets"], arms["keeps"], attributes=asked)


def test_the_curve_finds_from_where_on_an_arm_forgets(comparison: Comparison) -> None:
    assert [cell.other.arm for cell in comparison.cells] == ["int4-nf4", "int8"]
    row = row_of(comparison, "distance")
    assert [one.label for one in row.bins] == [
        "below 2,000",
        "2,000 to below 4,000",
        "4,000 to below 6,000",
        "6,000 to below 8,000",
        "8,000 to below 10,000",
        "10,000 and more",
    ]
    verdicts = [verdict(one.row) for one in row.bins]
    assert all("worse" in one for one in verdicts[3:])
    assert not any("worse" in one or "better" in one for one in verdicts[:3])
    assert attribute_verdict(row) == "worse"
    assert row.slope is not None
    assert row.interval is not None
    assert row.interval.low < row.slope < row.interval.high < 0
    # Half of what is far back is lost: a step of a half has a slope of three quarters of it.
    assert row.reach == pytest.approx(12_000, abs=100)
    assert row.slope * row.reach == pytest.approx(-0.75, abs=0.15)
    by_topic = row_of(comparison, "topic")
    assert [one.label for one in by_topic.bins] == list(TOPICS)
    assert by_topic.slope is None


def test_the_curve_shows_nothing_of_an_arm_that_forgets_nothing(comparison: Comparison) -> None:
    row = row_of(comparison, "distance", cell=1)
    assert not {"worse", "better"} & {verdict(one.row) for one in row.bins}
    assert attribute_verdict(row) == "undecided"
    assert row.interval is not None
    assert row.interval.low < 0 < row.interval.high


def test_bins_are_compared_as_cells_are(comparison: Comparison, arms: dict[str, Path]) -> None:
    """A bin's row is that of a comparison of its samples alone, apart from the correction."""
    row = row_of(comparison, "distance")
    far = [one for one in history(1) if one["doc"]["attributes"]["distance"] >= 10_000]
    lost = [one for one in history(2, True) if one["doc"]["attributes"]["distance"] >= 10_000]
    root = arms["base"].parent
    alone = compared(
        write_run(root / "far-base", far),
        write_run(root / "far-forgets", lost, model_args=QUANTIZED),
    )
    (expected,) = (one for one in alone.cells[0].metrics if one.metric == "accuracy")
    shown = row.bins[-1].row
    for name in ("base", "other", "difference", "units", "differing", "interval"):
        assert getattr(shown, name) == getattr(expected, name)
    assert row.bins[-1].users == expected.units == alone.cells[0].users
    assert sum(one.samples for one in row.bins) == row.samples == USERS * QUESTIONS


def test_p_is_corrected_over_all_bins_of_all_cells(comparison: Comparison) -> None:
    rows = [row_of(comparison, "distance", cell) for cell in (0, 1)]
    every = [one.row for row in rows for one in row.bins if one.row.p is not None]
    smallest = min(every, key=lambda row: row.p or 0)
    assert {row.cell for row in rows} == {0, 1}
    assert len(every) > len(rows[0].bins) / 2
    assert smallest.p_holm == pytest.approx(min(1.0, (smallest.p or 0) * len(every)))
    for one in rows:
        assert one.p is not None
        assert one.p_holm is not None
        assert one.p <= one.p_holm


def test_without_being_asked_the_headline_is_shown_by_every_attribute(
    arms: dict[str, Path],
) -> None:
    rows = compared(arms["base"], arms["keeps"]).attributes
    assert {(row.attribute, row.metric) for row in rows} == {("distance", "mae"), ("topic", "mae")}
    (row,) = (row for row in rows if row.attribute == "distance")
    assert row.binned == "quantiles"
    sizes = [one.samples for one in row.bins]
    assert len(sizes) == 5
    assert max(sizes) - min(sizes) <= 2


def test_what_is_not_known_is_in_no_bin(tmp_path: Path) -> None:
    one, two = history(1), history(2)
    for sample in (*one[:30], *two[:30]):
        del sample["doc"]["attributes"]["distance"]
    comparison = compared(
        write_run(tmp_path / "a", one), write_run(tmp_path / "b", two, model_args=QUANTIZED)
    )
    (row,) = (row for row in comparison.attributes if row.attribute == "distance")
    assert (row.unknown, row.samples) == (30, USERS * QUESTIONS - 30)


# ---------------------------------------------------------------------- bins
def test_equal_values_are_never_parted() -> None:
    bins = bins_of([0] * 50 + list(range(1, 51)))
    assert bins is not None
    assert bins.binned == "quantiles"
    assert bins.labels[0].startswith("0")
    assert {bins.of(0)} == {0}
    assert [bins.of(value) for value in range(51)] == sorted(bins.of(v) for v in range(51))
    counts = np.bincount([bins.of(value) for value in [0] * 50 + list(range(1, 51))])
    assert (counts > 0).all()
    assert len(counts) == len(bins.labels)


def test_bins_are_of_equal_size_where_values_allow_it() -> None:
    values = [100 * (number // 10) for number in range(100)]
    bins = bins_of(values)
    assert bins is not None
    assert list(np.bincount([bins.of(value) for value in values])) == [20] * 5
    assert bins.labels[0] == "0 to 100"
    assert bins.labels[-1] == "800 to 900"


def test_few_values_have_a_bin_each() -> None:
    bins = bins_of([3, 1, 1, 2, 12_000])
    assert bins is not None
    assert (bins.binned, bins.labels) == ("values", ["1", "2", "3", "12,000"])
    assert bins.of(12_000) == 3


def test_a_value_at_an_edge_is_in_the_bin_that_begins_there() -> None:
    bins = bins_of([1, 5, 9], [5.0])
    assert bins is not None
    assert list(bins.labels) == ["below 5", "5 and more"]
    assert [bins.of(value) for value in (1, 5, 9)] == [0, 1, 1]


def test_many_classes_are_no_bins() -> None:
    assert bins_of([f"class {number}" for number in range(21)]) is None
    assert bins_of(["a", 1]) is not None


# ---------------------------------------------------------------------- command and files
def qrag(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": "200"})


def test_qrag_compare_by_attribute(arms: dict[str, Path], tmp_path: Path) -> None:
    done = qrag(
        *("compare", arms["base"], arms["forgets"], "--resamples", 999, "--metric", "accuracy"),
        *("--by-attribute", "distance=6000", "--out", tmp_path / "c.json"),
        *("--out", tmp_path / "c.md", "--out", tmp_path / "c.csv"),
        *("--figures", tmp_path / "figures"),
    )
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "by distance" in said
    assert "below 6,000" in said
    assert "6,000 and more" in said
    assert "Does the difference grow with an attribute of the question?" in said
    assert "by topic" not in said, "it was not asked for"
    record = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    (row,) = (
        row
        for row in record["attributes"]
        if (row["attribute"], row["metric"]) == ("distance", "accuracy")
    )
    assert row["verdict"] == "worse"
    assert "worse" in row["bins"][1]["row"]["verdict"]
    assert "| 6,000 and more |" in (tmp_path / "c.md").read_text(encoding="utf-8")
    with (tmp_path / "c.attributes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    far = [one for one in rows if (one["bin"], one["metric"]) == ("6,000 and more", "accuracy")]
    assert [(one["arm"], one["verdict"], one["slope_verdict"]) for one in far] == [
        ("int4-nf4", "worse", "worse")
    ]
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    for name in ("score-by-distance", "gap-by-distance", "score-by-topic", "gap-by-topic"):
        assert {f"{name}.svg", f"{name}.pdf"} <= drawn


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("distanc", "no question has it; they have distance, topic. Did you mean 'distance'?"),
        ("topic=1,2", "it is not a number: leave the edges out"),
        ("distance=2,1", "are not the edges of bins: give rising numbers"),
        ("distance=near", "are not the edges of bins: give rising numbers"),
        ("distance=", "are not the edges of bins: give rising numbers"),
    ],
)
def test_what_cannot_be_asked_for(arms: dict[str, Path], asked: str, message: str) -> None:
    done = qrag("compare", arms["base"], arms["forgets"], "--by-attribute", asked)
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())


def test_too_many_classes(tmp_path: Path) -> None:
    one, two = history(1), history(2)
    for number, sample in enumerate((*one, *two)):
        sample["doc"]["attributes"] = {"title": f"title {number % len(one)}"}
    runs = (
        write_run(tmp_path / "a", one),
        write_run(tmp_path / "b", two, model_args=QUANTIZED),
    )
    assert not compared(*runs).attributes
    with pytest.raises(SettingsError, match="it has 480 classes: give an attribute of 20 at most"):
        compared(*runs, attributes={"title": None})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "field 'attributes': expected an object"),
        ({"distance": None}, "attribute 'distance': expected a text or a number, got nothing"),
        ({"distance": True}, "attribute 'distance': expected a text or a number"),
    ],
)
def test_damaged_attributes(tmp_path: Path, given: Any, message: str) -> None:
    sample = rating(0, "p", "1", 1, attributes=given)
    run = write_run(tmp_path, [sample])
    (log,) = run.glob("samples_*.jsonl")
    with pytest.raises(DataError, match=message):
        list(SampleLog.at(log))


def foreign(wrong: int) -> list[dict[str, Any]]:
    """Samples of a task of lm_eval's own; the first are wrong."""
    return [
        {
            "doc_id": number,
            "doc": {
                "subject": ("law", "physics")[number % 2],
                "question": f"question {number} " + "word " * 20,
                "answer": number % 4,
                "hard": number > 50,
            },
            "target": str(number % 4),
            "arguments": {"gen_args_0": {"arg_0": f"question {number}", "arg_1": {}}},
            "resps": [["x"]],
            "filtered_resps": ["x"],
            "filter": "none",
            "metrics": ["acc"],
            "acc": float(number >= wrong),
        }
        for number in range(80)
    ]


def test_fields_of_other_tasks_are_attributes_where_they_are_asked_for(tmp_path: Path) -> None:
    runs = (
        write_run(tmp_path / "a", foreign(5), task="mmlu"),
        write_run(tmp_path / "b", foreign(30), task="mmlu", model_args=QUANTIZED),
    )
    assert not compared(*runs).attributes
    comparison = compared(*runs, attributes={"subject": None})
    (row,) = comparison.attributes
    assert [(one.label, one.samples) for one in row.bins] == [("law", 40), ("physics", 40)]
    assert row.bins[0].row.other == pytest.approx(25 / 40)
    with pytest.raises(SettingsError, match="no question has it; they have subject, answer"):
        compared(*runs, attributes={"question": None})


# ---------------------------------------------------------------------- figures
def test_a_figure_has_a_line_for_each_precision(comparison: Comparison) -> None:
    drawn = {figure.name: figure for figure in figures(comparison)}
    for name in ("score-by-distance", "gap-by-distance"):
        (axes,) = drawn[name].drawn.axes
        lines = {line.get_label() for line in axes.lines} - {None}
        arms = {"int4-nf4", "int8"} | ({"bf16"} if name.startswith("score") else set())
        assert {label for label in lines if not str(label).startswith("_")} == arms
        assert axes.get_xlabel() == "distance"
    (axes,) = drawn["score-by-topic"].drawn.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(TOPICS)


def test_records_hold_all_of_it(comparison: Comparison) -> None:
    record = nested(comparison)
    assert len(record["attributes"]) == len(comparison.attributes) == 2 * 2 * 3
    assert all("verdict" in row for row in record["attributes"])


def test_the_answer_says_with_what_losses_grow(comparison: Comparison) -> None:
    (said,) = (one for one in sentences(comparison) if "distance" in one)
    assert said.startswith("The loss grows with distance in 1 of 2 comparisons, most in model-1b")
    assert "int4-nf4 on lamp3u at k = 1 with bm25: mae +" in said
