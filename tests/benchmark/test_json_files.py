"""JSON read a block at a time is what json reads, and its errors are json's."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.benchmark import json_files
from qrag_tasks.errors import DataError

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
    digest = hashlib.sha256()
    assert list(json_files.json_items(path, digest)) == json.loads(raw)
    assert digest.hexdigest() == hashlib.sha256(raw).hexdigest()


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
