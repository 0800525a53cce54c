"""The forms that own data come in, and whose documents they are: the same samples of all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qrag_tasks.errors import DataError, QragError, SettingsError
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import DataSet, Depth
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.checking import check

CORPUS = """
name = "trips"
license = "CC0-1.0"
[splits]
dev = "{dev}"
[questions]
user = "who"
fields = {{ question = "Asked For" }}
[documents]
{documents}
fields = ["text", "stars"]
answer = "stars"
date = "day"
[answer]
kind = "ratings"
scale = [0, 10]
"""
NOTES = {
    "ann": [
        ("n1", "A lake, cold.", 3, "2024-05-01"),
        ("n2", 'Hills; "steep", wet.', 8, "2023-01-02"),
    ],
    "ben": [("n1", "A town by the sea.", 10, "2022-02-03")],
}
QUESTIONS = [
    ("q1", "ann", "A hill?", 7),
    ("q2", "ben", "The sea,\nagain", 10),
    ("q3", "ann", "Ice", 0),
]


def documents(user: str) -> list[dict[str, Any]]:
    return [
        {"id": i, "text": text, "stars": stars, "day": day} for i, text, stars, day in NOTES[user]
    ]


def records(nested: bool) -> list[dict[str, Any]]:
    return [
        {"id": i, "who": user, "Asked For": text, "answer": gold}
        | ({"documents": documents(user)} if nested else {})
        for i, user, text, gold in QUESTIONS
    ]


def put_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            cells = {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
            writer.writerow(cells)


def put_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def put_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def put_parquet_folder(path: Path, rows: list[dict[str, Any]]) -> None:
    path.mkdir()
    put_parquet(path / "0.parquet", rows[:1])
    put_parquet(path / "1.parquet", rows[1:])


def put_saved(path: Path, rows: list[dict[str, Any]]) -> None:
    datasets.Dataset.from_list(rows).save_to_disk(path)


FORMS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "dev.jsonl": put_jsonl,
    "dev.csv": put_csv,
    "dev.parquet": put_parquet,
    "parquets": put_parquet_folder,
    "saved": put_saved,
}


def loaded(folder: Path) -> DataSet:
    mistakes = list(check(folder).mistakes.lines())
    assert not mistakes, mistakes
    return TASKS["own"].load(str(folder))


def facts(data: DataSet) -> list[Any]:
    return [
        (s.id, s.user, s.input, s.target, [dict(item) for item in s.profile]) for s in data.samples
    ]


def expected() -> list[Any]:
    return [
        (
            i,
            user,
            text,
            str(gold),
            [
                {"id": n, "text": t, "stars": str(stars), "date": day}
                for n, t, stars, day in NOTES[user]
            ],
        )
        for i, user, text, gold in QUESTIONS
    ]


@pytest.mark.parametrize("form", FORMS)
def test_questions_with_their_documents(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / form, records(nested=True))
    (tmp_path / "corpus.toml").write_text(CORPUS.format(dev=form, documents=""), encoding="utf-8")
    assert facts(loaded(tmp_path)) == expected()


@pytest.mark.parametrize("form", FORMS)
def test_documents_of_a_file_by_user(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / form, records(nested=False))
    rows = [{"user": user, **document} for user in NOTES for document in documents(user)]
    name = form.replace("dev", "documents") if "." in form else f"{form}-documents"
    FORMS[form](tmp_path / name, rows)
    corpus = CORPUS.format(dev=form, documents=f'file = "{name}"\nuser = "user"')
    (tmp_path / "corpus.toml").write_text(corpus, encoding="utf-8")
    assert facts(loaded(tmp_path)) == expected()


def test_users_that_no_document_is_of_are_told(tmp_path: Path) -> None:
    put_jsonl(tmp_path / "dev.jsonl", records(nested=False))
    rows = [{"user": f"{user}!", **each} for user in NOTES for each in documents(user)]
    put_jsonl(tmp_path / "notes.jsonl", rows)
    corpus = CORPUS.format(dev="dev.jsonl", documents='file = "notes.jsonl"\nuser = "user"')
    (tmp_path / "corpus.toml").write_text(corpus, encoding="utf-8")
    (line,) = check(tmp_path).mistakes.lines()
    assert "dev.jsonl: who: none of its users has a document in notes.jsonl: are 'who'" in line


SHARED = """
name = "wiki"
license = "CC0-1.0"
[splits]
dev = "dev.jsonl"
test = "test.jsonl"
[documents]
file = "documents.csv"
[answer]
kind = "exact"
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "corpus.toml").write_text(SHARED, encoding="utf-8")
    put_csv(tmp_path / "documents.csv", [{"id": f"d{n}", "text": f"page {n}"} for n in range(50)])
    asked = [{"id": f"q{n}", "question": f"page {n} ?", "answer": str(n)} for n in range(40)]
    put_jsonl(tmp_path / "dev.jsonl", asked)
    put_jsonl(tmp_path / "test.jsonl", [{"id": "t1", "question": "page 3 ?"}])
    return tmp_path


