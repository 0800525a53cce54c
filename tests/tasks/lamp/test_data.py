"""Reading LaMP's files: layouts, splits, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from lamp_files import papers, reviews, write_flat

from qrag_tasks.errors import DataError, SettingsError
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

TASK = LAMP_TASKS["lamp3u"]


def write_official(
    root: Path, questions: Any, outputs: Any = None, path: str = "LaMP_3", split: str = "dev"
) -> Path:
    """Write one task in LaMP's own layout below ``root`` and return ``root``."""
    folder = root / path / split
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    if outputs is not None:
        (folder / f"{split}_outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    return root


def pack(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def movies() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    item = {"id": "1", "tag": "action", "description": "A chase."}
    instruction = "Which tag does this movie relate to? tags: [...] description: "
    questions = [
        {"id": "109", "input": f"{instruction}A robbery.", "profile": [item]},
        {"id": "110", "input": "A ship sails.", "profile": [item]},
    ]
    golds = [{"id": "109", "output": "action"}, {"id": "110", "output": "classic"}]
    return questions, {"task": "LaMP_2", "golds": golds}


# ---------------------------------------------------------------- where the files lie
def test_both_layouts_read_alike(tmp_path: Path) -> None:
    flat = write_flat(tmp_path / "flat", "lamp3u", *reviews())
    official = write_official(tmp_path / "official", *reviews())
    one, two = data.load(TASK, str(flat)), data.load(TASK, str(official))
    assert list(one.samples) == list(two.samples)
    assert one.ids == two.ids == ("100", "101", "102")
    assert one.fingerprint == two.fingerprint
    assert one.samples[0].target == "1"
    assert one.samples[0].profile[1] == {
        "id": "1001",
        "text": "Kettle 0, cup 1, boils.",
        "score": "2",
    }


def test_the_fingerprint_is_that_of_the_bytes_of_both_files(tmp_path: Path) -> None:
    root = write_official(tmp_path, *reviews())
    folder = root / "LaMP_3" / "dev"
    raw = (folder / "dev_outputs.json").read_bytes() + (folder / "dev_questions.json").read_bytes()
    assert data.load(TASK, str(root)).fingerprint == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("packed", ["dev_questions.json", "dev_outputs.json", "both"])
def test_packed_files_are_read_like_plain_ones(tmp_path: Path, packed: str) -> None:
    plain = data.load(TASK, str(write_official(tmp_path / "plain", *reviews())))
    root = write_official(tmp_path / "packed", *reviews())
    for path in (root / "LaMP_3" / "dev").iterdir():
        if packed in ("both", path.name):
            pack(path)
    loaded = data.load(TASK, str(root))
    assert list(loaded.samples) == list(plain.samples)
    assert loaded.fingerprint == plain.fingerprint


def test_a_plain_file_goes_before_a_packed_one(tmp_path: Path) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(2))
    for name in ("questions", "outputs"):
        pack(root / "lamp3u" / f"{name}.json")
    write_flat(tmp_path, "lamp3u", *reviews(3))
    assert len(data.load(TASK, str(root)).samples) == 3


def test_the_time_split_has_a_folder_of_its_own(tmp_path: Path) -> None:
    write_official(tmp_path, *reviews(2))
    questions, outputs = reviews(1)
    questions[0]["user_id"] = 12
    questions[0]["profile"][0]["date"] = "2020-01-01"
    write_official(tmp_path, questions, outputs, path="time/LaMP_3")
    loaded = data.load(LAMP_TASKS["lamp3t"], str(tmp_path))
    assert loaded.questions == tmp_path / "time" / "LaMP_3" / "dev" / "dev_questions.json"
    (sample,) = loaded.samples
    assert sample.user == "12"
    assert sample.profile[0]["date"] == "2020-01-01"
    assert "date" not in sample.profile[1]
    flat = write_flat(tmp_path / "flat", "lamp3t", questions, outputs)
    assert list(data.load(LAMP_TASKS["lamp3t"], str(flat)).samples) == [sample]


def test_what_is_called_date_in_the_user_split_is_nobodys_business(tmp_path: Path) -> None:
    questions, outputs = reviews(1)
    dates = [None, ["2020"], 2014, "2020-01-01"]
    for item, date in zip(questions[0]["profile"], dates, strict=True):
        item["date"] = date
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    (sample,) = data.load(TASK, str(root)).samples
    assert [item.get("date") for item in sample.profile] == [None, None, "2014", "2020-01-01"]
    write_flat(tmp_path, "lamp3t", questions, outputs)
    with pytest.raises(DataError, match="item '1001': field 'date': expected text or a number"):
        data.load(LAMP_TASKS["lamp3t"], str(root))


def test_splits(tmp_path: Path) -> None:
    for count, split in enumerate(data.SPLITS, 1):
        write_official(tmp_path, *reviews(count), split=split)
    sets = [data.load(TASK, str(tmp_path), split) for split in data.SPLITS]
    assert [len(loaded.samples) for loaded in sets] == [1, 2, 3]
    assert [loaded.split for loaded in sets] == ["train", "dev", "test"]
    assert sets[2].samples[2].target == "3"
    with pytest.raises(SettingsError, match=r"'tests' \(known: train, dev, test\).*mean 'test'"):
        data.load(TASK, str(tmp_path), "tests")


def test_a_test_split_has_no_golds(tmp_path: Path) -> None:
    questions, _ = reviews(2)
    write_official(tmp_path, questions, split="test")
    loaded = data.load(TASK, str(tmp_path), "test")
    assert loaded.outputs is None
    assert [sample.target for sample in loaded.samples] == [None, None]
    raw = (tmp_path / "LaMP_3" / "test" / "test_questions.json").read_bytes()
    assert loaded.fingerprint == hashlib.sha256(raw).hexdigest()
    for split in ("train", "dev"):
        write_official(tmp_path, questions, split=split)
        with pytest.raises(DataError, match=f"has no {split}_outputs.json beside it"):
            data.load(TASK, str(tmp_path), split)


def test_the_flat_layout_holds_dev_only(tmp_path: Path) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews())
    with pytest.raises(DataError, match="no data of the test split") as caught:
        data.load(TASK, str(root), "test")
    assert str(root / "lamp3u") not in str(caught.value)


