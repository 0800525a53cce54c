"""Arms compared: what pairs, what is refused and how it is told, and what the rows say."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import ComparisonError, DataError
from qrag_tasks.experiment.comparison.agreement import divergence
from qrag_tasks.experiment.comparison.compare import (
    Options,
    compare_matched,
    compare_runs,
    recovery,
)
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.matching import match_runs
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.latex import latex
from qrag_tasks.experiment.comparison.tables.markdown import markdown
from qrag_tasks.experiment.comparison.tables.records import csv_text, flat
from qrag_tasks.experiment.comparison.tables.texts import (
    cell_table,
    records,
    trend_records,
)
from qrag_tasks.experiment.comparison.verdicts import verdict
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.report.report import make_report
from qrag_tasks.experiment.statistics import difference_interval, permutation_p
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(60)]
TEMPLATE = "{% for turn in turns %}" + "{{ turn }}" * 5 + "user"
PROMPTS = [f"review {i}\u2028: {{{{ braces }}}} näher" for i in range(60)]


def answers(wrong: int, invalid: int = 0) -> list[str]:
    """The gold but for some: one off, or nothing that could be read."""
    found = [str(gold) for gold in GOLDS]
    for i in range(wrong):
        found[i] = str(GOLDS[i] - 1 or 2)
    for i in range(wrong, wrong + invalid):
        found[i] = "a good book"
    return found


def samples(given: list[str], users: int = 60, **doc: Any) -> list[dict[str, Any]]:
    rows = enumerate(zip(PROMPTS, given, GOLDS, strict=True))
    return [rating(i, p, a, g, f"user-{i % users}", **doc) for i, (p, a, g) in rows]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_run(tmp_path / "base", samples(answers(6)))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_run(tmp_path / "other", samples(answers(15, 3)), model_args=QUANTIZED)


def compared(one: Path, *others: Path, **options: Any) -> Comparison:
    options.setdefault("resamples", 999)
    runs = [read_runs(other) for other in others]
    return compare_runs(read_runs(one), runs, Options(**options))


# ---------------------------------------------------------------------- what the rows say
def test_a_cell(base: Path, other: Path) -> None:
    found = compared(base, other)
    (cell,) = found.cells
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


def test_runs_of_earlier_versions(tmp_path: Path) -> None:
    """They have the standard error of ``rmse`` as a metric of its own, of every sample too."""

    def earlier(wrong: int) -> list[dict[str, Any]]:
        return [
            {**row, "metrics": [*row["metrics"], "rmse_stderr"], "rmse_stderr": row["rmse"]}
            for row in samples(answers(wrong))
        ]

    runs = []
    for name, wrong, arguments in (("one", 6, {}), ("two", 15, QUANTIZED)):
        task = "lamp3u_rag_k1"
        folder = write_run(tmp_path / name, earlier(wrong), model_args=arguments)
        (path,) = folder.glob("results_*.json")
        body = json.loads(path.read_text(encoding="utf-8"))
        body["results"][task] |= {"rmse_stderr,none": 0.1, "rmse_stderr_stderr,none": "N/A"}
        body["higher_is_better"][task]["rmse_stderr"] = False
        path.write_text(json.dumps(body), encoding="utf-8")
        runs.append(folder)
    (cell,) = compared(*runs).cells
    assert [row.metric for row in cell.metrics] == ["mae", "rmse", "accuracy"]
    assert cell.metrics[1].other == pytest.approx(math.sqrt(15 / 60))
    mixed = write_run(tmp_path / "now", samples(answers(15)), model_args=QUANTIZED)
    (cell,) = compared(runs[0], mixed).cells
    assert [row.metric for row in cell.metrics] == ["mae", "rmse", "accuracy"]


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


@pytest.mark.parametrize("user", ["", "profile-0123456789abcdef"])
def test_questions_without_a_profile_are_not_one_user(user: str, tmp_path: Path) -> None:
    # As earlier versions logged them: all empty profiles have one hash.
    one, two = (
        write_run(
            tmp_path / name,
            [
                {**row, "doc": {**row["doc"], "user": user, "profile_size": 0}}
                for row in samples(given)
            ],
            model_args=arguments,
        )
        for name, given, arguments in (("one", answers(6), {}), ("two", answers(15, 3), QUANTIZED))
    )
    (cell,) = compared(one, two).cells
    assert cell.users == 60
    assert verdict(cell.metrics[0]) == "worse"


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
    found = compared(*folders)
    assert [cell.facts["k"] for cell in found.cells] == ["0", "1", "3"]
    p = [cell.metrics[0].p for cell in found.cells]
    corrected = [cell.metrics[0].p_holm for cell in found.cells]
    assert sorted(p)[0] * 3 == pytest.approx(min(corrected))  # type: ignore[type-var]
    trend = next(row for row in found.trends if row.metric == "mae")
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
    found = compared(one, two)
    (cell,) = found.cells
    assert cell.metrics == []
    assert cell.agreement.same_answer == pytest.approx(51 / 60)
    assert cell.agreement.overlap == pytest.approx(51 / 60)
    (record,) = records(found)
    assert record["Same answers"] == "85.0%"
    assert flat(found)[0]["same_answer"] == cell.agreement.same_answer


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


def test_cost_and_noise_stand_beside_it(tmp_path: Path) -> None:
    def ours(folder: str, precision: str, scale: float) -> Path:
        qrag = {
            "precision": precision,
            "identity": precision,
            "arm": {"weights": {"bytes": int(1000 * scale)}},
            "cost": {"run_seconds": 50 / scale, "peak_device_bytes": None, "energy_joules": 0},
            "decoding": {"end_tokens": [2]},
        }
        return write_run(
            tmp_path / folder, samples(answers(6)), config={"model": "qrag", "qrag": qrag}
        )

    noise = {"identity": "fp16", "tasks": [{"task": "lamp3u_rag_k1", "equal": 0.98}]}
    one, two = ours("one", "fp16", 1), ours("two", "int4-awq", 0.25)
    (cell,) = compared(one, two, noise=[{"identity": "other", "tasks": []}, noise]).cells
    assert cell.cost == {"weight_bytes": 0.25, "run_seconds": 4}
    assert cell.noise == noise["tasks"][0]
    (cell,) = compared(one, two).cells
    assert cell.noise is None


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
    found = compared(*folders)
    for cell in found.cells:
        for row in cell.metrics:
            assert (row.units, row.interval, row.bound, row.p) == (2, None, None, None)
            assert (row.equivalence_p, row.smallest_effect, verdict(row)) == (None, None, "too few")
    assert all((row.interval, row.p) == (None, None) for row in found.trends)
    told = records(found)[0]
    assert (told["95 % interval"], told["Verdict"]) == ("too few", "too few")
    trends = trend_records(found)[0]
    assert (trends["95 % interval"], trends["Verdict"]) == ("too few", "too few")
    assert flat(found)[0]["verdict"] == "too few"
    told = found.as_dict()
    assert told["cells"][0]["metrics"][0]["verdict"] == told["trends"][0]["verdict"] == "too few"
    counts, largest, line = sentences(found)
    assert "0 undecided; in 3 too few samples or users, or too few that differ, allow" in counts
    assert "(+0.567; too few samples or users for an interval)" in largest
    assert line.startswith("Too few samples or users, or too few that differ, tell whether")


def test_few_that_differ_are_bounded(tmp_path: Path, base: Path) -> None:
    two = write_run(tmp_path / "two", samples(answers(8)), model_args=QUANTIZED)
    found = compared(base, two)
    mae, _, accuracy = found.cells[0].metrics
    assert (mae.units, mae.differing, mae.interval, mae.p) == (60, 2, None, None)
    assert verdict(mae) == "too few"
    # Clopper and Pearson: with 2 of 60 that differ, at most a tenth do, by at most 4 stars.
    assert mae.bound == pytest.approx(4 * 0.1012, rel=0.01)
    assert accuracy.bound == pytest.approx(0.1012, rel=0.01)
    told = records(found)[0]
    assert told["95 % interval"] == f"within ±{mae.bound:.4f}"
    counts, largest, _ = sentences(found)
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
    found = compared(one, *others)
    mae = [cell.metrics[0] for cell in found.cells]
    # Six or seven that differ, all one way, have exact p of 2 in 64 and in 128.
    assert sorted({row.smallest_p for row in mae if row.smallest_p}) == [2 / 128, 2 / 64]
    assert {verdict(row) for row in mae} == {"undecided"}
    assert (
        "mae: corrected for 4 comparisons, the p of 4 of them could not fall below 0.05, however "
        "the arms differ: as few units differ there, the smallest p is up to 0.031"
    ) in found.notes


def test_equal_prompts_are_held_once(base: Path, other: Path) -> None:
    # Five arms of a grid are a gigabyte otherwise.
    one, two = (
        task.samples for (run,) in map(read_runs, (base, other)) for task in run.tasks.values()
    )
    for first, second in zip(one, two, strict=True):
        assert first.prompt
        assert first.prompt is second.prompt


def test_a_comparison_is_kept(base: Path, other: Path, tmp_path: Path) -> None:
    matched = match_runs(read_runs(base), [read_runs(other)])
    kept = KeptComparisons(tmp_path / "kept")
    options = Options(resamples=999)

    def refuse(members: Any, said: str) -> Any:
        if said == "checking files":
            return members
        raise AssertionError(f"{said} again")

    first = compare_matched(matched, options, kept)
    again = compare_matched(matched, options, kept, refuse)
    assert again.as_dict() == first.as_dict()
    for changed in (Options(resamples=999, seed=1), Options(resamples=999, margins={"mae": 1.0})):
        with pytest.raises(AssertionError, match="reading again"):
            compare_matched(matched, changed, kept, refuse)
    # Another answer, in as many bytes.
    (log,) = other.glob("samples_*")
    log.write_bytes(
        log.read_bytes().replace(b'"filtered_resps": ["5"]', b'"filtered_resps": ["4"]')
    )
    with pytest.raises(AssertionError, match="reading again"):
        compare_matched(match_runs(read_runs(base), [read_runs(other)]), options, kept, refuse)
    # What is damaged is made again.
    (file,) = kept.folder.iterdir()
    file.write_text("{", encoding="utf-8")
    assert kept.read(file.stem) is None
    # A folder that cannot be made keeps nothing, and harms nothing.
    (tmp_path / "file").write_text("", encoding="utf-8")
    nowhere = KeptComparisons(tmp_path / "file" / "kept")
    assert compare_matched(matched, options, nowhere).cells[0].samples == 60


# ---------------------------------------------------------------------- what arms are called
@pytest.mark.parametrize(
    ("model", "arguments", "named"),
    [
        ("hf", {"pretrained": "org/m/", "dtype": "float16"}, ("m", "fp16")),
        ("hf", {"pretrained": "org/m", "dtype": "auto"}, ("m", None)),
        ("vllm", {"pretrained": "org/m", "dtype": "half"}, ("m", "fp16")),
        ("vllm", {"pretrained": "org/m", "dtype": "auto"}, ("m", None)),
        ("vllm", {"pretrained": "m", "quantization": "fp8", "dtype": "bfloat16"}, ("m", "fp8")),
        ("local-completions", {"model": "served", "base_url": "http://a/b"}, ("served", None)),
        ("qrag", {"precision": "int8"}, ("embedded", None)),
        ("dummy", {}, ("dummy", None)),
    ],
)
def test_what_results_tell_of_an_arm(
    tmp_path: Path, model: str, arguments: dict[str, str], named: tuple[str, str | None]
) -> None:
    folder = write_run(
        tmp_path / "run",
        samples(answers(6)),
        # lm_eval's own, where it finds no name in the arguments.
        model_name="random-word-hill",
        config={"model": model, "model_args": arguments},
    )
    (run,) = read_runs(folder)
    assert (run.name, run.precision) == named


def test_arms_that_results_do_not_tell_apart(tmp_path: Path) -> None:
    """Of two servers, or of two checkpoints of one precision, no line may be made of both."""
    folders = []
    for name, wrong in (("base", 6), ("four", 9), ("five", 12)):
        for k in (1, 3):
            write_run(
                tmp_path / name / "org__m" / str(k),
                samples(answers(wrong), kept=["d"] * k),
                task=f"lamp3u_rag_k{k}",
                config={"model": "local-completions", "model_args": {"model": "m"}},
            )
        folders.append(tmp_path / name)
    found = compared(*folders)
    assert {row["Other"] for row in records(found)} == {"four", "five"}
    assert {row["Base"] for row in records(found)} == {"base"}
    trends = [(row.arm, row.k) for row in found.trends if row.metric == "mae"]
    assert trends == [("five", ["1", "3"]), ("four", ["1", "3"])]
    out = tmp_path / "out.csv"
    base, four, five = folders
    arms = [f"fp16={base}", f"int4={four}", five, "--resamples", 199, "--out", out]
    done = CliRunner().invoke(main, ["compare", *map(str, arms)])
    assert done.exit_code == 0, done.output
    assert "lamp3u, mae ↓: m against fp16" in done.stdout
    with out.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {(row["base_arm"], row["arm"], row["precision"]) for row in table} == {
        ("fp16", "int4", ""),
        ("fp16", "five", ""),
    }
    done = CliRunner().invoke(main, ["compare", f"a={base}", f"a={four}"])
    assert "two arms are called a: give each a name of its own" in done.output
    done = CliRunner().invoke(main, ["compare", str(base), "int4=nowhere"])
    assert "nowhere: no such file or folder" in done.output


def test_a_folder_with_an_equals_sign(tmp_path: Path) -> None:
    one = write_run(tmp_path / "lr=1", samples(answers(6)))
    two = write_run(tmp_path / "lr=2", samples(answers(9)), model_args=QUANTIZED)
    done = CliRunner().invoke(main, ["compare", str(one), str(two), "--resamples", "99"])
    assert done.exit_code == 0, done.output
    assert "model-1b int4-nf4 against bf16" in done.stdout


def test_what_takes_a_second_to_import_is_left(base: Path, other: Path, tmp_path: Path) -> None:
    heavy = {"lm_eval", "matplotlib", "nltk", "pandas", "scipy.stats", "sklearn", "statsmodels"}
    code = (
        "import sys; from qrag_tasks.cli import main; "
        "main(['compare', *sys.argv[1:]], standalone_mode=False); "
        f"print('imported', sorted({heavy!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(base), str(other)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "QRAG_CACHE": str(tmp_path / "cache")},
    )
    # Texts were compared, and a test of every kind was made.
    assert "worse" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported []"


def test_progress_is_shown_on_a_terminal_alone(
    base: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ["report", str(base), str(other), "-o", str(tmp_path / "page.html")]
    for forced, cache, shown in (
        ("", "one", []),
        ("1", "two", ["checking files", "reading", "comparing", "packing samples"]),
        # What the comparison found is kept.
        ("1", "two", ["checking files", "packing samples"]),
    ):
        # What rich takes for a terminal.
        monkeypatch.setenv("FORCE_COLOR", forced)
        monkeypatch.setenv("QRAG_CACHE", str(tmp_path / cache))
        done = CliRunner().invoke(main, report)
        assert done.exit_code == 0, done.output
        known = ("checking files", "reading", "comparing", "packing samples")
        bars = [said for said in known if said in done.stderr]
        assert bars == shown
        assert ("1/1" in done.stderr) == bool(shown)


# ---------------------------------------------------------------------- what is refused
def refused(one: Path, two: Path, **options: Any) -> str:
    with pytest.raises(ComparisonError) as error:
        compared(one, two, **options)
    return str(error.value)


def test_other_prompts(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[7]["arguments"]["gen_args_0"]["arg_0"] = PROMPTS[7].replace("näher", "naher")
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    message = refused(base, two)
    place = PROMPTS[7].index("ä")
    assert f"sample 90007: its prompts differ from character {place} on:" in message
    assert "näher" in message
    assert "naher" in message
    assert str(base) in message
    assert str(two) in message


def test_a_prompt_that_only_goes_on(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[0]["arguments"]["gen_args_0"]["arg_0"] += "!"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert f"differ from character {len(PROMPTS[0])} on" in refused(base, two)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chat_template_sha": None}, "they differ in chat template: '{% for turn in turns %}{{ t"),
        ({"system_instruction_sha": "e"}, "they differ in system instruction: None and 'e'"),
        ({"fewshot_as_multiturn": True}, "they differ in few-shot examples as turns"),
        ({"config": {"gen_kwargs": {"temperature": 1}}}, "they differ in generation arguments: {}"),
        ({"facts": {"data_sha256": "e"}}, "they differ in data: 'ddd"),
        ({"facts": {"answer": "likelihood"}}, "they differ in answer mode: 'generate' and 'like"),
        ({"facts": {"protocol": "lamp"}}, "they differ in protocol: 'qrag' and 'lamp'"),
        (
            {"chat_template_sha": "e", "chat_template": TEMPLATE.replace("user", "human")},
            "they differ in chat template: from character 73 on: '{{ turn }}",
        ),
        (
            {"system_instruction_sha": "e", "system_instruction": "Be brief."},
            "they differ in system instruction: None and 'Be brief.'",
        ),
        ({"facts": {"retriever": "random"}}, "they differ in retriever: 'bm25' and 'random'"),
    ],
)
def test_other_settings_are_named_as_the_cause(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    base = write_run(tmp_path / "base", samples(answers(6)), chat_template=TEMPLATE)
    rows = samples(answers(6))
    for row in rows:
        # What such settings do to prompts must not hide them.
        row["arguments"]["gen_args_0"]["arg_0"] += "<|end|>"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED, **changes)
    assert told in refused(base, two)


def test_a_retriever_of_another_version_matters_where_prompts_differ(
    base: Path, tmp_path: Path
) -> None:
    changed = {"facts": {"retriever_sha256": "e"}, "model_args": QUANTIZED}
    same = write_run(tmp_path / "same", samples(answers(6)), **changed)
    assert compared(base, same).cells[0].agreement.same_text == 1
    rows = samples(answers(6))
    rows[0]["arguments"]["gen_args_0"]["arg_0"] += "!"
    other = write_run(tmp_path / "other", rows, **changed)
    message = refused(base, other)
    assert "sample 90000: its prompts differ from character" in message
    assert "Their retrievers differ in options, version or code: rank both by the" in message


def test_without_documents_the_retriever_is_no_matter(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / name,
            samples(answers(6)),
            task="lamp3u_rag_k0",
            facts={"retriever": name, "order": name},
            model_args=arguments,
        )
        for name, arguments in (("bm25", {}), ("random", QUANTIZED))
    )
    found = compared(one, two)
    assert found.cells[0].agreement.same_text == 1
    for record in (flat(found)[0], found.as_dict()["cells"][0]["facts"]):
        assert (record["k"], record["retriever"], record["order"]) == ("0", "none", None)


def test_one_document_has_no_order(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / name,
            samples(answers(6)),
            facts={"order": name},
            model_args=arguments,
        )
        for name, arguments in (("best-first", {}), ("reversed", QUANTIZED))
    )
    assert {record["order"] for record in flat(compared(one, two))} == {None}


def test_an_order_is_shown_where_it_varies(tmp_path: Path) -> None:
    arms = []
    for name, arguments in (("one", {}), ("two", QUANTIZED)):
        for order in ("best-first", "reversed"):
            for k in (0, 1, 3):
                # With one document or none, as in a grid, it is run once.
                if k == 3 or order == "best-first":
                    write_run(
                        tmp_path / name / f"{k}{order}",
                        samples(answers(6), kept=["d"] * k),
                        task=f"lamp3u_rag_k{k}",
                        facts={"order": order},
                        model_args=arguments,
                    )
        arms.append(tmp_path / name)
    found = compared(*arms)
    assert [(row["k"], row["Retriever"], row["Order"]) for row in records(found)] == [
        ("0", "none", ""),
        ("1", "bm25", ""),
        ("3", "bm25", "best-first"),
        ("3", "bm25", "reversed"),
    ]
    assert "Order" in cell_table(found).headings
    # What has no retriever or no order belongs to the lines of all.
    trends = [(row.order, row.k) for row in found.trends if row.metric == "mae"]
    assert trends == [("best-first", ["0", "1", "3"]), ("reversed", ["0", "1", "3"])]


def test_other_golds(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[5]["target"] = "3"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert "sample 90005: its golds differ: '1' and '3'" in refused(base, two)


def test_other_stop_strings(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    for row in rows:
        row["arguments"]["gen_args_0"]["arg_1"]["until"] = ["\n"]
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert "sample 90000: its stop strings differ: [] and ['\\n']" in refused(base, two)


def test_other_orders(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / order, samples(answers(6)), task="lamp3u_rag_k3", facts={"order": order}
        )
        for order in ("best-first", "reversed")
    )
    assert "they differ in order: 'best-first' and 'reversed'" in refused(one, two)


def test_samples_that_only_one_has(base: Path, tmp_path: Path) -> None:
    fewer = write_run(tmp_path / "two", samples(answers(6))[10:50], model_args=QUANTIZED)
    message = refused(base, fewer)
    assert "the first alone has 20 (90000, 90001, 90002, ...), the second alone 0. Run" in message
    assert "--common" in message
    (cell,) = compared(base, fewer, common=True).cells
    assert cell.samples == 40
    none = write_run(tmp_path / "three", samples(answers(6))[:10], model_args=QUANTIZED)
    assert "they have no sample in common" in refused(fewer, none, common=True)


def test_arms_that_computed_in_another_dtype(base: Path, tmp_path: Path) -> None:
    """Their difference is not that of the weights alone; it is compared, and told."""
    wide = {"config": {"model_dtype": "torch.bfloat16"}}
    one = write_run(tmp_path / "bf16", samples(answers(6)), **wide)
    half = {"config": {"model_dtype": "torch.float16"}}
    two = write_run(tmp_path / "half", samples(answers(7)), model_args=QUANTIZED, **half)
    same = write_run(tmp_path / "same", samples(answers(7)), model_args=QUANTIZED, **wide)
    (note,) = compared(one, two).notes
    assert "bf16 computed in bfloat16 and model-1b int4-nf4 in float16" in note
    assert not compared(one, same).notes
    assert not compared(base, two).notes  # what is not logged is not known


def test_runs_of_other_tasks(base: Path, tmp_path: Path) -> None:
    two = write_run(tmp_path / "two", samples(answers(6)), task="lamp3u_rag_k3")
    told = "model-1b bf16 (two): lamp3u_rag_k3, bm25, best-first is not in the base"
    assert f"the runs have no task in common: {told}" in refused(base, two)
    write_run(two, samples(answers(7)), time="2026-11-23T00-00-00.5")
    found = compared(base, two)
    assert found.notes == [told]


def test_what_has_no_counterpart_is_one_note(base: Path, other: Path) -> None:
    for k in ("0", "3", "5", "10"):
        write_run(other / k, samples(answers(7)), task=f"lamp3u_rag_k{k}", model_args=QUANTIZED)
    write_run(base / "0", samples(answers(7)), task="lamp5u_rag_k1")
    assert compared(base, other).notes == [
        "model-1b int4-nf4: 4 tasks are not in the base: lamp3u_rag_k0, none, "
        "lamp3u_rag_k10, bm25, best-first, lamp3u_rag_k3, bm25, best-first, ...",
        "model-1b bf16: lamp5u_rag_k1, bm25 is not in model-1b int4-nf4",
    ]


def test_a_base_of_two_runs(base: Path, other: Path) -> None:
    write_run(base, samples(answers(6)), time="2026-11-23T00-00-00.5")
    assert "both of the base: name the folder of one arm's one run" in refused(base, other)


def test_a_sample_twice(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    two = write_run(tmp_path / "two", [*rows, rows[3]], model_args=QUANTIZED)
    assert "sample 90003 is there twice" in refused(base, two)


def test_samples_in_another_order(base: Path, other: Path, tmp_path: Path) -> None:
    turned = write_run(tmp_path / "turned", samples(answers(15, 3))[::-1], model_args=QUANTIZED)
    assert compared(base, turned).cells[0].metrics == compared(base, other).cells[0].metrics


def test_what_is_no_run(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_runs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ComparisonError, match=r"no results of lm_eval in this folder .*--log_samp"):
        read_runs(tmp_path / "empty")
    (log,) = base.glob("samples_*")
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])
    with pytest.raises(DataError, match="line 60: cut: its end is missing"):
        compared(base, base)
    log.write_bytes(whole.replace(b'"filter"', b'"fulter"', 1))
    with pytest.raises(DataError, match=r"line 1: not as lm_eval logs a sample \(KeyError"):
        compared(base, base)
    log.write_bytes(b"")
    with pytest.raises(DataError, match="empty: no sample was logged"):
        compared(base, base)
    log.unlink()
    with pytest.raises(ComparisonError, match=r"are not beside it .*--log_samples"):
        read_runs(base)
    (results,) = base.glob("results_*")
    results.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        read_runs(results)
    results.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="not a results file of lm_eval"):
        read_runs(results)


def test_a_score_that_is_none_of_ours(base: Path, other: Path) -> None:
    for folder in (base, other):
        (results,) = folder.glob("results_*")
        body = json.loads(results.read_bytes())
        body["results"]["lamp3u_rag_k1"]["mae,none"] = 17.0
        results.write_text(json.dumps(body), encoding="utf-8")
    found = compared(base, other)
    mae = found.cells[0].metrics[0]
    assert (mae.base, mae.other, mae.interval, mae.p) == (17, 17, None, None)
    assert found.notes == [
        "lamp3u_rag_k1: mae has no interval and no test: it is not the mean, the root mean square "
        "or the macro F1 of what is logged of the samples in both arms"
    ]


NOT_OF_BOTH = (
    "lamp3u_rag_k1: mae has no interval and no test: it is not the mean, the root mean square "
    "or the macro F1 of what is logged of the samples in both arms"
)
NOT_OF_EVERY_SAMPLE = (
    "lamp3u_rag_k1: mae is left out: it is not logged for every sample in both arms"
)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((value, NOT_OF_BOTH) for value in (math.nan, math.inf, 10**400)),
        *((value, NOT_OF_BOTH) for value in (None, "0.5", [1, 2, 3], [])),
        (KeyError, NOT_OF_EVERY_SAMPLE),
    ],
    ids=lambda one: str(one)[:8],
)
def test_a_value_that_is_no_score(value: Any, told: str, base: Path, other: Path) -> None:
    # In one arm alone, and what it reports is a number all the same.
    (log,) = other.glob("samples_*")
    first, *rest = map(json.loads, log.read_bytes().splitlines())
    del first["mae"]
    if value is not KeyError:
        first["mae"] = value
    log.write_text("\n".join(map(json.dumps, (first, *rest))), encoding="utf-8")
    found = compared(base, other)
    assert found.notes == [told]
    metrics = {row.metric: row for row in found.cells[0].metrics}
    assert metrics["accuracy"].p is not None
    if told is NOT_OF_BOTH:
        assert (metrics["mae"].interval, metrics["mae"].p) == (None, None)
        assert metrics["mae"].other == pytest.approx(27 / 60)
    else:
        assert "mae" not in metrics
    page = make_report(match_runs(read_runs(base), [read_runs(other)]), Options(resamples=99), "t")
    assert page.comparison.notes == [told]


def test_a_score_that_is_not_a_number(base: Path, other: Path, tmp_path: Path) -> None:
    (results,) = other.glob("results_*")
    body = json.loads(results.read_bytes())
    body["results"]["lamp3u_rag_k1"]["mae,none"] = math.nan
    results.write_text(json.dumps(body), encoding="utf-8")
    out = tmp_path / "table.json"
    done = CliRunner().invoke(main, ["compare", str(base), str(other), "--out", str(out)])
    assert done.exit_code == 0
    told = "note: lamp3u_rag_k1: mae is left out: it is not a finite number in both arms"
    assert told in done.stderr
    # Which JSON does not have.
    assert "NaN" not in out.read_text(encoding="utf-8")


# ---------------------------------------------------------------------- tables and the command
def test_the_command(base: Path, other: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"table{suffix}" for suffix in (".json", ".csv", ".parquet", ".tex", ".md")]
    arguments = [str(base), str(other), "--resamples", "999"]
    for out in outs:
        arguments += ["--out", str(out)]
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 0, done.output
    assert "0.1000" in done.stdout
    assert "worse" in done.stdout
    as_json = json.loads(outs[0].read_bytes())
    mae = as_json["cells"][0]["metrics"][0]
    assert mae["interval"]["low"] < 0.35 < mae["interval"]["high"]
    with outs[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["metric"] for row in rows] == ["mae", "rmse", "accuracy"]
    assert float(rows[0]["low"]) == mae["interval"]["low"]
    table = pyarrow.parquet.read_table(outs[2]).to_pylist()
    assert table[0]["difference"] == pytest.approx(0.35)
    assert table[0]["retriever"] == "bm25"
    assert outs[3].read_text(encoding="utf-8").count(" \\\\") == 3
    assert outs[4].read_text(encoding="utf-8").count("\n") == 3


def test_no_p_is_zero(base: Path, other: Path) -> None:
    found = compared(base, other)
    (cell,) = found.cells
    for p, shown in ((0.00049, "<0.001"), (0.0005, "0.001"), (0.0499, "0.050"), (None, "")):
        rows = [replace(row, p_holm=p) for row in cell.metrics]
        changed = replace(found, cells=[replace(cell, metrics=rows)])
        assert records(changed)[0]["p (Holm)"] == shown


def test_the_command_says_what_is_wrong(base: Path, other: Path, tmp_path: Path) -> None:
    def told(*arguments: object) -> str:
        done = CliRunner().invoke(main, ["compare", *map(str, arguments)])
        assert done.exit_code == 1
        assert not isinstance(done.exception, ComparisonError)
        return done.output

    assert "holds runs of lm_eval, and no plan.json" in told(base)
    (tmp_path / "empty").mkdir()
    assert "holds no grid: there is no plan.json" in told(tmp_path / "empty")
    (log,) = other.glob("samples_*")
    assert f"{log}: not named as a results file of lm_eval is" in told(base, log)
    known = "these runs have no such metric (they have mae, rmse, accuracy)."
    assert f"--metric foo: {known}\n" in told(base, other, "--metric", "foo")
    said = told(base, other, "--margin", "accuracyy=.1")
    assert f"--margin accuracyy: {known} Did you mean 'accuracy'?" in said
    assert "no such metric" in told(base, other, "--metric", "valid_rate")
    assert "give a metric and a size above 0" in told(base, other, "--margin", "mae")
    assert "give a metric and a size above 0" in told(base, other, "--margin", "mae=-1")
    # Before anything is read.
    for command, option, name, said in (
        ("compare", "--out", "x.xlsx", "name a file in .json, .csv, .parquet, .tex, .md"),
        ("compare", "--out", "no/x.csv", f"there is no folder {tmp_path / 'no'}. Make it first"),
        ("report", "-o", "x.pdf", "name a file in .html, .htm"),
        ("report", "-o", "no/x.html", f"there is no folder {tmp_path / 'no'}. Make it first"),
        ("report", "--figures", "file.csv/x", f"{tmp_path / 'file.csv'} is a file. Name a folder"),
    ):
        (tmp_path / "file.csv").write_text("", encoding="utf-8")
        arguments = [command, tmp_path / "nowhere", other, option, tmp_path / name]
        done = CliRunner().invoke(main, [*map(str, arguments)])
        assert (done.exit_code, said in done.output) == (1, True), done.output
    (tmp_path / "noise.json").write_text("[1]", encoding="utf-8")
    message = told(base, other, "--noise", tmp_path / "noise.json")
    assert "not as `qrag noise --out` writes it" in message


def test_tables_of_odd_names(base: Path, tmp_path: Path) -> None:
    odd = write_run(
        tmp_path / "odd", samples(answers(9)), model_args={"pretrained": "my_model|50%[x]"}
    )
    found = compared(base, odd)
    assert "my_model\\|50%[x]" in markdown(*cell_table(found))
    assert "my\\_model\\textbar{}50\\%[x]" in latex(found)
    assert next(csv.DictReader(io.StringIO(csv_text(flat(found)))))["model"] == "my_model|50%[x]"
    assert len(records(found, ["mae", "accuracy"])) == 2
    assert np.isfinite(found.cells[0].metrics[0].difference)
