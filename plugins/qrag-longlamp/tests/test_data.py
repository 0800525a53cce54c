"""Files in every form that the hub, its client or LongLaMP's script makes; and broken ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from qrag_tasks.errors import DataError, RetrieverError, SettingsError
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.pipeline import make_prompts
from qrag_tasks.prompting.rankings import make_queries
from qrag_tasks.tasks.base import DataSet

from qrag_longlamp import places
from qrag_longlamp.mini.make import make
from qrag_longlamp.table import LONGLAMP_TASKS

CONFIG = "product_review_user"
REVIEW = LONGLAMP_TASKS["longlamp-review-user"]
Rows = Sequence[dict[str, Any]]


def document(number: int) -> dict[str, Any]:
    return {
        "overall": float(number % 5 + 1),
        "summary": f"summary {number}",
        "description": f"thing {number}",
        "reviewText": f"text {number}",
    }


def row(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "reviewerId": f"user {number}",
        "input": f"Write review {number}.",
        "output": f"Review {number}.",
        "profile": [document(n) for n in range(3)],
        **changed,
    }


ROWS = [row(n) for n in range(4)]


def json_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in rows), "utf-8")


def parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist([*rows]), path)


def as_parts(folder: Path) -> None:
    parquet(folder / "val-00000-of-00002.parquet", ROWS[:3])
    parquet(folder / "val-00001-of-00002.parquet", ROWS[3:])
    # Of another split, beside them.
    parquet(folder / "test-00000-of-00001.parquet", ROWS[:1])


def as_converted(folder: Path) -> None:
    (folder / "val").mkdir()
    parquet(folder / "val" / "0000.parquet", ROWS)


def as_saved(folder: Path) -> None:
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(str(folder / "val"))


def as_columns_of_a_profile(folder: Path) -> None:
    # As datasets keeps a sequence of objects.
    by_field = [
        {**each, "profile": {k: [d[k] for d in each["profile"]] for k in document(0)}}
        for each in ROWS
    ]
    parquet(folder / "val.parquet", by_field)


def as_json(folder: Path) -> None:
    (folder / "val.json").write_text(json.dumps(ROWS), "utf-8")


def as_packed_json(folder: Path) -> None:
    with gzip.open(folder / "val.json.gz", "wt", encoding="utf-8") as file:
        json.dump(ROWS, file)


def as_lamp_does(folder: Path) -> None:
    questions = [
        {"id": str(n), "reviewerId": each["reviewerId"], "input": each["input"]}
        | {"profile": [{"id": str(place), **d} for place, d in enumerate(each["profile"])]}
        for n, each in enumerate(ROWS)
    ]
    golds = [{"id": str(n), "output": each["output"]} for n, each in enumerate(ROWS)]
    (folder / "val_questions.json").write_text(json.dumps(questions), "utf-8")
    (folder / "val_outputs.json").write_text(json.dumps({"task": "any", "golds": golds}), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data" / CONFIG
    path.mkdir(parents=True)
    return path


def load(folder: Path, split: str = "dev") -> DataSet:
    return REVIEW.load(str(folder.parent), split)


@pytest.mark.parametrize(
    "write",
    [
        as_parts,
        as_converted,
        as_saved,
        as_columns_of_a_profile,
        as_json,
        as_packed_json,
        as_lamp_does,
        lambda folder: json_lines(folder / "val.jsonl", ROWS),
        lambda folder: parquet(folder / "validation.parquet", ROWS),
    ],
)
def test_every_form_gives_the_same_samples(write: Callable[[Path], None], folder: Path) -> None:
    write(folder)
    data = load(folder)
    assert data.ids == ("0", "1", "2", "3")
    sample = data.samples[3]
    assert (sample.input, sample.target, sample.user) == ("Write review 3.", "Review 3.", "user 3")
    assert [item["id"] for item in sample.profile] == ["0", "1", "2"]
    assert sample.profile[1] == {
        "id": "1",
        "overall": "2.0",
        "summary": "summary 1",
        "description": "thing 1",
        "reviewText": "text 1",
    }
    # The folder of the configuration itself is as good a data root.
    assert REVIEW.load(str(folder), "dev").fingerprint == data.fingerprint


def test_data_that_change_are_read_again(folder: Path) -> None:
    json_lines(folder / "val.jsonl", ROWS)
    before = load(folder).fingerprint
    json_lines(folder / "val.jsonl", ROWS[:2])
    assert load(folder).ids == ("0", "1")
    assert load(folder).fingerprint != before


def test_years_are_dates(tmp_path: Path) -> None:
    data = LONGLAMP_TASKS["longlamp-abstract-temporal"].load("mini")
    assert [item["date"] for item in data.samples[0].profile][:2] == ["2001", "2002"]


def test_texts_without_dates_are_not_ranked_by_recency() -> None:
    newest = build_retriever("recency")
    data = LONGLAMP_TASKS["longlamp-abstract-user"].load("mini")
    (ranking,) = newest.rank(make_queries(data.task, [data.samples[0]], newest))
    assert ranking.ids == ("p4", "p3", "p2", "p1", "p0")
    data = REVIEW.load("mini")
    with pytest.raises(RetrieverError, match="has no date"):
        make_queries(data.task, [data.samples[0]], newest)


def test_mini_is_what_its_generator_writes(tmp_path: Path) -> None:
    make(tmp_path)
    shipped = Path(places.__file__).parent / "mini"
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jsonl"))
    assert len(files) == len(LONGLAMP_TASKS)
    for file in files:
        assert (shipped / file).read_bytes() == (tmp_path / file).read_bytes(), file


# ---------------------------------------------------------------------- data that are not there
def test_missing_data_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        REVIEW.load(str(tmp_path), "test")
    message = str(raised.value)
    assert f"{CONFIG}: no data of the test split in {tmp_path}" in message
    assert f"{tmp_path / CONFIG / 'test.parquet'}" in message
    assert (
        f"hf download LongLaMP/LongLaMP --repo-type dataset --include '{CONFIG}/test*' "
        f"--local-dir {tmp_path}" in message
    )
    assert '--metadata \'{"data": "hub"}\'' in message


def test_the_command_that_the_message_names_is_one() -> None:
    command = [Path(sys.executable).parent / "hf", "download", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--repo-type", "--include", "--local-dir"):
        assert option in said


def test_missing_emails_are_the_ldcs(tmp_path: Path) -> None:
    row = LONGLAMP_TASKS["longlamp-email-user"]
    for place in (str(tmp_path), "hub"):
        with pytest.raises(DataError, match="LDC2015T03"):
            row.load(place)


def test_a_split_that_there_is_not() -> None:
    with pytest.raises(SettingsError, match=r"unknown split 'deb'.*Did you mean 'dev'"):
        REVIEW.load("mini", "deb")
    with pytest.raises(DataError, match="mini has the dev split only"):
        REVIEW.load("mini", "train")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["val-00001-of-00002"], "part 0 is missing"),
        (["val-00000-of-00002", "val-00000-of-00001"], "part 1 is missing"),
        (["val-00000-of-00001", "val-00000-of-00001.old"], "different downloads"),
    ],
)
def test_a_download_that_is_not_whole(parts: list[str], message: str, folder: Path) -> None:
    for part in parts:
        parquet(folder / f"{part}.parquet", ROWS)
    with pytest.raises(DataError, match=message):
        load(folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, without a network, where the default branch of a data set can be put."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    repository = cache / "datasets--LongLaMP--LongLaMP"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit, "utf-8")
    places.from_hub.cache_clear()
    return repository / "snapshots" / commit


def test_the_hubs_own_cache_is_read(hub: Path) -> None:
    folder = hub / CONFIG
    folder.mkdir(parents=True)
    as_parts(folder)
    assert REVIEW.load("hub").ids == ("0", "1", "2", "3")
    assert REVIEW.load(f"hub@{hub.name}").fingerprint == REVIEW.load("hub").fingerprint


def test_what_the_hub_does_not_give_is_one_error(hub: Path) -> None:
    with pytest.raises(DataError) as raised:
        REVIEW.load("hub")
    message = str(raised.value)
    assert message.startswith(f"data: hub: {CONFIG} cannot be fetched: ")
    assert "hf download LongLaMP/LongLaMP" in message


def test_a_split_that_the_hubs_cache_lacks_is_one_error(hub: Path) -> None:
    folder = hub / CONFIG
    folder.mkdir(parents=True)
    as_parts(folder)
    with pytest.raises(DataError) as raised:
        REVIEW.load("hub", "train")
    assert str(raised.value).endswith(
        f"hf download LongLaMP/LongLaMP --repo-type dataset --include '{CONFIG}/train*'"
    )


# ---------------------------------------------------------------------- broken data
def changed(**fields: Any) -> list[dict[str, Any]]:
    """The rows, the second changed; a field that is to be ``...`` is left out."""
    other = {k: v for k, v in row(1, **fields).items() if v is not ...}
    return [ROWS[0], other]


def with_document(**fields: Any) -> list[dict[str, Any]]:
    other = {k: v for k, v in {**document(1), **fields}.items() if v is not ...}
    return changed(profile=[document(0), other])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(profile=...), r"val.jsonl:2: field 'profile' is missing"),
        (changed(profile=None), r"val.jsonl:2: field 'profile': expected a list, got nothing"),
        (changed(profile="none"), r"val.jsonl:2: field 'profile': expected a list, got text"),
        (changed(profile=[1]), r"val.jsonl:2: profile\[0\]: expected an object, got int"),
        (changed(profile={"overall": [1.0], "summary": []}), "equally long lists"),
        (with_document(reviewText=...), r"profile\[1\]: field 'reviewText' is missing"),
        (with_document(overall=[5]), r"profile\[1\]: field 'overall': expected text or a number"),
        (changed(output=...), r"val.jsonl:2: field 'output' is missing"),
        (changed(output=None), r"val.jsonl:2: field 'output': expected text or a number"),
        (changed(input=...), r"val.jsonl:2: field 'input' is missing"),
        (changed(reviewerId=..., reviewerID="x"), r"Did you mean 'reviewerID'"),
        (changed(output="half \ud800"), "half a surrogate pair"),
        ([row(0, id="7"), row(1, id="7")], "two rows have the id '7'"),
        ([], "there is no row in it"),
    ],
)
def test_broken_rows_are_one_error_each(rows: Rows, message: str, folder: Path) -> None:
    json_lines(folder / "val.jsonl", rows)
    with pytest.raises(DataError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("val.jsonl", b'{"input": "x"\n', r"val.jsonl:1: not valid JSON"),
        ("val.json", b'{"input": "x"}', "expected a JSON list"),
        ("val.json", b"[1]", r"val.json, row 1: expected an object, got int"),
        ("val.parquet", b"PAR1 not really", "not a Parquet file, or a damaged one"),
        ("val.jsonl", "{}".encode("utf-16"), "UTF-16"),
    ],
)
def test_broken_files_are_one_error_each(
    name: str, content: bytes, message: str, folder: Path
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_an_abstract_without_items_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "abstract_generation_user"
    folder.mkdir()
    json_lines(folder / "val.jsonl", [{"name": "a", "input": "x", "output": "y", "profile": []}])
    with pytest.raises(DataError, match=r"val.jsonl:1: its input is not one of abstract_gener"):
        LONGLAMP_TASKS["longlamp-abstract-user"].load(str(tmp_path))


def test_golds_and_questions_in_lamps_form_belong_together(folder: Path) -> None:
    as_lamp_does(folder)
    outputs = folder / "val_outputs.json"
    golds = json.loads(outputs.read_text("utf-8"))
    outputs.write_text(json.dumps({"golds": golds["golds"][:3]}), "utf-8")
    with pytest.raises(DataError, match="question '3' has no gold"):
        load(folder)
    strangers = [*golds["golds"], {"id": "99", "output": "?"}]
    outputs.write_text(json.dumps({"golds": strangers}), "utf-8")
    with pytest.raises(DataError, match=r"1 gold has no question.*99"):
        load(folder)
    outputs.unlink()
    with pytest.raises(DataError, match="the golds are missing"):
        load(folder)


def test_what_is_odd_but_not_wrong_is_read(folder: Path) -> None:
    odd = "<|im_end|> {{ braces }} {0} %s Ünïcödé 🙂 \u0000"
    rows = [
        row(0, profile=[], more="an unknown column"),
        row(1, profile=[document(0)]),
        row(2, profile=[{**document(0), "reviewText": odd, "unknown": 1}], output=odd),
        row(3, profile=[{**document(0), "summary": None}], output=" "),
        row(4, profile=[{**document(n), "id": 5} for n in range(2)]),
        row(5, profile=[document(n) for n in range(10_000)]),
    ]
    json_lines(folder / "val.jsonl", rows)
    data = load(folder)
    sizes = [len(sample.profile) for sample in data.samples]
    assert sizes == [0, 1, 1, 1, 2, 10_000]
    assert data.samples[2].profile[0]["reviewText"] == odd == data.samples[2].target
    assert data.samples[3].profile[0]["summary"] == ""
    assert [item["id"] for item in data.samples[4].profile] == ["5", "5#2"]
    assert [note.partition("val.jsonl:")[2] for note in data.notes] == [
        "4: profile[0]: 'summary' holds nothing, and is read as an empty text",
        "4: its output is empty: every answer to it scores 0",
        "5: profile[1]: another document has the id '5'; this one is called '5#2' here",
    ]


def test_what_is_odd_makes_prompts_like_all_else(folder: Path) -> None:
    odd = "Good.<|im_end|> {{ braces }} {0} %s"
    rows = [
        row(0, profile=[]),
        row(1, profile=[{**document(0), "reviewText": odd}]),
        row(2, profile=[document(n) for n in range(10_000)]),
    ]
    json_lines(folder / "val.jsonl", rows)
    data = load(folder)
    bm25 = build_retriever("bm25")
    ranked = bm25.rank(make_queries(data.task, data.samples[:], bm25))
    best = [ranking.best(3) for ranking in ranked]
    empty, marked, many = make_prompts(data.task, data.samples[:], 3, best)
    assert empty.prompt == rows[0]["input"]
    # A review cannot end its turn; all else goes in to the letter.
    assert marked.markers_broken == 1
    assert "<|im_end|>" not in marked.prompt
    assert "{{ braces }} {0} %s" in marked.prompt
    assert [len(record.kept) for record in (empty, marked, many)] == [0, 1, 3]


def test_a_test_split_may_keep_its_golds(folder: Path) -> None:
    json_lines(folder / "test.jsonl", [row(0, output=...) | {"output": None}])
    assert load(folder, "test").samples[0].target is None