def test_the_task_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    root = str(write_flat(tmp_path, "lamp3u", *reviews()))
    paper = task_named("lamp3u", "yazan2024")
    assert data.load(paper, root).task is paper
    assert data.load(TASK, root).task is TASK
    assert data.load(paper, root).samples is data.load(TASK, root).samples


# ---------------------------------------------------------------- what is in them
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
    assert "seen" not in loaded.samples[0].profile[0]
    assert loaded.samples[0].user == "7"


def test_users_are_told_apart_by_their_profiles_where_the_data_do_not(tmp_path: Path) -> None:
    questions, outputs = reviews(4)
    questions[2]["profile"] = questions[0]["profile"]
    questions[3] |= {"profile": questions[0]["profile"], "user_id": None}
    loaded = data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs)))
    users = [sample.user for sample in loaded.samples]
    assert users[0] == users[2] == users[3] != users[1]
    # In other files, too.
    alone = write_flat(tmp_path / "other", "lamp3u", questions[2:3], reviews(1)[1])
    golds = {"golds": [{"id": "102", "output": "1"}]}
    (alone / "lamp3u" / "outputs.json").write_text(json.dumps(golds), encoding="utf-8")
    assert data.load(TASK, str(alone)).samples[0].user == users[0]


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


def test_a_known_flaw_is_repaired_and_reported(tmp_path: Path) -> None:
    task = LAMP_TASKS["lamp2u"]
    root = write_official(tmp_path, *movies(), path="LaMP_2/new")
    for _ in range(2):
        loaded = data.load(task, str(root))
        assert task.query(loaded.samples[1].input) == "A ship sails."
        assert loaded.samples[0].input == movies()[0][0]["input"]
        (note,) = loaded.notes
        assert note.startswith(f"{loaded.questions}: question '110': its input is known to be")


# ---------------------------------------------------------------- what is missing
def test_the_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    assert data.data_root() == cache / "lamp"
    monkeypatch.setenv("QRAG_DATA", str(tmp_path))
    assert data.data_root() == tmp_path
    assert data.data_root("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("QRAG_DATA", "mini")
    assert (data.data_root() / "LaMP_3" / "dev" / "dev_questions.json").is_file()


def missing(root: Path | None, name: str = "lamp3u", split: str = "dev") -> str:
    with pytest.raises(DataError) as caught:
        data.load(LAMP_TASKS[name], None if root is None else str(root), split)
    return str(caught.value)


def test_missing_data_says_how_to_get_it(tmp_path: Path) -> None:
    root = tmp_path / "no where"
    message = missing(root)
    for part in (
        f"lamp3u: no data in {root} (no such folder)",
        f"{root}/LaMP_3/dev/dev_questions.json",
        f"{root}/lamp3u/questions.json",
        f"qrag download lamp3u --into '{root}'",
        "https://ciir.cs.umass.edu/downloads/LaMP/LaMP_3/dev/dev_questions.json",
        "https://ciir.cs.umass.edu/downloads/LaMP/LaMP_3/dev/dev_outputs.json",
        f"into {root}/LaMP_3/dev\n",
        '{"data": "mini"}',
        "QRAG_DATA",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "layout", "given"),
    [
        ("lamp3u", "LaMP_3", "LaMP_3"),
        ("lamp3u", "LaMP_3", "LaMP_3/dev"),
        ("lamp3u", "LaMP_3", "LaMP_3/dev/dev_questions.json"),
        ("lamp3u", "LaMP_3", "LaMP_5"),  # not there
        ("lamp3u", "LaMP_3", ".."),
        ("lamp3t", "time/LaMP_3", "time"),
        ("lamp3t", "time/LaMP_3", "time/LaMP_3"),
        ("lamp3u", None, "lamp3u"),
        ("lamp3u", None, "lamp3u/questions.json"),
        ("lamp3u", None, ".."),
    ],
)
def test_a_folder_too_deep_or_too_high_is_told(
    tmp_path: Path, name: str, layout: str | None, given: str
) -> None:
    root = tmp_path / "with space" / "my data"
    if layout is None:
        write_flat(root, name, *reviews())
    else:
        write_official(root, *reviews(), path=layout)
    wrong = root / given if given != ".." else root.parent
    message = missing(wrong, name)
    assert f"{name}: no data in {wrong}" in message
    assert f"  it is in:    {root}\n" in message
    assert f"--metadata '{{\"data\": \"{root}\"}}' or QRAG_DATA='{root}'" in message
    assert "qrag download" not in message
    assert len(data.load(LAMP_TASKS[name], str(root)).samples) == 3


