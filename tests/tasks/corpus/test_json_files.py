"""JSON read a block at a time is what json reads, and its errors are json's."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.errors import DataError
from qrag_tasks.tasks.corpus import json_files

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.fixture(params=[1, 2, 3, 7, 1 << 22], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "_BLOCK", request.param)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "list.json"


@given(st.lists(values, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_items_are_those_that_json_reads(
    path: Path, items: list[object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    raw = text.encode("utf-8", "surrogatepass" if ascii_only else "replace")
    path.write_bytes(raw)
    packed = path.with_name("list.json.gz")
    packed.write_bytes(gzip.compress(raw, 1))
    for file in (path, packed):
        digest = hashlib.sha256()
        assert list(json_files.json_items(file, digest)) == json.loads(raw)
        assert digest.hexdigest() == hashlib.sha256(raw).hexdigest()
        assert json_files.read_json(file, hashlib.sha256()) == json.loads(raw)


BROKEN = [
    '[{"a": 1}, {"b',
    '[{"a": 1}\n, {"b": tru]',
    '[{"a": 1} {"b": 2}]',
    '[\n {"a": 1},\n  {"a" 1}\n]',
    "[1, 2",
    "[1, 2,",
    "[1, 2,]",
    "[",
    "[1] 2",
    "",
    "  ",
    "<html></html>",
    '["\\u12',
    '["a\nb"]',
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_is_told_as_json_tells_it(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(DataError) as caught:
        list(json_files.json_items(path, hashlib.sha256()))
    (line, column) = re.findall(r"line (\d+), column (\d+)", str(caught.value))[0]
    assert int(line) == expected.value.lineno
    # json's own wording and column differ between Python versions after a trailing comma.
    if text not in ("[1, 2,]",):
        assert int(column) == expected.value.colno


def test_text_that_is_no_utf8_is_told_by_its_byte(path: Path) -> None:
    path.write_bytes(b'["caf\xc3\xa9", "\xff"]')
    with pytest.raises(DataError, match="not UTF-8 text at byte 11"):
        list(json_files.json_items(path, hashlib.sha256()))
    path.write_bytes('["café'.encode()[:-1])
    with pytest.raises(DataError, match="not UTF-8 text at byte 5"):
        list(json_files.json_items(path, hashlib.sha256()))


def test_a_byte_order_mark_is_read_away(path: Path) -> None:
    packed = path.with_name("marked.json.gz")
    raw = '[{"a": "café"},\n 2]'.encode("utf-8-sig")
    path.write_bytes(raw)
    packed.write_bytes(gzip.compress(raw))
    for file in (path, packed):
        digest = hashlib.sha256()
        assert list(json_files.json_items(file, digest)) == [{"a": "café"}, 2]
        assert digest.hexdigest() == hashlib.sha256(raw).hexdigest()
        assert json_files.read_json(file, hashlib.sha256()) == [{"a": "café"}, 2]
    # The places of faults are those that an editor shows; the bytes are the file's.
    path.write_bytes(b"\xef\xbb\xbf[1 2]")
    with pytest.raises(DataError, match=r"line 1, column 4 .*starting with '\[1 2\]'"):
        list(json_files.json_items(path, hashlib.sha256()))
    path.write_bytes(b'\xef\xbb\xbf["\xff"]')
    with pytest.raises(DataError, match="not UTF-8 text at byte 5"):
        list(json_files.json_items(path, hashlib.sha256()))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_text_is_named(path: Path, codec: str) -> None:
    path.write_bytes('[{"a": 1}]'.encode(codec))
    for read in (json_files.read_json, lambda *a: list(json_files.json_items(*a))):
        with pytest.raises(DataError, match=r"list.json: not UTF-8 text but UTF-16 or UTF-32\."):
            read(path, hashlib.sha256())


PLAIN = json.dumps([{"a": 1, "b": "café"}, {"c": list(range(50))}]).encode()
PACKED = gzip.compress(PLAIN, mtime=0)


def test_a_cut_packed_file_is_told_wherever_it_is_cut(path: Path) -> None:
    packed = path.with_name("cut.json.gz")
    for end in range(2, len(PACKED)):
        packed.write_bytes(PACKED[:end])
        with pytest.raises(DataError, match="cut after"):
            list(json_files.json_items(packed, hashlib.sha256()))


def test_a_flipped_byte_of_a_packed_file_is_told_or_harmless(path: Path) -> None:
    packed = path.with_name("flipped.json.gz")
    harmless = 0
    for position in range(len(PACKED)):
        for bit in range(8):
            flipped = bytearray(PACKED)
            flipped[position] ^= 1 << bit
            packed.write_bytes(flipped)
            try:
                items = list(json_files.json_items(packed, hashlib.sha256()))
            except DataError as error:
                assert str(packed) in str(error)
            else:
                assert items == json.loads(PLAIN)
                harmless += 1
    assert harmless < 100  # flags, time and system in the header


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "inside each other"),
        ('[{"a":' * 50_000, "inside each other"),
        (f"[{'1' * 5_000}]", "thousands of digits"),
    ],
)
def test_what_json_refuses_is_told(path: Path, text: str, message: str) -> None:
    path.write_text(text, encoding="utf-8")
    for read in (json_files.read_json, lambda *a: list(json_files.json_items(*a))):
        with pytest.raises(DataError, match=rf"not valid JSON .*{message}"):
            read(path, hashlib.sha256())


@pytest.mark.parametrize(
    ("text", "parsings"),
    [
        (json.dumps([{"text": "x" * 300_000, "more": list(range(30_000))}]), 12),
        ('["' + "x" * 500_000, 12),
        ("[1," + " " * 500_000 + "2]", 4),
        ("[" + "[1]," * 10_000 + "[1", 10_100),
    ],
    ids=["large", "without end", "spaces", "many"],
)
def test_items_are_not_parsed_anew_for_every_block(
    path: Path, text: str, parsings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_BLOCK", 1_000)
    calls = 0
    raw_decode = json.JSONDecoder.raw_decode

    def counting(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return raw_decode(*arguments)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", counting)
    path.write_text(text, encoding="utf-8")
    with nullcontext() if text.endswith("]") else pytest.raises(DataError, match="not valid JSON"):
        for _ in json_files.json_items(path, hashlib.sha256()):
            pass
    assert 0 < calls <= parsings
