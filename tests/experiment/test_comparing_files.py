"""Arms compared: what their files tell, hold wrongly, or held in earlier versions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from rated_arms import answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.errors import ComparisonError, DataError
from qrag_tasks.experiment.comparison.compare import compare_matched
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.matching import match_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.tables.records import nested
from qrag_tasks.experiment.comparison.verdicts import verdict
from qrag_tasks.experiment.report.report import make_report
from qrag_tasks.logs.runs import read_runs


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
    assert nested(again) == nested(first)
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
    with pytest.raises(DataError, match="line 60: cut after 522 bytes: its end is missing"):
        compared(base, base)
    log.write_bytes(whole.replace(b'"filter"', b'"fulter"', 1))
    with pytest.raises(DataError, match=r"line 1: field 'filter': expected text, got nothing"):
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
    comparison = compared(base, other)
    mae = comparison.cells[0].metrics[0]
    assert (mae.base, mae.other, mae.interval, mae.p) == (17, 17, None, None)
    assert comparison.notes == [
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
    comparison = compared(base, other)
    assert comparison.notes == [told]
    metrics = {row.metric: row for row in comparison.cells[0].metrics}
    assert metrics["accuracy"].p is not None
    if told is NOT_OF_BOTH:
        assert (metrics["mae"].interval, metrics["mae"].p) == (None, None)
        assert metrics["mae"].other == pytest.approx(27 / 60)
    else:
        assert "mae" not in metrics
    page = make_report(match_runs(read_runs(base), [read_runs(other)]), Options(resamples=99), "t")
    assert page.comparison.notes == [told]


def test_a_sample_without_an_answer_is_told(base: Path, tmp_path: Path) -> None:
    """As of a server that sent none: it is empty, and not the text "None"."""
    rows = samples(answers(6))
    rows[7]["filtered_resps"] = [None]
    silent = write_run(tmp_path / "silent", rows, model_args=QUANTIZED)
    comparison = compared(base, silent)
    assert comparison.cells[0].agreement.same_text == pytest.approx(59 / 60)
    assert comparison.notes == [
        "model-1b int4-nf4 on lamp3u_rag_k1, bm25: 1 sample without an answer in the log, which is "
        "compared as an empty text"
    ]
    rows[7]["filtered_resps"] = ["None"]
    speaking = write_run(tmp_path / "speaking", rows, model_args=QUANTIZED)
    assert compared(silent, speaking).cells[0].agreement.same_text == pytest.approx(59 / 60)


def test_noise_of_an_arm_that_is_not_known_is_nobodys(base: Path, other: Path) -> None:
    noise = [{"identity": None, "tasks": [{"task": "lamp3u_rag_k1", "equal": 0.98}]}]
    assert compared(base, other, noise=noise).cells[0].noise is None
