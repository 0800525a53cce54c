"""Byte order marks are read away, and other encodings are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.text_files import NotUTF8Error, decoded, raw_lines

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"))


@given(texts)
def test_with_a_mark_and_without(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    for codec in ("utf-8", "utf-8-sig"):
        path.write_bytes(text.encode(codec))
        assert decoded(path.read_bytes()) == text
        assert b"".join(raw_lines(path)) == text.encode()
        assert list(raw_lines(path)) == text.encode().splitlines(keepends=True) or "\r" in text


@pytest.mark.parametrize("text", ["[", '[{"id": "1"}]', "7 Q0 a 1 1 x\n", "name: mini\n"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_text_is_named(tmp_path: Path, codec: str, text: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text.encode(codec))
    for read in (lambda: decoded(path.read_bytes()), lambda: list(raw_lines(path))):
        with pytest.raises(NotUTF8Error, match=r"not UTF-8 text but UTF-16 or UTF-32\. Save it as"):
            read()


@pytest.mark.parametrize(("mark", "at"), [(b"", 4), (b"\xef\xbb\xbf", 7)])
def test_what_is_no_text_is_told_by_its_byte(mark: bytes, at: int) -> None:
    with pytest.raises(NotUTF8Error, match=f"at byte {at}. Save"):
        decoded(mark + "né".encode() + b"n\xff")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert decoded(b"") == ""
    assert list(raw_lines(path)) == []
