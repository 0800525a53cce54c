"""Reading LaMP's files: from a data root to checked samples.

A data root is a folder in LaMP's own layout (``LaMP_3/dev/dev_questions.json`` beside
``dev_outputs.json``) or in the flat one (``lamp3u/questions.json`` beside ``outputs.json``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qrag_tasks.benchmark.json_files import json_items, kind, read_json
from qrag_tasks.benchmark.tasks import Item, LampTask, lamp_task
from qrag_tasks.errors import DataError
from qrag_tasks.locations import cache_dir, mini_root

LAMP_URL = "https://ciir.cs.umass.edu/downloads/LaMP"
MINI = "mini"


@dataclass(frozen=True)
class Sample:
    """One question of one user.

    :ivar id: the question's id in LaMP's files.
    :ivar input: the question as the data words it.
    :ivar profile: the user's own items, in the data's order; empty where the user has none.
    :ivar target: the gold answer.
    """

    id: str
    input: str
    profile: tuple[Item, ...]
    target: str


@dataclass(frozen=True)
class DataSet:
    """The samples of one task, and where they come from.

    :ivar fingerprint: sha256 over the bytes of both files: equal data, equal fingerprint.
    :ivar notes: what was repaired while reading, one sentence each.
    """

    task: LampTask
    questions: Path
    outputs: Path
    samples: tuple[Sample, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()


def data_root(data: str | None = None) -> Path:
    """Return the folder that ``data`` names.

    ``mini`` is the embedded sample. ``None`` means ``$QRAG_DATA``, else ``lamp`` in the cache
    folder (:func:`qrag_tasks.locations.cache_dir`); ``mini`` is never chosen by itself.
    """
    chosen = data or os.environ.get("QRAG_DATA")
    if not chosen:
        return cache_dir() / "lamp"
    return mini_root() if chosen == MINI else Path(chosen).expanduser()


def find_files(task: LampTask, root: Path) -> tuple[Path, Path]:
    """Return the questions file and the outputs file of ``task`` under ``root``.

    :raises DataError: when either is missing; the message says how to get the data.
    """
    layouts = (
        (
            root / task.folder / "dev" / "dev_questions.json",
            root / task.folder / "dev" / "dev_outputs.json",
        ),
        (root / task.name / "questions.json", root / task.name / "outputs.json"),
    )
    for questions, outputs in layouts:
        if questions.is_file():
            if outputs.is_file():
                return questions, outputs
            raise DataError(
                f"{task.name}: {questions} has no {outputs.name} beside it: the golds are missing. "
                f"Get {LAMP_URL}/{task.folder}/dev/dev_outputs.json"
            )
    url = f"{LAMP_URL}/{task.folder}/dev"
    raise DataError(
        f"{task.name}: no data in {root}{'' if root.is_dir() else ' (no such folder)'}\n"
        f"  looked for:  {layouts[0][0]}\n"
        f"               {layouts[1][0]}\n"
        f"  to get it:   download {url}/dev_questions.json\n"
        f"               and      {url}/dev_outputs.json\n"
        f"               into     {layouts[0][0].parent}\n"
        f"               (LaMP's licence: CC BY-NC-SA 4.0)\n"
        f'  elsewhere?   --metadata \'{{"data": "FOLDER"}}\' or QRAG_DATA=FOLDER\n'
        f'  to try out:  --metadata \'{{"data": "mini"}}\', the embedded sample '
        f"(its scores mean nothing)"
    )


def load(task: LampTask, data: str | None = None) -> DataSet:
    """Read and check the samples of ``task``.

    Reading the same unchanged files again in one process costs nothing.

    :param data: a data root as :func:`data_root` takes it.
    :raises DataError: when a file is missing, cut, or breaks LaMP's format.
    """
    questions, outputs = find_files(task, data_root(data))
    return _load(task.name, questions, outputs, _stamp(questions), _stamp(outputs))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _load(name: str, questions: Path, outputs: Path, *_stamps: tuple[int, int]) -> DataSet:
    task = lamp_task(name)
    digest = hashlib.sha256()
    golds = _golds(task, outputs, read_json(outputs, digest))
    notes: list[str] = []
    samples: list[Sample] = []
    seen: set[str] = set()
    # One question at a time: whole, the official files take ten times the memory of their texts.
    for position, record in enumerate(json_items(questions, digest)):
        sample = _sample(task, questions, position, record, golds, notes)
        if sample.id in seen:
            raise DataError(f"{questions}: two questions have the id {sample.id!r}")
        seen.add(sample.id)
        samples.append(sample)
    if not samples:
        raise DataError(f"{questions}: expected a JSON list of questions, got an empty list")
    if strangers := [i for i in golds if i not in seen]:
        raise DataError(
            f"{outputs}: {len(strangers)} golds have no question in {questions.name} "
            f"(first ids: {', '.join(strangers[:3])}). Are both files of the same split?"
        )
    return DataSet(task, questions, outputs, tuple(samples), digest.hexdigest(), tuple(notes))


def _golds(task: LampTask, path: Path, body: Any) -> dict[str, str]:
    entries = body.get("golds") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise DataError(f'{path}: expected {{"task": ..., "golds": [...]}}, got {kind(body)}')
    if body.get("task", task.folder) != task.folder:
        raise DataError(f"{path}: golds of {body['task']!r}, expected those of {task.folder!r}")
    golds: dict[str, str] = {}
    for position, entry in enumerate(entries):
        where = f"{path}: gold {position}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object, got {kind(entry)}")
        gold_id = _text(entry, "id", where)
        target = _text(entry, "output", f"{path}: gold of id {gold_id!r}")
        if gold_id in golds:
            raise DataError(f"{path}: two golds have the id {gold_id!r}")
        if task.targets is not None and target not in task.targets:
            raise DataError(
                f"{path}: gold of id {gold_id!r} is {target!r}, "
                f"expected one of {', '.join(task.targets)}"
            )
        golds[gold_id] = target
    return golds


def _sample(
    task: LampTask,
    path: Path,
    position: int,
    record: Any,
    golds: Mapping[str, str],
    notes: list[str],
) -> Sample:
    if not isinstance(record, dict):
        raise DataError(f"{path}: question {position}: expected an object, got {kind(record)}")
    sample_id = _text(record, "id", f"{path}: question {position}")
    where = f"{path}: question {sample_id!r}"
    text = _text(record, "input", where)
    try:
        task.query(text)
    except ValueError as error:
        raise DataError(f"{where}: not an input of {task.folder}: {error}") from None
    if sample_id not in golds:
        raise DataError(
            f"{where} has no gold in the outputs file beside it. Are both of the same split?"
        )
    items = record.get("profile")
    if not isinstance(items, list):
        raise DataError(f"{where}: field 'profile': expected a list, got {kind(items)}")

    profile: list[Item] = []
    ids: set[str] = set()
    for index, entry in enumerate(items):
        if not isinstance(entry, dict):
            raise DataError(f"{where}: profile item {index}: expected an object")
        item_id = _text(entry, "id", f"{where}: profile item {index}")
        item_where = f"{where}: profile item {item_id!r}"
        item = {field: _text(entry, field, item_where) for field in task.item_fields}
        unique = item_id
        for copy in range(2, len(items) + 2):
            if unique not in ids:
                break
            unique = f"{item_id}#{copy}"
        if unique != item_id:
            notes.append(f"{item_where} stands twice; the later one is called {unique!r} here")
        if "date" in entry:
            item["date"] = _text(entry, "date", item_where)
        ids.add(unique)
        profile.append({"id": unique, **item})
    return Sample(sample_id, text, tuple(profile), golds[sample_id])


def _text(record: Mapping[str, Any], field: str, where: str) -> str:
    """Return a field as text; LaMP's files give ids and scores as strings or as numbers."""
    if field not in record:
        raise DataError(f"{where}: field {field!r} is missing")
    value = record[field]
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise DataError(f"{where}: field {field!r} holds half a surrogate pair: no valid text")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{where}: field {field!r}: expected text or a number, got {kind(value)}")
