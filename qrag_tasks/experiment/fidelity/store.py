"""Readings on disk: a Parquet file a cell, a row an answer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qrag_tasks.engines.readings import Reading
from qrag_tasks.errors import StoreError

_FORMAT = 1
_ABOUT = b"qrag_tasks"
_BY_PLACE = ("given", "likeliest", "entropy", "least")
_BY_TOKEN = ("tokens", "logprobs")


@dataclass(frozen=True)
class StoredReadings:
    """What one arm makes of the answers of one cell.

    :ivar arm: digest of the arm that read.
    :ivar answers: digest of what was read: prompts, answers, and which tokens were kept.
    :ivar keys: of the samples, in the order of the data set.
    :ivar users: whose question each is.
    :ivar tokens: of each answer, those of its end included.
    """

    arm: str
    answers: str
    keys: Sequence[str]
    users: Sequence[str | None]
    tokens: Sequence[Sequence[int]]
    readings: Sequence[Reading]


def write(path: Path, stored: StoredReadings) -> None:
    """Write a file, whole or not at all.

    :raises StoreError: when it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "sample": pa.array(list(stored.keys), pa.string()),
        "user": pa.array(list(stored.users), pa.string()),
        "answer": pa.array([list(each) for each in stored.tokens], pa.list_(pa.int32())),
    }
    for name in (*_BY_PLACE, *_BY_TOKEN):
        values = [getattr(reading, name).reshape(-1) for reading in stored.readings]
        kind = pa.int32() if name in ("tokens", "likeliest") else pa.float32()
        columns[name] = pa.array(values, pa.list_(kind))
    about = {"format": _FORMAT, "arm": stored.arm, "answers": stored.answers}
    table = pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(about).encode()})
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            pq.write_table(table, new, compression="zstd")
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error


def stamp(path: Path) -> tuple[str, str] | None:
    """Return which arm read which answers: two digests; ``None`` where there is no such file.

    :raises StoreError: when it is something else, or damaged.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        about = json.loads((pq.read_schema(path).metadata or {})[_ABOUT])
        if about["format"] != _FORMAT:
            raise StoreError(f"{path}: written by a later release; {_AGAIN}")
        return str(about["arm"]), str(about["answers"])
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {_AGAIN}") from error


def read(path: Path) -> StoredReadings | None:
    """Return what a file holds; ``None`` where there is no such file.

    :raises StoreError: when it is something else, or damaged.
    """
    import pyarrow.parquet as pq

    stamped = stamp(path)
    if stamped is None:
        return None
    try:
        table = pq.read_table(path)
        columns = {name: table.column(name).to_pylist() for name in ("sample", "user", "answer")}
        arrays = {name: table.column(name).combine_chunks() for name in (*_BY_PLACE, *_BY_TOKEN)}
        readings = []
        for row, answer in enumerate(columns["answer"]):
            values = {
                name: np.asarray(array[row].values.to_numpy(zero_copy_only=False))
                for name, array in arrays.items()
            }
            for name in _BY_TOKEN:
                values[name] = values[name].reshape(len(answer), -1)
            readings.append(Reading(**values))
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {_AGAIN}") from error
    return StoredReadings(*stamped, columns["sample"], columns["user"], columns["answer"], readings)


_AGAIN = "remove it to have its answers read again"
