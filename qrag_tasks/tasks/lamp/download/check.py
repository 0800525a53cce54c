"""Is a file what it should be? All of it is read: a server may send anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.corpus.json_files import json_items, kind, read_json
from qrag_tasks.tasks.lamp.download.files import LampFile


def check(file: LampFile, path: Path) -> str:
    """Read through what should be ``file``, and return its sha256.

    :raises DataError: when it is no LaMP json, or that of another task.
    """
    digest = hashlib.sha256()
    if file.holds == "questions":
        _check_questions(file.task, path, digest)
    else:
        _check_outputs(file.task, path, digest)
    return digest.hexdigest()


def _check_questions(task: Task, path: Path, digest: Any) -> None:
    fault = "it has no questions"
    fitting = False
    for position, question in enumerate(json_items(path, digest)):
        _require(question, ("id", "input", "profile"), f"{path}: question {position}")
        items = question["profile"]
        if not isinstance(question["input"], str) or not isinstance(items, list):
            raise DataError(
                f"{path}: question {position}: input is not text, or profile is not a list"
            )
        # A question may have flaws of its own. A file without a good one is of another task.
        fitting = fitting or not (fault := _misfit(task, question["input"], items))
    if not fitting:
        raise DataError(f"{path}: not of {task.official_name}: {fault}")


def _misfit(task: Task, text: str, items: list[Any]) -> str:
    try:
        task.query(text)
    except ValueError as error:
        return str(error)
    item = items[0] if items and isinstance(items[0], dict) else {}
    lacking = [field for field in task.item_fields if field not in item]
    return f"profile items have no {' and no '.join(lacking)}" if items and lacking else ""


def _check_outputs(task: Task, path: Path, digest: Any) -> None:
    outputs = read_json(path, digest)
    _require(outputs, ("task", "golds"), f"{path}: outputs")
    if outputs["task"] != task.official_name:
        raise DataError(
            f"{path}: golds of {outputs['task']!r}, expected those of {task.official_name!r}"
        )
    golds = outputs["golds"]
    if not isinstance(golds, list) or not golds:
        raise DataError(f"{path}: golds: expected a list of them, got {kind(golds)}")
    for position, gold in enumerate(golds):
        _require(gold, ("id", "output"), f"{path}: gold {position}")


def _require(value: Any, fields: Sequence[str], where: str) -> None:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, got {kind(value)}")
    if lacking := [field for field in fields if field not in value]:
        raise DataError(f"{where}: field {lacking[0]!r} is missing")


def sha256(path: Path) -> str:
    """Return the sha256 of the file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
