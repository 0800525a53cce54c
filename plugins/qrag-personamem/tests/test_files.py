"""Files that are missing or broken: one error that names file, line and field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from histories import CONTEXT, HISTORY, QUESTION, lay
from qrag_tasks.errors import DataError, SettingsError

from qrag_personamem.mini.make import make
from qrag_personamem.places import find_files, from_hub
from qrag_personamem.question import options_of
from qrag_personamem.table import PERSONAMEM_TASKS

ROW = PERSONAMEM_TASKS["personamem-turns-32k"]


def changed(**fields: Any) -> dict[str, Any]:
    return {**QUESTION, **fields}


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (changed(correct_answer="(e)"), ":2: correct_answer: expected one of (a), (b), (c), (d)"),
        (changed(correct_answer=""), ":2: correct_answer: is missing or empty"),
        (changed(all_options="a, b"), ":2: all_options: expected a list of four texts"),
        (changed(all_options="['(a) x', '(b) y']"), ":2: all_options: expected four options"),
        (
            changed(all_options="['(a)', '(b)', '(d)', '(c)']"),
            "that begin with (a), (b), (c), (d), got 4 that begin with '(a)', '(b)', '(d)', '(c)'",
        ),
        (changed(all_options="__import__('os')"), ":2: all_options: expected a list of four texts"),
        (
            changed(shared_context_id="f" * 64),
            f":2: shared_context_id: '{'f' * 64}' is not in shared_contexts_32k.jsonl",
        ),
        (
            changed(end_index_in_shared_context="8"),
            ":2: end_index_in_shared_context: 8 messages come before it, and its history has 7",
        ),
        (
            changed(end_index_in_shared_context="-1"),
            ":2: end_index_in_shared_context: expected a whole number of messages, got '-1'",
        ),
        (
            changed(end_index_in_shared_context="2.5"),
            ":2: end_index_in_shared_context: expected a whole number of messages, got '2.5'",
        ),
        (
            changed(distance_to_ref_in_tokens="far"),
            ":2: distance_to_ref_in_tokens: expected a number, got 'far'",
        ),
        (
            changed(user_question_or_message="a\x1eb"),
            ":2: user_question_or_message: holds the control character U+001E at character 2",
        ),
        (changed(persona_id=""), ":2: persona_id: is missing or empty"),
        (
            {{"question_id": "question_ids"}.get(k, k): v for k, v in QUESTION.items()},
            ":2: question_id: is missing or empty. Did you mean 'question_ids'?",
        ),
    ],
)
def test_broken_questions(tmp_path: Path, question: dict[str, Any], said: str) -> None:
    folder = lay(tmp_path, [question])
    with pytest.raises(DataError) as error:
        ROW.load(str(folder))
    assert f"{folder / 'questions_32k.csv'}{said}" in str(error.value) or said in str(error.value)


def test_two_questions_with_one_id(tmp_path: Path) -> None:
    folder = lay(tmp_path, [QUESTION, QUESTION])
    with pytest.raises(DataError, match=r"csv:3: question_id: two questions .* first on line 2"):
        ROW.load(str(folder))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{\n", r"jsonl:1: not valid JSON"),
        ("[]\n", r"jsonl:1: expected a JSON object on each line, got an empty list"),
        ({}, r"jsonl:1: expected an object of one history, its id and its messages, got 0 fields"),
        ({CONTEXT: "text"}, rf"jsonl:1: {CONTEXT}: expected a list of messages, got text"),
        ({CONTEXT: [1]}, rf"jsonl:1: {CONTEXT}\[0\]: expected a message, got int"),
        (
            {CONTEXT: [*HISTORY, {"role": "tool", "content": "x"}]},
            rf"jsonl:1: {CONTEXT}\[7\].role: expected one of system, user, assistant, got 'tool'",
        ),
        (
            {CONTEXT: [*HISTORY, {"role": "user"}]},
            rf"jsonl:1: {CONTEXT}\[7\].content: expected text or a number, got nothing",
        ),
        (
            {CONTEXT: [*HISTORY, {"role": "user", "content": "a\0"}]},
            rf"jsonl:1: {CONTEXT}\[7\].content: holds the control character U\+0000",
        ),
    ],
)
def test_broken_histories(tmp_path: Path, line: Any, said: str) -> None:
    folder = lay(tmp_path, contexts=[line])
    with pytest.raises(DataError, match=said):
        ROW.load(str(folder))


def test_a_history_twice(tmp_path: Path) -> None:
    folder = lay(tmp_path, contexts=[{CONTEXT: HISTORY}] * 2)
    with pytest.raises(
        DataError, match=r"jsonl:2: c+: two histories have this id, first on line 1"
    ):
        ROW.load(str(folder))


def test_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"questions_32k.csv: there is no question in it"):
        ROW.load(str(lay(tmp_path / "a", [])))
    with pytest.raises(DataError, match=r"shared_contexts_32k.jsonl: there is no history in it"):
        ROW.load(str(lay(tmp_path / "b", contexts=[])))


def test_many_mistakes_are_told_together_and_counted(tmp_path: Path) -> None:
    wrong = [changed(question_id=f"q{n}", correct_answer="x") for n in range(9)]
    folder = lay(tmp_path, [*wrong, changed(question_id="z", all_options="")])
    with pytest.raises(DataError) as error:
        ROW.load(str(folder))
    said = str(error.value)
    assert said.count("correct_answer: expected") == 3
    assert "6 more like this one: correct_answer" in said
    assert ":11: all_options: is missing or empty" in said


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    folder = lay(tmp_path)
    before = ROW.load(str(folder))
    lay(folder, [changed(question_id="other")])
    after = ROW.load(str(folder))
    assert (before.ids, after.ids) == (("q1",), ("other",))
    assert before.fingerprint != after.fingerprint


# ---------------------------------------------------------------------- where files are
def test_missing_files_name_files_and_command(tmp_path: Path) -> None:
    (tmp_path / "shared_contexts_32k.jsonl").touch()
    with pytest.raises(DataError) as error:
        find_files("32k", str(tmp_path), "dev")
    said = str(error.value)
    assert f"PersonaMem 32k: questions_32k.csv is not in {tmp_path}" in said
    assert (
        "hf download bowen-upenn/PersonaMem-v1 questions_32k.csv shared_contexts_32k.jsonl "
        f"--repo-type dataset --local-dir {tmp_path}"
    ) in said


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path))
    monkeypatch.delenv("QRAG_DATA", raising=False)
    with pytest.raises(DataError, match=r"1M.* are not in .*personamem \(no such folder\)"):
        find_files("1M", None, "dev")
    folder = lay(tmp_path / "personamem", size="1M")
    assert find_files("1M", None, "dev").questions == folder / "questions_1M.csv"
    monkeypatch.setenv("QRAG_DATA", "mini")
    assert find_files("1M", None, "dev").questions.name == "questions_mini.csv"


def test_the_only_split() -> None:
    with pytest.raises(SettingsError, match="unknown split 'test': PersonaMem's questions are all"):
        find_files("32k", "mini", "test")


def test_a_hub_out_of_reach_names_the_command() -> None:
    assert os.environ.get("HF_HUB_OFFLINE") == "1"
    from_hub.cache_clear()
    with pytest.raises(DataError) as error:
        find_files("32k", "hub@abc", "dev")
    assert "questions_32k.csv and shared_contexts_32k.jsonl cannot be fetched" in str(error.value)
    assert "hf download bowen-upenn/PersonaMem-v1" in str(error.value)


def test_files_come_out_of_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hub's client keeps them: a commit, and what the default branch is at."""
    commit = "1" * 40
    kept = tmp_path / "datasets--bowen-upenn--PersonaMem-v1"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    folder = lay(kept / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for data in ("hub", "hub@main", f"hub@{commit}"):
        from_hub.cache_clear()
        assert find_files("32k", data, "dev").questions == folder / "questions_32k.csv"
    assert ROW.load("hub").ids == ("q1",)
    from_hub.cache_clear()


# ---------------------------------------------------------------------- the sample
def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    make(tmp_path, "mini")
    for made, kept in zip(
        sorted(tmp_path.iterdir()),
        sorted(find_files("32k", "mini", "dev")),
        strict=True,
    ):
        assert made.name == kept.name
        assert made.read_bytes() == kept.read_bytes()


def test_the_sample_says_where_its_answers_lie() -> None:
    data = PERSONAMEM_TASKS["personamem-sessions-32k"].load("mini")
    assert len(data.samples) == 80
    for sample in data.samples:
        options = sample.input.split("\x1e")[1]
        right = options_of(options)["abcd".index(str(sample.target)[1])]
        thing = right.partition("that you like ")[2].partition(" best")[0]
        told = [
            number
            for number, session in enumerate(sample.profile)
            if f"{thing} that I like best" in session["text"]
        ]
        assert told[-1] == len(sample.profile) - 1 - int(sample.attributes["distance_blocks"])
