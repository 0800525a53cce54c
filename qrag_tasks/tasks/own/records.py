"""Records out of files: JSON Lines, CSV, Parquet, and what ``datasets`` saved; one at a time."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.text_files import NotUTF8Error, refuse_wide

LONGEST_LINE = 64 * 2**20
"""The most bytes of one line. A longer one is no record, and would fill the memory."""

_MARK = "\ufeff"
_MOST_DIGITS = 1_000
"""Of a whole number; a longer one is no id."""


_HALF = re.compile("[\ud800-\udfff]")


class Record(NamedTuple):
    """One record and its place."""

    file: Path
    line: int
    fields: Mapping[str, Any]
    rows: bool = False


def why_no_text(value: Any) -> str | None:
    """Say why a field's value is no text; ``None`` where it is one, or a number that stands for it.

    Data give ids, ratings and dates as texts or as numbers.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return f"expected text or a number, got {kind(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(value, str) and _HALF.search(value):
        return "holds half a surrogate pair, which is not valid text"
    return None


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def as_number(text: str) -> str | int | float:
    """Return the number that a cell of a table writes; the text where it writes none."""
    if not _NUMBER.fullmatch(text) or len(text) > _MOST_DIGITS:
        return text
    if text.lstrip("+-").isdecimal():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else text


def files_at(path: Path) -> list[Path]:
    """Return the files that make up a file or folder, in the order in which they are read."""
    if path.is_dir():
        saved = sorted(path.glob("*.arrow"))
        return saved if (path / "state.json").is_file() else sorted(path.glob("*.parquet"))
    return [path]


def records(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[Record]:
    """Yield the records of a file, or of a folder of Parquet files or of ``datasets``.

    :param mistakes: takes what cannot be read, and its place.
    :param digest: a :mod:`hashlib` object, fed with the bytes of all files.
    """
    if not path.exists():
        mistakes.add(Mistake(path, None, "", "there is no such file or folder"), "missing file")
        return
    parts = files_at(path)
    if not parts:
        text = (
            "the folder holds neither Parquet files nor a data set that datasets.save_to_disk "
            "saved (state.json and *.arrow)"
        )
        if (path / "dataset_dict.json").is_file():
            text = "the folder holds several splits: name one of them, such as its folder train"
        mistakes.add(Mistake(path, None, "", text), "no files")
        return
    for part in parts:
        reader = _READERS.get(part.suffix.lower())
        if reader is None:
            known = ", ".join(_READERS)
            text = f"its name ends in {part.suffix!r}: expected one of {known}"
            mistakes.add(Mistake(part, None, "", text), "unknown form")
            continue
        try:
            yield from reader(part, mistakes, digest)
        except OSError as error:
            text = f"cannot be read: {error.strerror or error}"
            mistakes.add(Mistake(part, None, "", text), "unreadable file")


def _json_lines(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[Record]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_no_field_twice, parse_constant=_no_constant, parse_int=_whole_number
    )
    for number, line in _lines(path, mistakes, digest):

        def wrong(text: str, field: str = "", number: int = number) -> None:
            mistakes.add(Mistake(path, number, field, text), field or "not a JSON object")

        if not line.strip():
            continue
        if line.startswith(_MARK):
            wrong("a byte order mark within the file, as where two files were joined: remove it")
            continue
        try:
            value = decoder.decode(line)
        except _TwiceError as error:
            wrong(f"the field {error} is there twice")
        except json.JSONDecodeError as error:
            start = line[:40].strip()
            wrong(
                f"not valid JSON at column {error.colno} ({error.msg}); it starts with {start!r}. "
                f"Expected one JSON object on each line"
            )
        except (RecursionError, ValueError) as error:
            text = "lists within lists without end" if isinstance(error, RecursionError) else error
            wrong(f"not valid JSON: {text}")
        else:
            if isinstance(value, dict):
                yield Record(path, number, value)
            else:
                wrong(f"expected a JSON object on each line, got {kind(value)}")


class _TwiceError(ValueError):
    pass


def _no_field_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(repr(next(name for name in names if names.count(name) > 1)))
    return fields


def _whole_number(digits: str) -> int:
    # Python refuses more than 4,300, and advises a setting of its own.
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a finite number")


def _lines(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file and their numbers, the first without a byte order mark."""

    def wrong(number: int, text: str) -> None:
        mistakes.add(Mistake(path, number, "", text), text.partition(";")[0])

    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LONGEST_LINE):
            number += 1
            digest.update(raw)
            too_long = len(raw) == LONGEST_LINE and not raw.endswith(b"\n")
            while too_long and raw and not raw.endswith(b"\n"):
                raw = file.readline(LONGEST_LINE)
                digest.update(raw)
            if too_long:
                wrong(number, f"longer than {LONGEST_LINE // 2**20} MB; is a line break missing?")
                continue
            try:
                text = (refuse_wide(raw) if number == 1 else raw).decode()
            except NotUTF8Error as error:
                wrong(number, f"{error}; nothing more of it was read")
                return
            except UnicodeDecodeError as error:
                wrong(
                    number, f"not UTF-8 text; at byte {error.start} of the line. Save it as UTF-8"
                )
                continue
            yield number, text.removeprefix(_MARK) if number == 1 else text


def _csv(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header; a row may go over several lines."""
    csv.field_size_limit(LONGEST_LINE)
    lines = (line for _, line in _lines(path, mistakes, digest))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for row in reader:
            if header is None:
                header = row
                if twice := [name for name in header if header.count(name) > 1]:
                    text = f"the column {twice[0]!r} is there twice"
                    mistakes.add(Mistake(path, 1, twice[0], text), "columns")
                    return
            elif len(row) != len(header) and row:
                text = f"{len(row)} values for {len(header)} columns"
                mistakes.add(Mistake(path, start, "", text), "columns")
            elif row:
                # An empty cell says nothing, as CSV has no other way to.
                fields = {k: v for k, v in zip(header, row, strict=True) if v != ""}
                yield Record(path, start, fields)
            start = reader.line_num + 1
    except csv.Error as error:
        text = f"not valid CSV: {error}"
        mistakes.add(Mistake(path, reader.line_num, "", text), "not valid CSV")


def _parquet(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _digest_file(path, digest)
    try:
        with pq.ParquetFile(path) as file:
            yield from _rows(path, file.iter_batches(batch_size=256))
    except pa.ArrowException as error:
        text = f"not a Parquet file, or a damaged one: {str(error).splitlines()[0]}"
        mistakes.add(Mistake(path, None, "", text), "not Parquet")


def _arrow(path: Path, mistakes: Mistakes, digest: Any) -> Iterator[Record]:
    """Yield the rows of a file in a folder that ``datasets`` saved."""
    import pyarrow as pa

    _digest_file(path, digest)
    try:
        with pa.memory_map(str(path)) as file:
            yield from _rows(path, pa.ipc.open_stream(file))
    except pa.ArrowException as error:
        text = f"not an Arrow file, or a damaged one: {str(error).splitlines()[0]}"
        mistakes.add(Mistake(path, None, "", text), "not Arrow")


def _rows(path: Path, batches: Any) -> Iterator[Record]:
    number = 0
    for batch in batches:
        for fields in batch.to_pylist():
            number += 1
            yield Record(path, number, fields, rows=True)


def _digest_file(path: Path, digest: Any) -> None:
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)


_READERS: Mapping[str, Callable[[Path, Mistakes, Any], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
