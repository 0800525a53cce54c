"""Reading LaMP's files: from a data root to checked samples.

A file is parsed once, into columnar files in the cache folder
(:mod:`qrag_tasks.tasks.corpus.columns`), and read from there until it changes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError
from qrag_tasks.locations import cache_dir
from qrag_tasks.tasks.base import DataSet as DataSet
from qrag_tasks.tasks.base import Item, Task
from qrag_tasks.tasks.base import Sample as Sample
from qrag_tasks.tasks.corpus.columns import ColumnFolder, Columns, ColumnWriter
from qrag_tasks.tasks.corpus.data_sets import data_set, undamaged
from qrag_tasks.tasks.corpus.file_states import State, check_unchanged, file_state
from qrag_tasks.tasks.corpus.json_files import json_items, kind, read_json
from qrag_tasks.tasks.lamp.data_roots import LAMP_URL as LAMP_URL
from qrag_tasks.tasks.lamp.data_roots import MINI as MINI
from qrag_tasks.tasks.lamp.data_roots import SPLITS as SPLITS
from qrag_tasks.tasks.lamp.data_roots import data_root as data_root
from qrag_tasks.tasks.lamp.data_roots import find_files as find_files
from qrag_tasks.tasks.lamp.data_roots import how_to_make
from qrag_tasks.tasks.lamp.layout import files_of


def load(task: Task, data: str | None = None, split: str = "dev") -> DataSet:
    """Read and check the samples of ``task``.

    The first time, the files are parsed and converted, which takes seconds for the official ones;
    later, and in other processes, what they were converted into is mapped into memory.

    :param data: a data root as :func:`data_root` takes it.
    :param split: ``train``, ``dev`` or ``test``.
    :raises DataError: when a file is missing, cut, or breaks LaMP's format.
    :raises SettingsError: when there is no such split.
    :raises StoreError: when the cache folder cannot be written to.
    """
    questions, outputs = find_files(files_of(task), data_root(data), split)
    files = (questions, outputs)
    states = (file_state(questions), None if outputs is None else file_state(outputs))
    folder = cache_dir() / "data"
    columns = undamaged(_columns, replace(task, index="lamp"), split, folder, files, states)
    notes = [f"{questions}: {note}" for note in columns.notes]
    return data_set(task, questions, outputs, columns, split, notes)


@lru_cache(maxsize=16)
def _columns(
    task: Task,
    split: str,
    root: Path,
    files: tuple[Path, Path | None],
    states: tuple[State, State | None],
) -> Columns:
    source = {
        what: state and state._asdict()
        for what, state in zip(("questions", "outputs"), states, strict=True)
    }
    folder = ColumnFolder(root, f"{task.name}-{split}", Path(states[0].path))
    return folder.open(source, task.item_fields, partial(_convert, task, split, files, states))


def _convert(
    task: Task,
    split: str,
    files: tuple[Path, Path | None],
    states: tuple[State, State | None],
    writer: ColumnWriter,
) -> str:
    """Write the samples, one at a time, and return the fingerprint."""
    questions, outputs = files
    digest = hashlib.sha256()
    golds = None if outputs is None else _golds(task, outputs, read_json(outputs, digest))
    seen: set[str] = set()
    for position, record in enumerate(json_items(questions, digest)):
        sample = _sample(task, split, questions, position, record, golds, writer)
        if sample.id in seen:
            raise DataError(f"{questions}: two questions have the id {sample.id!r}")
        seen.add(sample.id)
        writer.add(sample)
    if not seen:
        raise DataError(f"{questions}: expected a JSON list of questions, got an empty list")
    if strangers := [i for i in golds or () if i not in seen]:
        raise DataError(
            f"{outputs}: {len(strangers)} golds have no question in {questions.name} "
            f"(first ids: {', '.join(strangers[:3])}). Are both files of the same split?"
        )
    for path, state in zip(files, states, strict=True):
        if path is not None and state is not None:
            check_unchanged(path, state)
    return digest.hexdigest()


def _golds(task: Task, path: Path, body: Any) -> dict[str, str]:
    entries = body.get("golds") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise DataError(f'{path}: expected {{"task": ..., "golds": [...]}}, got {kind(body)}')
    if body.get("task", task.official_name) != task.official_name:
        raise DataError(
            f"{path}: golds of {body['task']!r}, expected those of {task.official_name!r}"
        )
    golds: dict[str, str] = {}
    for position, entry in enumerate(entries):
        where = f"{path}: gold {position}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object, got {kind(entry)}")
        gold_id = _text(entry, "id", where)
        written = _text(entry, "output", f"{path}: gold of id {gold_id!r}")
        target = task.answer.read_gold(written)
        if gold_id in golds:
            raise DataError(f"{path}: two golds have the id {gold_id!r}")
        values = task.answer.values
        if values is not None and target not in values:
            raise DataError(
                f"{path}: gold of id {gold_id!r} is {written!r}, "
                f"expected one of {', '.join(values)}"
            )
        golds[gold_id] = target
    return golds


def _sample(
    task: Task,
    split: str,
    path: Path,
    position: int,
    record: Any,
    golds: Mapping[str, str] | None,
    writer: ColumnWriter,
) -> Sample:
    if not isinstance(record, dict):
        raise DataError(f"{path}: question {position}: expected an object, got {kind(record)}")
    sample_id = _text(record, "id", f"{path}: question {position}")
    where = f"{path}: question {sample_id!r}"
    text = _text(record, "input", where)
    files = files_of(task)
    if files.repair is not None and (repaired := files.repair(sample_id, text)) is not None:
        writer.note(f"question {sample_id!r}: its input is known to be flawed; it is repaired here")
        text = repaired
    try:
        task.query(text)
    except ValueError as error:
        if not files.public and ":" not in text:
            raise DataError(
                f"{where}: its input is {text[:80]!r}, no e-mail: the file holds ids only.\n"
                f"{how_to_make(files, split)}"
            ) from None
        raise DataError(f"{where}: not an input of {task.official_name}: {error}") from None
    if golds is not None and sample_id not in golds:
        raise DataError(
            f"{where} has no gold in the outputs file beside it. Are both of the same split?"
        )
    items = record.get("profile")
    if not isinstance(items, list):
        raise DataError(f"{where}: field 'profile': expected a list, got {kind(items)}")

    profile: list[Item] = []
    ids: set[str] = set()
    copies: dict[str, int] = {}
    for index, entry in enumerate(items):
        if not isinstance(entry, dict):
            raise DataError(f"{where}: profile item {index}: expected an object, got {kind(entry)}")
        item_id = _text(entry, "id", f"{where}: profile item {index}")
        item_where = f"{where}: profile item {item_id!r}"
        item = {field: _text(entry, field, item_where) for field in task.item_fields}
        # Of the user-based splits, whose format knows no dates, only what can be one is kept.
        date = entry.get("date")
        if type(date) in (str, int) or (files.dated and date is not None):
            item["date"] = _text(entry, "date", item_where)
        unique = item_id
        while unique in ids:
            copies[item_id] = copies.get(item_id, 1) + 1
            unique = f"{item_id}#{copies[item_id]}"
        if unique != item_id:
            writer.note(
                f"question {sample_id!r}: profile item {item_id!r} stands twice; the later one is "
                f"called {unique!r} here"
            )
        ids.add(unique)
        profile.append({"id": unique, **item})
    user = "" if record.get("user_id") is None else _text(record, "user_id", where)
    target = None if golds is None else golds[sample_id]
    return Sample(sample_id, text, tuple(profile), target, user)


def _text(record: Mapping[str, Any], field: str, where: str) -> str:
    """Return a field as text; LaMP's files give ids and scores as strings or as numbers."""
    if field not in record:
        raise DataError(f"{where}: field {field!r} is missing")
    value = record[field]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{where}: field {field!r} holds half a surrogate pair: no valid text"
            ) from None
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(
            f"{where}: field {field!r} is {json.dumps(value)}, which is not finite: expected "
            f"text or a number"
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{where}: field {field!r}: expected text or a number, got {kind(value)}")
