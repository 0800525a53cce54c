"""Attributes of own data's questions: read, checked, logged, and no part of prompts or rankings."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from qrag_tasks.cli import main
from qrag_tasks.prompting.prompt_docs import as_doc
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import DataSet, Depth
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.checking import check
from qrag_tasks.tasks.own.records import as_number

CORPUS = """
name = "walks"
license = "CC0-1.0"
[splits]
dev = "{dev}"
[questions]
{attributes}
[documents]
file = "documents.jsonl"
[answer]
kind = "labels"
values = ["lark", "owl"]
"""
ROWS: list[dict[str, Any]] = [
    {"id": "a", "question": "By day?", "answer": "lark", "Topic": "day", "back": 3, "share": 0.5},
    {"id": "b", "question": "By night?", "answer": "owl", "Topic": "night", "back": 12},
    {"id": "c", "question": "At noon?", "answer": "lark", "Topic": "day", "back": None},
]
KNOWN = [
    {"Topic": "day", "back": 3, "share": 0.5},
    {"Topic": "night", "back": 12},
    {"Topic": "day"},
]


def corpus(folder: Path, attributes: str, dev: str = "dev.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    text = CORPUS.format(attributes=attributes, dev=dev)
    (folder / "corpus.toml").write_text(text, encoding="utf-8")
    document = json.dumps({"id": "d", "text": "It sang."}) + "\n"
    (folder / "documents.jsonl").write_text(document, encoding="utf-8")
    if dev.endswith(".csv"):
        with (folder / dev).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        text = "".join(json.dumps(row) + "\n" for row in ROWS)
        (folder / dev).write_text(text, encoding="utf-8")
    return folder


def load(folder: Path) -> DataSet:
    return TASKS["own"].load(str(folder), "dev")


NAMED = 'attributes = ["Topic", "back", "share"]'


@pytest.mark.parametrize("dev", ["dev.jsonl", "dev.csv"])
def test_attributes_are_read(tmp_path: Path, dev: str) -> None:
    data = load(corpus(tmp_path, NAMED, dev))
    assert [sample.attributes for sample in data.samples] == KNOWN
    assert data.task.attributes == ("Topic", "back", "share")


def test_prompts_rankings_and_data_are_the_same_with_them_and_without(tmp_path: Path) -> None:
    before = load(corpus(tmp_path, ""))
    assert [sample.attributes for sample in before.samples] == [{}, {}, {}]
    after = load(corpus(tmp_path, NAMED))
    assert [sample.attributes for sample in after.samples] == KNOWN
    assert after.fingerprint == before.fingerprint
    settings = Settings.from_metadata({"data": str(tmp_path)})
    sources = [PromptSource.over(data, Depth(1), settings) for data in (before, after)]
    records = [source.prompts(range(3), None, None) for source in sources]
    one, two = ([record.prompt for record in made] for made in records)
    assert one == two
    docs = [[as_doc(record, "bm25", None) for record in made] for made in records]
    assert not any("attributes" in doc for doc in docs[0])
    assert [doc["attributes"] for doc in docs[1]] == KNOWN


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ('attributes = ["Topics"]', "dev.jsonl: Topics: no question has this attribute, which"),
        ('attributes = ["Topics"]', "Did you mean 'Topic'?"),
        ('attributes = ["back", "back"]', "questions.attributes: 'back' is there twice"),
        ('attributes = "back"', "questions.attributes: "),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, attributes: str, said: str) -> None:
    checked = check(corpus(tmp_path, attributes))
    assert said in "\n".join(checked.mistakes.lines())


def test_an_attribute_that_is_no_text(tmp_path: Path) -> None:
    folder = corpus(tmp_path, NAMED)
    row = {**ROWS[0], "Topic": ["day", "night"]}
    (folder / "dev.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (line,) = (line for line in check(folder).mistakes.lines() if ":1: Topic" in line)
    assert "expected text or a number, got a list" in line


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("12", 12), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), (".5", 0.5)),
        *(("1e999", "1e999"), ("", ""), ("12 km", "12 km"), ("nan", "nan"), ("1_000", "1_000")),
    ],
)
def test_cells_that_write_numbers(text: str, number: Any) -> None:
    assert as_number(text) == number
    assert type(as_number(text)) is type(number)


def test_qrag_show_tells_them(tmp_path: Path) -> None:
    folder = corpus(tmp_path, NAMED)
    said = CliRunner().invoke(main, ["show", "own_rag_k1", "--data", str(folder)]).output
    assert "Topic = day, back = 3, share = 0.5" in said
