"""Reading lm_eval's sample logs: real ones, and broken ones."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lm_eval_logs import results_of, samples_of
from sample_log_files import TIME, record, write_log, write_results

from qrag_tasks.errors import DataError
from qrag_tasks.logs.sample_logs import SampleLog, find_logs
from qrag_tasks.logs.schema import SCHEMA


def test_reads_what_lm_eval_writes(
    small_data: Path,
    tmp_path: Path,
    lm_eval_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp3u_rag_k1,lamp5u_rag_k1", "--model", "dummy", "--limit", 2),
        *("--metadata", json.dumps({"data": str(small_data)}), "--log_samples"),
        *("--output_path", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    logs = find_logs(tmp_path / "out")
    assert [log.task for log in logs] == ["lamp3u_rag_k1", "lamp5u_rag_k1"]
    for log in logs:
        assert find_logs(log.path) == [log]
        results = log.results()
        assert results is not None
        assert results.body == results_of(tmp_path / "out")
        assert results.task_config(log.task)["metadata"]["qrag"]["schema"] == SCHEMA
        prompts = results.prompts(log.task)
        assert prompts is not None
        assert (prompts.retriever, prompts.retriever_sees_gold) == ("bm25", False)
        lines = samples_of(tmp_path / "out", log.task)
        for sample, line in zip(log, lines, strict=True):
            assert (sample.doc_id, sample.key) == (line["doc_id"], line["doc"]["id"])
            assert (sample.user, sample.target) == (line["doc"]["user"], line["target"])
            assert sample.kept == len(line["doc"]["kept"])
            assert sample.prompt == line["doc"]["prompt"]  # no chat template: the same text
            assert (sample.answers, sample.answer, sample.filter) == (("lol",), "lol", "none")
            assert sample.scores["valid_rate"] == line["valid_rate"]
            assert list(sample.scores) == line["metrics"]


def test_the_prompt_is_what_the_model_was_given(tmp_path: Path) -> None:
    (sample,) = SampleLog.at(write_log(tmp_path, record("1", "4")))
    assert sample.prompt == "<user>p"
    assert sample.scores == {"mae": 1.0}


def test_a_byte_order_mark_is_no_part_of_a_log(tmp_path: Path) -> None:
    log = write_log(tmp_path, record("1", "4"), record("2", "4"))
    plain, text = list(SampleLog.at(log)), log.read_text(encoding="utf-8")
    log.write_text(text, encoding="utf-8-sig")
    assert list(SampleLog.at(log)) == plain
    log.write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match=r"jsonl: not UTF-8 text but UTF-16 or UTF-32\. Save"):
        list(SampleLog.at(log))


def test_a_gold_may_be_unknown(tmp_path: Path) -> None:
    lines = [record("1", "4", doc={"target": None}, target="None"), record("2", "4")]
    assert [sample.target for sample in SampleLog.at(write_log(tmp_path, *lines))] == [None, "2"]


def test_an_answer_may_be_none(tmp_path: Path) -> None:
    """As of a server that sends no text: it is not the text "None"."""
    lines = [record("1", "4", filtered_resps=[None]), record("2", "None")]
    samples = list(SampleLog.at(write_log(tmp_path, *lines)))
    assert [sample.answer for sample in samples] == [None, "None"]


@pytest.mark.parametrize(
    ("broken", "messages"),
    [
        ('{"doc_id": 0, "doc": {"id', ("line 2: cut after 25 bytes: its end is missing",)),
        ("what?\n", ("line 2: not valid JSON", "run it again")),
        ("\n", ("line 2: not valid JSON",)),
        ("[" * 100_000 + "\n", ("line 2: not valid JSON",)),
        ("[1]\n", ("line 2: expected an object, got a list",)),
        (record("1", "4", doc_id="0"), ("field 'doc_id': expected a number, got text",)),
        (record("1", "4", doc={"id": 7}), ("line 2: field 'id': expected text, got int",)),
        (record("1", "4", doc={"kept": None}), ("field 'kept': expected a list, got nothing",)),
        (record("1", "4", arguments=[]), ("field 'arguments': expected an object, got an empty",)),
        (record("1", "4", arguments={}), ("not as lm_eval logs a sample (it holds no",)),
        (record("1"), ("field 'filtered_resps': expected texts, got []",)),
        (record("1", filtered_resps=[["4"]]), ("'filtered_resps': expected texts, got [['4']]",)),
        (record("1", "4", metrics=None), ("field 'metrics': expected a list, got nothing",)),
        (record("1", "4", filter=None), ("field 'filter': expected text",)),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, broken: object, messages: tuple[str, ...]) -> None:
    path = write_log(tmp_path, record("0", "4"), broken)  # type: ignore[arg-type]
    samples = iter(SampleLog.at(path))
    assert next(samples).key == "0"  # line by line
    with pytest.raises(DataError) as caught:
        next(samples)
    for message in (str(path), *messages):
        assert message in str(caught.value)


def test_what_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = write_log(tmp_path)
    path.write_bytes(b'{"doc": "\xff"}\n')
    with pytest.raises(DataError, match="line 1: not valid JSON: 'utf-8' codec"):
        list(SampleLog.at(path))


def test_an_empty_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty: no sample was logged"):
        list(SampleLog.at(write_log(tmp_path)))


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_log(tmp_path, record("0", "4"))
    log = SampleLog.at(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(log)


@pytest.mark.parametrize(
    ("name", "task", "time"),
    [
        (f"samples_lamp3u_rag_k5_{TIME}.jsonl", "lamp3u_rag_k5", TIME),
        ("samples_a_2_2026-01-02T03-04-05.jsonl", "a_2", "2026-01-02T03-04-05"),
    ],
)
def test_the_name_tells_task_and_time(tmp_path: Path, name: str, task: str, time: str) -> None:
    assert SampleLog.at(tmp_path / name) == SampleLog(tmp_path / name, task, time)


@pytest.mark.parametrize(
    "name", ["samples.jsonl", f"samples_lamp3u_rag_k5_{TIME}.json", f"samples_{TIME}.jsonl"]
)
def test_another_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="not named as lm_eval names its sample logs"):
        find_logs(tmp_path / name)


def test_a_folder_is_searched_at_any_depth(tmp_path: Path) -> None:
    deep = write_log(tmp_path / "b" / "c", record("0", "4"))
    flat = write_log(tmp_path / "a", record("0", "4"), task="lamp5u_rag_k1")
    (tmp_path / "a" / "samples_of_mine.jsonl").touch()
    assert [log.path for log in find_logs(tmp_path)] == [flat, deep]


def test_where_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--log_samples --output_path"):
        find_logs(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_logs(tmp_path / "gone")


def test_results_are_those_of_the_same_run(tmp_path: Path) -> None:
    path = write_log(tmp_path, record("0", "4"))
    log = SampleLog.at(path)
    other = write_log(tmp_path, record("0", "4"), time="2026-11-22T21-24-52")
    write_results(other, 1)
    assert log.results() is None
    # As `--output_path mine.json` has them named; and a file of somebody else's.
    write_results(path, 7).rename(tmp_path / f"mine_{TIME}.json")
    (tmp_path / f"a_{TIME}.json").write_text("{}", encoding="utf-8")
    results = log.results()
    assert results is not None
    assert results.questions("lamp3u_rag_k5") == 7


def test_broken_results_are_named(tmp_path: Path) -> None:
    path = write_log(tmp_path, record("0", "4"))
    write_results(path, 1).write_text('{"configs": ', encoding="utf-8")
    with pytest.raises(DataError, match=rf"results_{TIME}\.json: not valid JSON"):
        SampleLog.at(path).results()
