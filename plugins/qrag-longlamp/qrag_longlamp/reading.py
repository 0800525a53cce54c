"""Reading LongLaMP's rows: from files to checked samples.

A file is parsed once, into columnar files in the cache folder, and read from there until it
changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from qrag_tasks.errors import DataError, did_you_mean
from qrag_tasks.locations import cache_dir
from qrag_tasks.tasks.base import DataSet, Item, Sample, Task
from qrag_tasks.tasks.corpus.columns import ColumnFolder, Columns, ColumnWriter
from qrag_tasks.tasks.corpus.data_sets import data_set, undamaged
from qrag_tasks.tasks.corpus.file_states import State, check_unchanged, file_state
from qrag_tasks.tasks.corpus.json_files import json_items, kind, read_json
from qrag_tasks.tasks.own.mistakes import Mistakes
from qrag_tasks.tasks.own.records import records, why_no_text
from qrag_tasks.wording import counted

from qrag_longlamp.configuration import Configuration
from qrag_longlamp.places import Files, find_files

_FORM = 1
"""To be raised when equal files are read otherwise."""
_MISSING = object()


class Row(NamedTuple):
    """One row, and the place that messages name."""

    where: str
    number: int
    fields: Mapping[str, Any]


def load(task: Task, source: Configuration, data: str | None, split: str) -> DataSet:
    """Read and check the samples of ``task``.

    :raises DataError: where a file is missing, cut, or not as LongLaMP's are.
    :raises SettingsError: where there is no such split.
    :raises StoreError: where the cache folder cannot be written to.
    """
    files = find_files(source, data, split)
    states = tuple(map(file_state, files.all))
    folder = cache_dir() / "data"
    row = replace(task, index="lamp")
    columns = undamaged(_columns, row, source, split, folder, files, states)
    return data_set(task, *files.questions_and_golds, columns, split)


@lru_cache(maxsize=16)
def _columns(
    task: Task,
    source: Configuration,
    split: str,
    root: Path,
    files: Files,
    states: tuple[State, ...],
) -> Columns:
    made_of = {"form": _FORM, "files": [state._asdict() for state in states]}
    folder = ColumnFolder(root, f"{task.name}-{split}", Path(states[0].path))
    fill = partial(_convert, task, source, split, files, states)
    return folder.open(made_of, task.item_fields, fill)


def _convert(
    task: Task,
    source: Configuration,
    split: str,
    files: Files,
    states: tuple[State, ...],
    writer: ColumnWriter,
) -> str:
    """Write the samples, one at a time, and return the fingerprint."""
    digest = hashlib.sha256()
    golds = None if files.golds is None else _golds(files.golds, digest)
    reader = _Reader(task, source, split, golds, files.needs_golds, writer)
    for row in _rows(files.rows, digest):
        writer.add(reader.sample(row))
    reader.finish(files)
    for path, state in zip(files.all, states, strict=True):
        check_unchanged(path, state)
    return digest.hexdigest()


def _rows(paths: tuple[Path, ...], digest: Any) -> Iterator[Row]:
    """Yield the rows of all files, one at a time."""
    number = 0
    mistakes = Mistakes()
    for path in paths:
        if path.suffix == ".json" or path.name.endswith(".json.gz"):
            for place, fields in enumerate(json_items(path, digest), start=1):
                where = f"{path}, row {place}"
                if not isinstance(fields, dict):
                    raise DataError(f"{where}: expected an object, got {kind(fields)}")
                yield Row(where, number, fields)
                number += 1
            continue
        for record in records(path, mistakes, digest):
            if mistakes:
                break
            where = f"{path}, row {record.line}" if record.rows else f"{path}:{record.line}"
            yield Row(where, number, record.fields)
            number += 1
        if mistakes:
            raise DataError("\n".join(mistakes.lines()))


def _golds(path: Path, digest: Any) -> dict[str, str]:
    """Return the golds of a file in LaMP's form, by the id of their question."""
    body = read_json(path, digest)
    entries = body.get("golds") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise DataError(f'{path}: expected {{"task": ..., "golds": [...]}}, got {kind(body)}')
    golds: dict[str, str] = {}
    for place, entry in enumerate(entries, start=1):
        where = f"{path}: gold {place}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object, got {kind(entry)}")
        gold_id = _text(entry, "id", where)
        if gold_id in golds:
            raise DataError(f"{path}: two golds have the id {gold_id!r}")
        golds[gold_id] = _text(entry, "output", where)
    return golds