def test_a_folder_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_official(tmp_path / "lamp", *reviews(2))
    assert len(data.load(TASK, "~/lamp").samples) == 2
    assert f"  it is in:    {tmp_path}/lamp\n" in missing(Path("~/lamp/LaMP_3"))
    assert f"  it is in:    {tmp_path}/lamp\n" in missing(Path("~"))
    with pytest.raises(SettingsError, match="data '~nobody-of-that-name/x': there is no user"):
        data.data_root("~nobody-of-that-name/x")


def test_missing_data_of_other_splits(tmp_path: Path) -> None:
    message = missing(tmp_path, "lamp2t", "test")
    for part in (
        f"lamp2t: no data of the test split in {tmp_path}\n",
        f"{tmp_path}/time/LaMP_2/new/test/test_questions.json",
        f"qrag download lamp2t --split test --into {tmp_path}\n",
        "https://ciir.cs.umass.edu/downloads/LaMP/time/LaMP_2/new/test/test_questions.json",
    ):
        assert part in message
    assert "outputs" not in message


def test_the_default_root_needs_no_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    command = re.compile("qrag download.*")
    assert command.findall(missing(None)) == ["qrag download lamp3u"]
    monkeypatch.setenv("QRAG_DATA", str(tmp_path))
    assert command.findall(missing(None)) == ["qrag download lamp3u"]
    assert command.findall(missing(cache / "lamp")) == [
        f"qrag download lamp3u --into {cache / 'lamp'}"
    ]


