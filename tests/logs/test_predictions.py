"""LaMP's answer files, from sample logs."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval_logs import samples_of
from sample_log_files import TIME, record, write_log, write_results

from qrag_tasks.errors import DataError, StoreError
from qrag_tasks.logs.predictions import Predictions, lamp_logs, read_predictions
from qrag_tasks.logs.sample_logs import SampleLog
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp import data as lamp_data


def answers_of(
    folder: Path, *lines: Mapping[str, Any], task: str = "lamp3u_rag_k5", cleaned: bool = False
) -> Predictions:
    """Read the answers of a complete run with these lines."""
    path = write_log(folder, *lines, task=task)
    write_results(path, len({line["doc"]["id"] for line in lines}), task)
    return read_predictions(SampleLog.at(path), cleaned)


def likelihoods(**logprobs: float) -> list[str]:
    """Return what is logged where likelihoods were measured; keys as ``r4``."""
    return [
        json.dumps({"answer": rating[1:], "logprob": logprob, "p": math.exp(logprob)})
        for rating, logprob in logprobs.items()
    ]


def measured(*lines: str) -> dict[str, Any]:
    """Return a line of a log with a request for each of these answers, as lm_eval writes it."""
    answers = [json.loads(line)["answer"] for line in lines]
    requests = {
        f"gen_args_{n}": {"arg_0": "<user>p", "arg_1": answer} for n, answer in enumerate(answers)
    }
    return record("1", *lines, arguments=requests)


def test_a_run_becomes_the_outputs_file_of_its_data(
    small_data: Path,
    tmp_path: Path,
    lm_eval_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    out = tmp_path / "out"
    done = lm_eval_command(
        *("--tasks", "lamp3u_rag_k1", "--model", "dummy", "--log_samples", "--output_path", out),
        *("--metadata", json.dumps({"data": str(small_data), "answer": "likelihood"})),
    )
    assert done.returncode == 0, done.stderr
    (log,), _ = lamp_logs([out])
    exported = read_predictions(log)
    assert (exported.total, exported.model, exported.warnings) == (3, "dummy", ())
    exported.write(small_data / "lamp3u" / "outputs.json")
    # The very form: our reader takes it, and refuses ids that are not those of the questions.
    samples = lamp_data.load(task_named("lamp3u"), str(small_data)).samples
    for sample, line in zip(samples, samples_of(out, "lamp3u_rag_k1"), strict=True):
        logprobs = [float(resp[0][0]) for resp in line["resps"]]
        assert sample.target == str(logprobs.index(max(logprobs)) + 1)


def test_the_form(tmp_path: Path) -> None:
    exported = answers_of(
        tmp_path,
        record("31", ' A \u8336 "title"\n', doc_id=2),
        record("4", "B", doc_id=0),
        task="lamp5t_rag_kmax4k",
    )
    out = tmp_path / "new" / "folder" / "a.json"
    exported.write(out)
    assert json.loads(out.read_text(encoding="ascii")) == {
        "task": "LaMP_5",
        "golds": [
            {"id": "4", "output": "B"},
            {"id": "31", "output": ' A \u8336 "title"\n'},
        ],
    }
    assert exported.file_name == f"predictions_lamp5t_rag_kmax4k_{TIME}.json"


@pytest.mark.parametrize(
    ("task", "answer", "cleaned"),
    [
        ("lamp1u_rag_k1", "It is [2].", "[2]"),
        ("lamp2u_rag_k1", "A Dark Comedy!", "dark comedy"),
        ("lamp3u_rag_k1", "**4** of 5", "4"),
        ("lamp3u_rag_k1", "great", ""),
        ("lamp5u_rag_k1", 'Title: "Birds"\nBecause', "Birds"),
    ],
)
def test_cleaned_answers(tmp_path: Path, task: str, answer: str, cleaned: str) -> None:
    line = record("1", answer)
    assert answers_of(tmp_path, line, task=task).answers == {"1": answer}
    assert answers_of(tmp_path, line, task=task, cleaned=True).answers == {"1": cleaned}


def test_a_thought_that_was_cut_holds_no_answer(tmp_path: Path) -> None:
    unfinished = {"metrics": ["unfinished_thought_rate"], "unfinished_thought_rate": 1.0}
    line = record("1", "The user gave 5", **unfinished)
    assert answers_of(tmp_path, line).answers == {"1": "The user gave 5"}
    assert answers_of(tmp_path, line, cleaned=True).answers == {"1": ""}


@pytest.mark.parametrize(
    ("logprobs", "likeliest"),
    [
        ({"r1": -2.0, "r2": -3.0, "r4": -0.5}, "4"),
        ({"r1": -2.0, "r2": -1.0, "r4": -1.0}, "2"),  # equal ones: the first, as the scores have it
        ({"r1": -9.0, "r2": -9.5, "r4": -700.0}, "1"),
    ],
)
def test_the_likeliest_answer(tmp_path: Path, logprobs: dict[str, float], likeliest: str) -> None:
    exported = answers_of(tmp_path, measured(*likelihoods(**logprobs)))
    assert exported.answers == {"1": likeliest}


def test_an_answer_that_cannot_be(tmp_path: Path) -> None:
    lines = [
        '{"answer": "based on a book", "logprob": -Infinity, "p": 0.0}',
        '{"answer": "sci-fi", "logprob": -3.5, "p": 1.0}',
    ]
    exported = answers_of(tmp_path, measured(*lines), task="lamp2u_rag_k1")
    assert exported.answers == {"1": "sci-fi"}


def test_likelihoods_that_are_no_numbers(tmp_path: Path) -> None:
    lines = likelihoods(r1=math.nan, r2=math.nan)
    with pytest.raises(DataError, match="line 1: the likelihoods are nan"):
        answers_of(tmp_path, measured(*lines))


def test_several_answers_without_likelihoods(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: 2 answers to one question, and no likelihoods"):
        answers_of(tmp_path, record("1", "4", "5"))
    # A single answer is the model's own text, whatever it looks like.
    (text,) = likelihoods(r1=-0.5)
    assert answers_of(tmp_path, record("1", text)).answers == {"1": text}


def test_no_answer_is_not_exported_as_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: there is no answer: the log holds null"):
        answers_of(tmp_path, record("1", filtered_resps=[None]))
    foreign = record("1", "4", doc={"id": 1, "text": "?"})
    del foreign["doc"]["ranked"]
    with pytest.raises(DataError, match="line 1: not a sample of a task of ours"):
        answers_of(tmp_path, foreign)


def test_the_first_filter_counts(tmp_path: Path) -> None:
    first = [record("1", "4", doc_id=0), record("2", "3", doc_id=1)]
    others = [record("1", "x", doc_id=0, filter="strict"), record("2", "y", filter="strict")]
    exported = answers_of(tmp_path, *first, *others)
    assert exported.answers == {"1": "4", "2": "3"}
    assert exported.warnings == ("answers by the filter none only, not by strict",)


def test_a_question_that_is_answered_twice(tmp_path: Path) -> None:
    lines = [record("1", "4"), record("2", "4", doc_id=1), record("1", "4")]
    exported = answers_of(tmp_path, *lines)
    assert exported.answers == {"1": "4", "2": "4"}
    assert exported.warnings == ("1 line repeats a question and its answer; it is left out",)
    lines[2] = record("1", "5")
    with pytest.raises(DataError) as caught:
        answers_of(tmp_path, *lines)
    for fact in ("question '1' is answered twice", "'4' on line 1", "'5' on line 3"):
        assert fact in str(caught.value)


def test_nothing_to_warn_of(tmp_path: Path) -> None:
    exported = answers_of(tmp_path, record("1", "4"))
    assert (exported.total, exported.warnings) == (1, ())
    assert exported.model == "hf pretrained=m,load_in_4bit=True"


@pytest.mark.parametrize(
    ("total", "provenance", "warning"),
    [
        (2500, {}, "1 of 2500 questions is answered (--limit?); the official evaluator refuses"),
        (1, {"filter": "yazan2024"}, "the run left questions out (filter 'yazan2024'); the offic"),
        (1, {"filter": "paper"}, "the run left questions out (filter 'yazan2024'); the official"),
        (1, {"retriever_sees_gold": True}, "the retriever ranked by the right answers"),
    ],
)
def test_what_the_official_evaluator_may_refuse(
    tmp_path: Path, total: int, provenance: dict[str, Any], warning: str
) -> None:
    path = write_log(tmp_path, record("1", "4"))
    write_results(path, total, **({"filter": "none"} | provenance))
    (exported,) = read_predictions(SampleLog.at(path)).warnings
    assert exported.startswith(warning)


@pytest.mark.parametrize("body", [None, '{"configs": 7}'])
def test_without_results_completeness_is_not_known(tmp_path: Path, body: str | None) -> None:
    path = write_log(tmp_path, record("1", "4"))
    if body is not None:
        write_results(path, 1).write_text(body, encoding="utf-8")
    exported = read_predictions(SampleLog.at(path))
    assert (exported.total, exported.model, exported.answers) == (None, "", {"1": "4"})
    (warning,) = exported.warnings
    assert "whether all questions are answered is not known" in warning


def test_results_that_do_not_count_the_questions(tmp_path: Path) -> None:
    path = write_log(tmp_path, record("1", "4"))
    results = write_results(path, 1)
    body = json.loads(results.read_text(encoding="utf-8"))
    del body["n-samples"]
    results.write_text(json.dumps(body), encoding="utf-8")
    (warning,) = read_predictions(SampleLog.at(path)).warnings
    assert warning.startswith(
        "no count of the questions in the results beside the log: whether all"
    )


def test_empty_answers_are_counted(tmp_path: Path) -> None:
    lines = [record("1", "4"), record("2", "great"), record("3", " \n")]
    assert answers_of(tmp_path, *lines).warnings == ("1 of 3 answers is empty",)
    cleaned = answers_of(tmp_path, *lines, cleaned=True)
    assert cleaned.warnings == ("2 of 3 answers are empty: they hold no rating",)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    exported = answers_of(tmp_path / "log", record("1", "4"))
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StoreError, match=r"predictions .*a\.json: "):
        exported.write(blocked / "a.json")
    folder = tmp_path / "out" / "a.json"
    folder.mkdir(parents=True)
    with pytest.raises(StoreError, match="Is a directory"):
        exported.write(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_logs_of_others(tmp_path: Path) -> None:
    ours = write_log(tmp_path, record("1", "4"))
    other = write_log(tmp_path, record("1", "4"), task="hellaswag")
    logs, others = lamp_logs([tmp_path, ours, tmp_path / ".." / tmp_path.name])
    assert [log.path.resolve() for log in logs] == [ours.resolve()]
    assert [log.path.resolve() for log in others] == [other.resolve()]
    with pytest.raises(DataError, match="answers to hellaswag, and to no LaMP task of ours"):
        lamp_logs([ours, other])
    shutil.move(ours, tmp_path.parent / ours.name)
    with pytest.raises(DataError, match="answers to hellaswag"):
        lamp_logs([tmp_path])
