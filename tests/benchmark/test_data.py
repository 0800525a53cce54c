"""Reading LaMP's files: both layouts, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lamp_files import reviews, write_flat

from qrag_tasks.benchmark import data
from qrag_tasks.benchmark.tasks import LAMP_TASKS
from qrag_tasks.errors import DataError

TASK = LAMP_TASKS["lamp3u"]


def test_both_layouts_read_alike(tmp_path: Path) -> None:
    questions, outputs = reviews()
    flat = write_flat(tmp_path / "flat", "lamp3u", questions, outputs)
    official = tmp_path / "official" / "LaMP_3" / "dev"
    official.mkdir(parents=True)
    (official / "dev_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    (official / "dev_outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    one, two = data.load(TASK, str(flat)), data.load(TASK, str(tmp_path / "official"))
    assert one.samples == two.samples
    assert one.fingerprint == two.fingerprint
    assert one.samples[0].target == "1"
    assert one.samples[0].profile[1] == {
        "id": "1001",
        "text": "Kettle 0, cup 1, boils.",
        "score": "2",
    }


def test_golds_are_matched_by_id_not_by_order(tmp_path: Path) -> None:
    questions, outputs = reviews()
    outputs["golds"].reverse()
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs)))
    assert [sample.target for sample in loaded.samples] == ["1", "2", "3"]


def test_numbers_are_read_as_text_and_other_fields_are_passed_over(tmp_path: Path) -> None:
    questions, outputs = reviews(1)
    questions[0]["id"] = 100
    questions[0]["user_id"] = "7"
    questions[0]["profile"][0] |= {"score": 4, "seen": True}
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs)))
    assert loaded.samples[0].id == "100"
    assert loaded.samples[0].profile[0]["score"] == "4"
    assert "user_id" not in loaded.samples[0].profile[0]


def test_dates_are_kept_where_the_data_have_them(tmp_path: Path) -> None:
    questions, outputs = reviews(1)
    questions[0]["profile"][0]["date"] = "2020-01-01"
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs)))
    assert loaded.samples[0].profile[0]["date"] == "2020-01-01"
    assert "date" not in loaded.samples[0].profile[1]


def test_an_empty_profile_is_no_error(tmp_path: Path) -> None:
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", *reviews(1, profile=0))))
    assert loaded.samples[0].profile == ()


def test_a_doubled_profile_id_is_repaired_and_reported(tmp_path: Path) -> None:
    questions, outputs = reviews(1)
    for item in questions[0]["profile"][:3]:
        item["id"] = "7"
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs)))
    assert [item["id"] for item in loaded.samples[0].profile] == ["7", "7#2", "7#3", "1003"]
    assert len(loaded.notes) == 2
    assert "profile item '7' stands twice" in loaded.notes[0]


def test_the_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    assert data.data_root() == cache / "lamp"
    monkeypatch.setenv("QRAG_DATA", str(tmp_path))
    assert data.data_root() == tmp_path
    assert data.data_root("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("QRAG_DATA", "mini")
    assert (data.data_root() / "LaMP_3" / "dev" / "dev_questions.json").is_file()


def test_missing_data_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load(TASK, str(tmp_path / "nowhere"))
    message = str(caught.value)
    for part in (
        "no such folder",
        "LaMP_3/dev/dev_questions.json",
        "lamp3u/questions.json",
        "https://ciir.cs.umass.edu/downloads/LaMP/LaMP_3/dev/dev_outputs.json",
        '{"data": "mini"}',
        "QRAG_DATA",
    ):
        assert part in message


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    write_flat(tmp_path, "lamp3u", *reviews(1))
    assert len(data.load(TASK, str(tmp_path)).samples) == 1
    write_flat(tmp_path, "lamp3u", *reviews(4))
    assert len(data.load(TASK, str(tmp_path)).samples) == 4


def _break(what: str, questions: list[dict[str, Any]], outputs: dict[str, Any]) -> None:
    first = questions[0]
    match what:
        case "no field":
            del first["profile"][1]["text"]
        case "no input":
            del first["input"]
        case "input of another task":
            first["input"] = "What is this?"
        case "profile is no list":
            first["profile"] = {"id": "1"}
        case "item is no object":
            first["profile"][0] = "text"
        case "text is null":
            first["profile"][0]["text"] = None
        case "score is true":
            first["profile"][0]["score"] = True
        case "half a character":
            first["profile"][0]["text"] = "\ud83d"
        case "same id twice":
            questions[1]["id"] = first["id"]
        case "no gold":
            del outputs["golds"][0]
        case "gold without question":
            outputs["golds"].append({"id": "999", "output": "3"})
        case "gold twice":
            outputs["golds"].append(outputs["golds"][0])
        case "gold off the scale":
            outputs["golds"][0]["output"] = "6"
        case "gold of another task":
            outputs["task"] = "LaMP_5"
        case "no golds":
            del outputs["golds"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "no field",
            r"questions.json: question '100': profile item '1001': field 'text' is missing",
        ),
        ("no input", r"question '100': field 'input' is missing"),
        ("input of another task", r"question '100': not an input of LaMP_3: .*'review:'"),
        ("profile is no list", r"question '100': field 'profile': expected a list, got an object"),
        ("item is no object", r"question '100': profile item 0: expected an object"),
        ("text is null", r"item '1000': field 'text': expected text or a number, got nothing"),
        ("score is true", r"item '1000': field 'score': expected text or a number"),
        ("half a character", r"item '1000': field 'text' holds half a surrogate pair"),
        ("same id twice", r"two questions have the id '100'"),
        ("no gold", r"question '100' has no gold .*same split"),
        ("gold without question", r"1 golds have no question .*999"),
        ("gold twice", r"two golds have the id '100'"),
        ("gold off the scale", r"gold of id '100' is '6', expected one of 1, 2, 3, 4, 5"),
        ("gold of another task", r"golds of 'LaMP_5', expected those of 'LaMP_3'"),
        ("no golds", r"outputs.json: expected .*golds"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, what: str, message: str) -> None:
    questions, outputs = reviews()
    _break(what, questions, outputs)
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    with pytest.raises(DataError, match=message):
        data.load(TASK, str(root))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'[{"id": "100", "inp', r"not valid JSON at line 1, column 16 .*Cut while downloading"),
        (b"<!DOCTYPE html><html>", r"not valid JSON .*starting with '<!DOCTYPE html><html>'"),
        (b"", r"not valid JSON .*0 bytes"),
        (b"[]", r"expected a JSON list of questions, got an empty list"),
        (b'{"a": 1}', r"expected a JSON list of questions, got an object"),
        (b"[1]", r"question 0: expected an object, got int"),
        (b'["\xff\xfe"]', r"not UTF-8 text at byte 2"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, body: bytes, message: str) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews())
    (root / "lamp3u" / "questions.json").write_bytes(body)
    with pytest.raises(DataError, match=message):
        data.load(TASK, str(root))


def test_missing_outputs_are_named(tmp_path: Path) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews())
    (root / "lamp3u" / "outputs.json").unlink()
    with pytest.raises(DataError, match=r"has no outputs.json beside it.*dev_outputs.json"):
        data.load(TASK, str(root))


def test_real_data(real_data: Path) -> None:
    loaded = data.load(TASK, str(real_data))
    assert len(loaded.samples) == 498
    assert not loaded.notes
    papers = data.load(LAMP_TASKS["lamp5u"], str(real_data))
    assert len(papers.samples) == 464