def test_nothing_is_downloaded_into_the_embedded_sample(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    message = missing(Path("mini"), split="train")
    assert "(the embedded sample)" in message
    assert "to try out" not in message
    assert "qrag download lamp3u --split train\n" in message
    assert f"into {cache}/lamp/LaMP_3/train\n" in message
    monkeypatch.setenv("QRAG_DATA", "mini")
    into = f"qrag download lamp3u --split train --into {cache}/lamp\n"
    assert into in missing(None, split="train")


def test_the_retired_news_task_is_not_lamp_2(tmp_path: Path) -> None:
    (tmp_path / "LaMP_2" / "dev").mkdir(parents=True)
    message = missing(tmp_path, "lamp2u")
    assert f"{tmp_path}/LaMP_2/dev, LaMP's retired task on news" in message
    assert "task on news" not in missing(tmp_path, "lamp2t")


E_MAILS = (
    "Avocado corpus (LDC2015T03)",
    "only ids",
    "data/avocado/create_avocado_dataset.py",
    "makes dev_questions.json and dev_outputs.json",
    "LaMP_6/dev of the data folder",
)


def test_missing_e_mails_say_whose_they_are(tmp_path: Path) -> None:
    message = missing(tmp_path, "lamp6u")
    for part in (*E_MAILS, f"{tmp_path}/LaMP_6/dev/dev_questions.json"):
        assert part in message
    assert "qrag download" not in message


def test_ids_are_no_e_mails(tmp_path: Path) -> None:
    questions, outputs = papers(1)
    outputs["task"] = "LaMP_6"
    for item in questions[0]["profile"]:
        item["text"] = item.pop("abstract")
    write_official(tmp_path, questions, path="LaMP_6")
    assert "Avocado" in missing(tmp_path, "lamp6u")  # no outputs
    write_official(tmp_path, questions, outputs, path="LaMP_6")
    loaded = data.load(LAMP_TASKS["lamp6u"], str(tmp_path))
    assert loaded.samples[0].profile[0]["text"] == "Bird 0 of 0 sings."
    questions[0] |= {"input": "005-000123-EM.txt", "profile": [{"id": "1", "text": "x.txt"}]}
    write_official(tmp_path, questions, outputs, path="LaMP_6")
    message = missing(tmp_path, "lamp6u")
    for part in (*E_MAILS, "question '200': its input is '005-000123-EM.txt', no e-mail"):
        assert part in message


# ---------------------------------------------------------------- what is wrong
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
    "number", [float("nan"), float("inf"), -float("inf")], ids=["NaN", "Infinity", "-Infinity"]
)
@pytest.mark.parametrize("place", ["score", "text", "id", "gold"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, place: str, number: float) -> None:
    questions, outputs = reviews()
    if place == "gold":
        outputs["golds"][1]["output"] = number
    else:
        questions[1]["profile"][2][place] = number
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    field, told = ("output" if place == "gold" else place), json.dumps(number)
    with pytest.raises(DataError, match=f"field '{field}' is {told}, which is not finite"):
        data.load(TASK, str(root))


def test_a_number_that_is_none_in_a_field_that_nobody_reads(tmp_path: Path) -> None:
    questions, outputs = reviews()
    questions[0]["profile"][0]["helpful"] = float("nan")
    assert (
        len(data.load(TASK, str(write_flat(tmp_path, "lamp3u", questions, outputs))).samples) == 3
    )


def test_golds_are_taken_as_the_official_evaluator_takes_them(tmp_path: Path) -> None:
    questions, outputs = reviews(5)
    for gold, written in zip(outputs["golds"], ["5 ", 5.0, " 4\n", 3, "2.0"], strict=True):
        gold["output"] = written
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    assert [sample.target for sample in data.load(TASK, str(root)).samples] == [*"55432"]
    outputs["golds"][0]["output"] = "4.5 "
    write_flat(tmp_path, "lamp3u", questions, outputs)
    with pytest.raises(DataError, match=r"gold of id '100' is '4.5 ', expected one of 1, 2, 3"):
        data.load(TASK, str(root))


@pytest.mark.parametrize(("name", "gold"), [("lamp1u", "[2]"), ("lamp2u", "dark comedy")])
def test_golds_that_are_labels_may_have_blanks_around_them(name: str, gold: str) -> None:
    assert LAMP_TASKS[name].answer.read_gold(f" {gold}\n") == gold


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
        (
            b"[" * 200_000,
            r"not valid JSON at line 1, column 2 \(lists or objects inside each other",
        ),
        (b"[" + b"1" * 5_000 + b"]", r"not valid JSON .*a number of thousands of digits"),
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
    message = missing(root)
    assert "questions.json has no outputs.json beside it: the golds are missing" in message
    assert f"qrag download lamp3u --into {root}\n" in message
    assert "https://ciir.cs.umass.edu/downloads/LaMP/LaMP_3/dev/dev_outputs.json" in message


@pytest.mark.parametrize("name", ["questions", "outputs"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", r"cut after [\d,]+ bytes of text: its gzip stream has no end. Get it again"),
        ("flipped", r"no gzip file, or a damaged one, after [\d,]+ bytes .*Get it again"),
        ("plain", r"no gzip file, or a damaged one, after 0 bytes .*must not be called .gz"),
        ("empty", r"not valid JSON at line 1, column 1 .*0 bytes"),
    ],
)
def test_broken_packed_files_are_named(
    tmp_path: Path, name: str, damage: str, message: str
) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews())
    path = root / "lamp3u" / f"{name}.json"
    plain = path.read_bytes()
    packed = gzip.compress(plain)
    flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
    content = {"cut": packed[:-20], "flipped": flipped, "plain": plain, "empty": b""}[damage]
    path.with_name(f"{name}.json.gz").write_bytes(content)
    path.unlink()
    with pytest.raises(DataError, match=rf"lamp3u/{name}.json.gz: {message}"):
        data.load(TASK, str(root))


def test_a_broken_record_is_named_in_a_packed_file(tmp_path: Path) -> None:
    questions, outputs = reviews()
    questions[1]["profile"][2] = ["a", "list"]
    root = write_flat(tmp_path, "lamp3u", questions, outputs)
    pack(root / "lamp3u" / "questions.json")
    message = r"questions.json.gz: question '101': profile item 2: expected an object, got a list"
    with pytest.raises(DataError, match=message):
        data.load(TASK, str(root))


def test_real_data(real_data: Path) -> None:
    loaded = data.load(TASK, str(real_data))
    assert len(loaded.samples) == 498
    assert not loaded.notes
    papers = data.load(LAMP_TASKS["lamp5u"], str(real_data))
    assert len(papers.samples) == 464
