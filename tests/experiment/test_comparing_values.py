"""Arms compared: what the rows say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from rated_arms import GOLDS, answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.experiment.comparison.agreement import divergence
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.metric_rows import recovery
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.tables.records import flat, nested
from qrag_tasks.experiment.comparison.tables.texts import (
    records,
    trend_records,
)
from qrag_tasks.experiment.comparison.verdicts import verdict
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.statistics import difference_interval, permutation_p
from qrag_tasks.logs.runs import read_runs


def test_a_cell(base: Path, other: Path) -> None:
    comparison = compared(base, other)
    (cell,) = comparison.cells
    assert (cell.base.label, cell.other.label) == ("model-1b bf16", "model-1b int4-nf4")
    assert (cell.facts["lamp_task"], cell.facts["k"], cell.kept) == ("lamp3u", "1", 1)
    assert (cell.samples, cell.users) == (60, 60)
    assert (cell.base.valid_rate, cell.other.valid_rate) == (1, pytest.approx(57 / 60))
    assert cell.base.runaway_rate is None
    assert cell.agreement.same_text == cell.agreement.same_answer == pytest.approx(48 / 60)
    assert [row.metric for row in cell.metrics] == ["mae", "rmse", "accuracy"]
    mae, rmse, accuracy = cell.metrics
    assert (mae.base, mae.other) == (pytest.approx(6 / 60), pytest.approx((15 + 12) / 60))
    assert mae.difference == pytest.approx(21 / 60)
    assert mae.recovery == pytest.approx(6 / 27)
    assert rmse.base == pytest.approx(math.sqrt(6 / 60))
    assert (accuracy.base, accuracy.other) == (0.9, pytest.approx(42 / 60))
    assert accuracy.recovery == pytest.approx(42 / 54)
    for row in (mae, rmse, accuracy):
        assert row.flips is not None
        assert (row.flips.better, row.flips.worse, row.flips.same) == (0, 12, 48)
        assert row.interval is not None
        assert row.interval.low < row.difference < row.interval.high
        assert row.p is not None
        assert row.p < 0.01
        assert row.p_holm == row.p, "one cell: nothing to correct for"
        assert row.equivalence_p is not None
        assert row.equivalence_p > 0.9
        assert row.smallest_effect is not None
        assert 0 < row.smallest_effect < 1
        assert verdict(row) == "worse"
    values = [sample["mae"] for sample in samples(answers(6))]
    others = [sample["mae"] for sample in samples(answers(15, 3))]
    expected = difference_interval(values, others, resamples=999)
    assert expected is not None
    assert mae.interval is not None
    assert mae.interval.low == pytest.approx(expected.low)
    assert mae.interval.high == pytest.approx(expected.high)
    assert mae.p == permutation_p(values, others, resamples=999)


def test_thoughts_that_were_cut(tmp_path: Path) -> None:
    def with_thoughts(cut: int) -> list[dict[str, Any]]:
        return [
            {
                **sample,
                "metrics": [*sample["metrics"], "unfinished_thought_rate"],
                "unfinished_thought_rate": float(number < cut),
            }
            for number, sample in enumerate(samples(answers(0)))
        ]

    one = write_run(tmp_path / "one", with_thoughts(0))
    two = write_run(tmp_path / "two", with_thoughts(15), model_args=QUANTIZED)
    (cell,) = compared(one, two).cells
    assert cell.base.unfinished_thought_rate == 0.0
    assert cell.other.unfinished_thought_rate == 15 / 60
    # The texts are equal; what a thought says is no answer.
    assert (cell.agreement.same_text, cell.agreement.same_answer) == (1.0, 45 / 60)
    assert "unfinished_thought_rate" not in [row.metric for row in cell.metrics]
    (record, *_) = flat(compare_runs(read_runs(one), [read_runs(two)], Options(resamples=99)))
    assert record["base_unfinished_thought_rate"] == 0.0
    assert record["unfinished_thought_rate"] == 15 / 60


def test_equal_arms_are_equivalent(base: Path, tmp_path: Path) -> None:
    twin = write_run(tmp_path / "twin", samples(answers(6)), model_args=QUANTIZED)
    (cell,) = compared(base, twin, margins={"mae": 0.2}).cells
    mae = cell.metrics[0]
    assert cell.agreement.same_text == 1
    assert cell.agreement.overlap == 1
    assert (mae.difference, mae.p) == (0, 1)
    assert verdict(mae) == "equivalent"
    # Sixty samples do not show that differences are below 0.01, though none was seen.
    (cell,) = compared(base, twin, margins={"mae": 0.01}).cells
    assert verdict(cell.metrics[0]) == "undecided"


def test_users_are_drawn_as_a_whole(tmp_path: Path) -> None:
    few = [
        write_run(tmp_path / name, samples(given, users=6), model_args=arguments)
        for name, given, arguments in (
            ("one", answers(6), {}),
            ("two", answers(15, 3), QUANTIZED),
        )
    ]
    (cell,) = compared(*few).cells
    assert cell.users == 6
    values = [
        [sample["mae"] for sample in samples(given)] for given in (answers(6), answers(15, 3))
    ]
    assert cell.metrics[0].interval == difference_interval(
        *values, clusters=[i % 6 for i in range(60)], resamples=999
    )
    assert cell.metrics[0].interval != difference_interval(*values, resamples=999)


def test_several_cells_are_corrected_together(tmp_path: Path) -> None:
    folders = []
    for name, arguments, wrong in (("one", {}, 6), ("two", QUANTIZED, 13)):
        for k in ("0", "1", "3"):
            write_run(
                tmp_path / name / k,
                samples(answers(wrong + 2 * int(k) * (wrong > 6)), kept=["d"] * int(k)),
                task=f"lamp3u_rag_k{k}",
                model_args=arguments,
            )
        folders.append(tmp_path / name)
    comparison = compared(*folders)
    assert [cell.facts["k"] for cell in comparison.cells] == ["0", "1", "3"]
    p = [cell.metrics[0].p for cell in comparison.cells]
    corrected = [cell.metrics[0].p_holm for cell in comparison.cells]
    assert sorted(p)[0] * 3 == pytest.approx(min(corrected))  # type: ignore[type-var]
    trend = next(row for row in comparison.trends if row.metric == "mae")
    assert (trend.k, trend.documents) == (["0", "1", "3"], [0, 1, 3])
    # 7, 9 and 13 more errors of one, of 60 samples.
    assert trend.slope == pytest.approx(2 / 60)
    assert trend.interval is not None
    assert trend.interval.low < trend.slope < trend.interval.high


def test_without_golds_agreement_is_left(tmp_path: Path) -> None:
    def blind(given: list[str]) -> list[dict[str, Any]]:
        return [{**sample, "metrics": ["valid_rate"]} for sample in samples(given)]

    one = write_run(tmp_path / "one", blind(answers(6)))
    two = write_run(tmp_path / "two", blind(answers(15)), model_args=QUANTIZED)
    comparison = compared(one, two)
    (cell,) = comparison.cells
    assert cell.metrics == []
    assert cell.agreement.same_answer == pytest.approx(51 / 60)
    assert cell.agreement.overlap == pytest.approx(51 / 60)
    (record,) = records(comparison)
    assert record["Same answers"] == "85.0%"
    assert flat(comparison)[0]["same_answer"] == cell.agreement.same_answer


def test_an_answer_is_what_the_task_reads(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", samples([f"{gold}" for gold in GOLDS]))
    two = write_run(tmp_path / "two", samples([f"{gold} " for gold in GOLDS]), model_args=QUANTIZED)
    (cell,) = compared(one, two).cells
    assert (cell.agreement.same_text, cell.agreement.same_answer) == (0, 1)


def test_likelihoods(tmp_path: Path) -> None:
    def measured(logprobs: list[float]) -> list[dict[str, Any]]:
        return [
            {
                "doc_id": 0,
                "doc": {"question": "?"},
                "target": "0",
                "arguments": {
                    f"gen_args_{i}": {"arg_0": "q", "arg_1": f" {answer}"}
                    for i, answer in enumerate("ab")
                },
                "resps": [],
                "filtered_resps": [[str(value), "False"] for value in logprobs],
                "filter": "none",
                "metrics": ["acc"],
                "acc": 1.0,
            }
        ]

    one = write_run(tmp_path / "one", measured([math.log(0.08), math.log(0.02)]), task="quiz")
    two = write_run(
        tmp_path / "two",
        measured([math.log(0.3), math.log(0.3)]),
        task="quiz",
        model_args=QUANTIZED,
    )
    (cell,) = compared(one, two).cells
    assert cell.agreement.divergence == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))
    assert cell.agreement.overlap is None
    assert cell.facts == {}
    assert divergence({"a": -1.0, "b": -2.0}, {"a": -11.0, "b": -12.0}) == pytest.approx(0)
    with pytest.raises(ValueError, match="over different answers"):
        divergence({"a": -1.0}, {"b": -1.0})


@pytest.mark.parametrize(
    ("base_score", "score", "better", "expected"),
    [
        (0.5, 0.4, True, 0.8),
        (0.4, 0.5, False, 0.8),
        (0.0, 0.1, True, None),
        (0.1, 0.0, False, None),
        (0.5, 0.4, None, None),
        (-1.0, 1.0, True, None),
    ],
)
def test_recovery(
    base_score: float, score: float, better: bool | None, expected: float | None
) -> None:
    assert recovery(base_score, score, better) == expected


def test_two_users_are_too_few(tmp_path: Path) -> None:
    folders = []
    for name, arguments, wrong in (("one", {}, 6), ("two", QUANTIZED, 40)):
        for k in ("0", "1", "3"):
            rows = samples(answers(wrong), users=2, kept=["d"] * int(k))
            task = f"lamp3u_rag_k{k}"
            write_run(tmp_path / name / k, rows, task=task, model_args=arguments)
        folders.append(tmp_path / name)
    comparison = compared(*folders)
    for cell in comparison.cells:
        for row in cell.metrics:
            assert (row.units, row.interval, row.bound, row.p) == (2, None, None, None)
            assert (row.equivalence_p, row.smallest_effect, verdict(row)) == (None, None, "too few")
    assert all((row.interval, row.p) == (None, None) for row in comparison.trends)
    record = records(comparison)[0]
    assert (record["95 % interval"], record["Verdict"]) == ("too few", "too few")
    trends = trend_records(comparison)[0]
    assert (trends["95 % interval"], trends["Verdict"]) == ("too few", "too few")
    assert flat(comparison)[0]["verdict"] == "too few"
    record = nested(comparison)
    assert (
        record["cells"][0]["metrics"][0]["verdict"] == record["trends"][0]["verdict"] == "too few"
    )
    counts, largest, line = sentences(comparison)
    assert "0 undecided; in 3 too few samples or users, or too few that differ, allow" in counts
    assert "(+0.567; too few samples or users for an interval)" in largest
    assert line.startswith("Whether the difference grows with the documents cannot be tested: ")


def test_few_that_differ_are_bounded(tmp_path: Path, base: Path) -> None:
    two = write_run(tmp_path / "two", samples(answers(8)), model_args=QUANTIZED)
    comparison = compared(base, two)
    mae, _, accuracy = comparison.cells[0].metrics
    assert (mae.units, mae.differing, mae.interval, mae.p) == (60, 2, None, None)
    assert verdict(mae) == "too few"
    # Clopper and Pearson: with 2 of 60 that differ, at most a tenth do, by at most 4 stars.
    assert mae.bound == pytest.approx(4 * 0.1012, rel=0.01)
    assert accuracy.bound == pytest.approx(0.1012, rel=0.01)
    record = records(comparison)[0]
    assert record["95 % interval"] == f"within ±{mae.bound:.4f}"
    counts, largest, _ = sentences(comparison)
    assert counts.startswith("Of 1 comparison of int4-nf4 with bf16 on identical prompts, ")
    assert f"; 2 of 60 differ, so that it can be ±{mae.bound:.3f} at most)" in largest
    # The bound shows equivalence all the same where the margin is wide.
    (cell,) = compared(base, two, margins={"accuracy": 0.11}).cells
    assert verdict(cell.metrics[2]) == "equivalent"


def test_arms_that_are_right_throughout(tmp_path: Path) -> None:
    one, two = (
        write_run(tmp_path / name, samples(answers(0)), model_args=arguments)
        for name, arguments in (("one", {}), ("two", QUANTIZED))
    )
    mae, rmse, accuracy = compared(one, two, margins={"accuracy": 0.05}).cells[0].metrics
    share = 1 - 0.05 ** (1 / 60)
    for row, reach in ((mae, 4 * share), (rmse, 4 * math.sqrt(share)), (accuracy, share)):
        assert row.interval is not None
        assert (row.interval.low, row.interval.high) == pytest.approx((-reach, reach))
        assert row.smallest_effect is None
    assert verdict(accuracy) == "equivalent"
    assert verdict(mae) == "undecided"


def test_a_root_mean_is_one_where_the_base_is_right_throughout(tmp_path: Path) -> None:
    # Mean and root mean of zeros are alike; those of the other arm's squares are not.
    one = write_run(tmp_path / "one", samples(answers(0)))
    two = write_run(tmp_path / "two", samples(answers(15)), model_args=QUANTIZED)
    rmse = compared(one, two).cells[0].metrics[1]
    assert (rmse.base, rmse.other) == (0, 0.5)


def test_what_the_correction_makes_impossible_is_told(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", samples(answers(0)))
    others = [
        write_run(
            tmp_path / f"two-{number}",
            samples(answers(6 + number % 2)),
            model_args={**QUANTIZED, "pretrained": f"org/model-{number}"},
        )
        for number in range(4)
    ]
    comparison = compared(one, *others)
    mae = [cell.metrics[0] for cell in comparison.cells]
    # Six or seven that differ, all one way, have exact p of 2 in 64 and in 128.
    assert sorted({row.smallest_p for row in mae if row.smallest_p}) == [2 / 128, 2 / 64]
    assert {verdict(row) for row in mae} == {"undecided"}
    assert (
        "mae: corrected for 4 comparisons, the p of 4 of them could not fall below 0.05, however "
        "the arms differ: as few units differ there, the smallest p is up to 0.031"
    ) in comparison.notes