class _Reader:
    """Makes samples of rows.

    :param golds: by id, where the rows have none.
    """

    def __init__(
        self,
        task: Task,
        source: Configuration,
        split: str,
        golds: Mapping[str, str] | None,
        needs_golds: bool,
        writer: ColumnWriter,
    ) -> None:
        self._task = task
        self._source = source
        self._split = split
        self._golds = golds
        self._needs_golds = needs_golds
        self._writer = writer
        self._seen: set[str] = set()

    def sample(self, row: Row) -> Sample:
        """Return the sample of a row.

        :raises DataError: where the row is not as LongLaMP's are.
        """
        where, fields = row.where, row.fields
        # The hub's rows have no id of their own.
        sample_id = _text(fields, "id", where) if "id" in fields else str(row.number)
        if sample_id in self._seen:
            raise DataError(f"{where}: two rows have the id {sample_id!r}")
        self._seen.add(sample_id)
        text = _text(fields, "input", where)
        try:
            self._task.query(text)
        except ValueError as error:
            raise DataError(
                f"{where}: its input is not one of {self._task.official_name}: {error}"
            ) from None
        # LaMP's questions need not say who asks.
        unknown = self._needs_golds and fields.get(self._source.user) is None
        user = "" if unknown else _text(fields, self._source.user, where)
        return Sample(sample_id, text, self._profile(row), self._target(row, sample_id), user)

    def finish(self, files: Files) -> None:
        """Check what can be known once all rows are read.

        :raises DataError: where there is no row, or golds have no question.
        """
        if not self._seen:
            raise DataError(f"{files.rows[0]}: there is no row in it")
        if strangers := [name for name in self._golds or () if name not in self._seen]:
            have = "has" if len(strangers) == 1 else "have"
            raise DataError(
                f"{files.golds}: {counted(len(strangers), 'gold')} {have} no question in "
                f"{files.rows[0].name} (first id: {strangers[0]}). Are both files of the same "
                f"split?"
            )

    def _target(self, row: Row, sample_id: str) -> str | None:
        if self._needs_golds:
            if self._golds is None:
                return None
            if sample_id not in self._golds:
                raise DataError(
                    f"{row.where}: question {sample_id!r} has no gold in the outputs file beside "
                    f"it. Are both of the same split?"
                )
            target = self._golds[sample_id]
        elif self._split == "test" and row.fields.get("output") is None:
            return None
        else:
            target = _text(row.fields, "output", row.where)
        target = self._task.answer.read_gold(target)
        if not target:
            self._writer.note(f"{row.where}: its output is empty: every answer to it scores 0")
        return target

    def _profile(self, row: Row) -> tuple[Item, ...]:
        given = row.fields.get("profile", _MISSING)
        if given is _MISSING:
            hint = did_you_mean("profile", map(str, row.fields))
            raise DataError(f"{row.where}: field 'profile' is missing.{hint}")
        if isinstance(given, Mapping):
            given = _by_item(given, f"{row.where}: field 'profile'")
        if not isinstance(given, list):
            raise DataError(f"{row.where}: field 'profile': expected a list, got {kind(given)}")
        items: dict[str, Item] = {}
        for place, entry in enumerate(given):
            where = f"{row.where}: profile[{place}]"
            if not isinstance(entry, dict):
                raise DataError(f"{where}: expected an object, got {kind(entry)}")
            item = self._item(entry, where, str(place))
            item_id = item["id"]
            copies = 1
            while item["id"] in items:
                copies += 1
                item["id"] = f"{item_id}#{copies}"
            if copies > 1:
                self._writer.note(
                    f"{where}: another document has the id {item_id!r}; this one is called "
                    f"{item['id']!r} here"
                )
            items[item["id"]] = item
        return tuple(items.values())

    def _item(self, entry: Mapping[str, Any], where: str, number: str) -> dict[str, str]:
        """Return a profile item; reviews have no id, and get their number in the profile."""
        item = {"id": number if entry.get("id") is None else _text(entry, "id", where)}
        for field in self._task.item_fields:
            if entry.get(field, _MISSING) is None:
                self._writer.note(f"{where}: {field!r} holds nothing, and is read as an empty text")
                item[field] = ""
            else:
                item[field] = _text(entry, field, where)
        if self._source.date is not None and entry.get(self._source.date) is not None:
            item["date"] = _text(entry, self._source.date, where)
        return item


def _by_item(columns: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Return items of which each field is a list, as ``datasets`` keeps a sequence of objects."""
    lengths = {name: len(values) for name, values in columns.items() if isinstance(values, list)}
    if not columns or len(lengths) < len(columns) or len(set(lengths.values())) > 1:
        raise DataError(f"{where}: expected a list of objects, or an object of equally long lists")
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _text(fields: Mapping[str, Any], field: str, where: str) -> str:
    """Return a field as text; ids, ratings and years are texts or numbers."""
    if field not in fields:
        hint = did_you_mean(field, map(str, fields), 0.7)
        raise DataError(f"{where}: field {field!r} is missing.{hint}")
    value = fields[field]
    if (wrong := why_no_text(value)) is not None:
        raise DataError(f"{where}: field {field!r}: {wrong}")
    return str(value)