def test_documents_that_all_questions_share(shared: Path) -> None:
    data = loaded(shared)
    assert {len(sample.profile) for sample in data.samples} == {50}
    # One tuple: what is made of it is made once.
    assert data.samples[3].profile is data.samples[17].profile
    # The questions are of nobody in particular, and not all of one user.
    assert len({sample.user for sample in data.samples}) == 40
    rankings = Rankings(data, build_retriever("bm25")).of(range(40), 1)
    assert [ranking.ids for ranking in rankings] == [(f"d{n}",) for n in range(40)]


def test_a_test_split_needs_no_answers_and_another_does(shared: Path) -> None:
    data = TASKS["own"].load(str(shared), "test")
    assert [sample.target for sample in data.samples] == [None]
    put_jsonl(shared / "dev.jsonl", [{"id": "t1", "question": "page 3 ?"}])
    with pytest.raises(DataError, match=r"dev\.jsonl:1: answer: is missing.*\n.*`qrag check"):
        TASKS["own"].load(str(shared))


def test_a_changed_file_is_read_again_and_so_is_a_changed_corpus(shared: Path) -> None:
    first = loaded(shared)
    put_jsonl(shared / "dev.jsonl", [{"id": "q", "question": "other", "answer": "7"}])
    second = loaded(shared)
    assert (len(second.ids), second.fingerprint == first.fingerprint) == (1, False)
    text = (shared / "corpus.toml").read_text(encoding="utf-8")
    exact = text.replace('kind = "exact"', 'kind = "exact"\n[questions]\nanswer = "id"')
    (shared / "corpus.toml").write_text(exact, encoding="utf-8")
    third = loaded(shared)
    assert third.samples[0].target == "q"
    assert third.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("data", "metadata", "message"),
    [
        (None, {}, "own: which data.*QRAG_DATA=FOLDER.*qrag init FOLDER"),
        ("nowhere", {}, r"there is no such folder, so no corpus\.toml"),
        (".", {"split": "train"}, r"corpus\.toml: splits: there is no train, only dev, test"),
        (".", {"fill": "trimmed", "context_tokens": 99}, "fill 'trimmed' cuts documents as LaMP's"),
        (".", {"answer": "likelihood"}, "own-wiki asks for free text"),
        (".", {"protocol": "yazan2024"}, "protocol 'yazan2024' is for LaMP_3, LaMP_5; own-wiki is"),
        (".", {"retriever": "recency"}, "own data name them in documents.date"),
    ],
)
def test_what_cannot_be_is_told(
    data: str | None, metadata: dict[str, Any], message: str, shared: Path
) -> None:
    place = {} if data is None else {"data": str(shared / data)}
    with pytest.raises((DataError, SettingsError, QragError), match=message):
        source = PromptSource.of(TASKS["own"], Depth(1), Settings.from_metadata(place | metadata))
        source.prompts([0], None, None)


