"""Readings on disk: a Parquet file a cell, a row an answer."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.engines.readings import Reading
from qrag_tasks.errors import StoreError

_FORMAT = 2
_ABOUT = b"qrag_tasks"
_BY_PLACE = ("given", "likeliest", "entropy", "least")
_BY_TOKEN = ("tokens", "logprobs")


@dataclass(frozen=True)
class Origin:
    """What readings were made of: all that tells, without a model, whether they are still right.

    :ivar arm: digest of the arm that read.
    :ivar answered_by: digest of the arm that answered the cell: as a rule the same, and another
        where a machine or a package has changed in between.
    :ivar source: digest of what was to be read: the base arm's sample log, whose answers of it,
        and how many tokens of each distribution are kept.
    :ivar base: :attr:`kept` of the base arm's readings, where the tokens are those that it kept.
    :ivar kept: digest of the answers' tokens and of the tokens that were kept.
    :ivar top: how many tokens of each distribution were asked for.
    """

    arm: str
    answered_by: str | None
    source: str
    base: str | None
    kept: str
    top: int


@dataclass(frozen=True)
class StoredReadings:
    """What one arm makes of the answers of one cell.

    :ivar keys: of the samples, in the order of the data set.
    :ivar users: whose question each is.
    :ivar tokens: of each answer, those of its end included.
    :ivar places: what was read at the places of all answers, one answer behind the other.
    """

    origin: Origin
    keys: Sequence[str]
    users: Sequence[str | None]
    tokens: Sequence[Sequence[int]]
    places: Reading

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many places each answer has."""
        return np.array([len(each) for each in self.tokens], np.int64)

    @cached_property
    def readings(self) -> list[Reading]:
        """What was read, an answer each."""
        ends = np.cumsum(self.lengths)[:-1]
        columns = {
            name: np.split(getattr(self.places, name), ends) for name in (*_BY_PLACE, *_BY_TOKEN)
        }
        return [
            Reading(**{name: parts[row] for name, parts in columns.items()})
            for row in range(len(self.tokens))
        ]


def together(readings: Sequence[Reading]) -> Reading:
    """Return the readings of several answers as one, one behind the other.

    :param readings: with as many tokens kept at each place; none where no right answer is known.
    """
    if not readings:
        none, no_tokens = np.zeros(0, np.float32), np.zeros((0, 1), np.float32)
        return Reading(
            no_tokens.astype(np.int32), no_tokens, none, none.astype(np.int32), none, none
        )
    return Reading(
        **{
            name: np.concatenate([getattr(each, name) for each in readings])
            for name in (*_BY_PLACE, *_BY_TOKEN)
        }
    )


def kept_digest(tokens: Sequence[Sequence[int]], readings: Sequence[Reading]) -> str:
    """Return the sha256 of the answers' tokens and of the tokens that were kept."""
    digest = hashlib.sha256()
    for answer, reading in zip(tokens, readings, strict=True):
        digest.update(json.dumps([list(answer), list(reading.tokens.shape)]).encode())
        digest.update(np.ascontiguousarray(reading.tokens, np.int32).tobytes())
    return digest.hexdigest()


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
    about = {"format": _FORMAT, **asdict(stored.origin)}
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


def origin(path: Path) -> Origin | None:
    """Return what a file's readings were made of; ``None`` where there is no such file.

    Also of a file of an earlier release, which did not say it.

    :raises StoreError: when it is something else, or damaged.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        about = json.loads((pq.read_schema(path).metadata or {})[_ABOUT])
        if about.pop("format") > _FORMAT:
            raise StoreError(f"{path}: written by a later release; {_AGAIN}")
        return Origin(**about) if "source" in about else None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {_AGAIN}") from error


def read(path: Path) -> StoredReadings | None:
    """Return what a file holds; ``None`` where :func:`origin` does.

    :raises StoreError: when it is something else, or damaged.
    """
    import pyarrow.parquet as pq

    made_of = origin(path)
    if made_of is None:
        return None
    try:
        table = pq.read_table(path)
        columns = {name: table.column(name).to_pylist() for name in ("sample", "user", "answer")}
        places = sum(map(len, columns["answer"]))
        values = {
            name: table.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
            for name in (*_BY_PLACE, *_BY_TOKEN)
        }
        for name in _BY_PLACE:
            values[name] = values[name].reshape(places)
        for name in _BY_TOKEN:
            values[name] = values[name].reshape(places, -1) if places else values[name][:, None]
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {_AGAIN}") from error
    return StoredReadings(
        made_of, columns["sample"], columns["user"], columns["answer"], Reading(**values)
    )


_AGAIN = "remove it to have its answers read again"