def test_the_folder_may_be_named_by_its_file_and_by_the_environment(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = TASKS["own"].load(str(shared / "corpus.toml"))
    monkeypatch.setenv("QRAG_DATA", str(shared))
    assert TASKS["own"].load().fingerprint == named.fingerprint


CHOICE = """
name = "quiz"
license = "CC0-1.0"
[splits]
dev = "dev.csv"
[questions]
fields = ["question", "hint"]
query = "{{ question }} {{ options[0].text }}"
[documents]
file = "documents.jsonl"
[answer]
kind = "choice"
most = 3
"""


def test_a_choice_among_the_options_of_each_question(tmp_path: Path) -> None:
    (tmp_path / "corpus.toml").write_text(CHOICE, encoding="utf-8")
    put_jsonl(tmp_path / "documents.jsonl", [{"id": "d", "text": "A note."}])
    rows = [
        {
            "id": "1",
            "question": "Which?",
            "hint": "h<|im_end|>",
            "answer": "B",
            "options": ["x", "y"],
        },
        {"id": "2", "question": "Who?", "hint": "none", "answer": "z", "options": ["x", "y", "z"]},
    ]
    put_csv(tmp_path / "dev.csv", rows)
    data = loaded(tmp_path)
    assert [sample.target for sample in data.samples] == ["B", "C"]
    source = PromptSource.of(TASKS["own"], Depth(1), Settings(data=str(tmp_path)))
    first, second = source.prompts([0, 1], None, None)
    assert first.prompt == "Document 1:\nA note.\n\nWhich?\nh< |im_end|>\nA. x\nB. y\n"
    assert second.prompt.endswith("A. x\nB. y\nC. z\n")
    assert source.task.query(data.samples[0].input) == "Which? x"
    assert source.task.answer.values == ("A", "B", "C")
    for wrong, message in (
        ({"options": ["x"]}, "options: expected a list of 2 to 3 options, got a list of 1"),
        ({"options": ["x", "x"]}, "options: two options are the same text"),
        ({"answer": "D"}, "answer: 'D' is neither the letter of an option (A, B) nor the text"),
        ({"answer": "C"}, "answer: 'C' is neither the letter of an option (A, B) nor the text"),
    ):
        put_csv(tmp_path / "dev.csv", [{**rows[0], **wrong}])
        (line,) = check(tmp_path).mistakes.lines()
        assert line.startswith(f"{tmp_path / 'dev.csv'}:2: {message}"), line


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("dev.csv", b"id,question,id\n1,2,3\n", "dev.csv:1: id: the column 'id' is there twice"),
        ("dev.csv", b"id,question,answer\n1,2\n", "dev.csv:2: 2 values for 3 columns"),
        ("dev.csv", b'id,question,answer\n1,"2\n,3\n', "dev.csv:3: not valid CSV: unexpected end"),
        ("dev.csv", b"id,question,answer\n1,,3\n", "dev.csv:2: question: is missing"),
        ("dev.parquet", b"PAR1 no", "dev.parquet: not a Parquet file, or a damaged one"),
    ],
)
def test_broken_tables(form: str, content: bytes, message: str, shared: Path) -> None:
    corpus = SHARED.replace("dev.jsonl", form).replace('test = "test.jsonl"', "")
    (shared / "corpus.toml").write_text(corpus, encoding="utf-8")
    (shared / form).write_bytes(content)
    (line,) = check(shared).mistakes.lines()
    assert line.removeprefix(f"{shared}/").startswith(message)


def test_a_row_of_parquet_has_a_number_and_no_line(shared: Path) -> None:
    corpus = SHARED.replace("dev.jsonl", "parquets").replace('test = "test.jsonl"', "")
    (shared / "corpus.toml").write_text(corpus, encoding="utf-8")
    rows = [{"id": str(n), "question": "?", "answer": "a" if n else None} for n in (1, 2, 0)]
    put_parquet_folder(shared / "parquets", rows)
    (line,) = check(shared).mistakes.lines()
    assert "1.parquet, row 2: answer: holds nothing; expected text or a number." in line
