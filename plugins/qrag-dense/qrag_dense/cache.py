"""Vectors on disk: a text is encoded once, however many users, queries, k and runs share it.

One SQLite file an encoder and precision. SQLite, because it gives with the standard library what
is needed: two processes may write at once (they take turns), a process that is killed at any
moment leaves the last whole transaction behind, and one file holds a million vectors. Its default
rollback journal is kept: write-ahead logging is a little faster, but needs memory shared between
the processes, which the network file systems of clusters do not have. What SQLite lacks is a
check of the bytes: each row carries a CRC of its key and vector, so a damaged row is encoded again
and never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qrag_tasks.errors import RetrieverError
from qrag_tasks.locations import cache_dir

Vector = NDArray[np.float32]

BUSY_SECONDS = 60.0
"""How long to wait while another process writes, before giving up."""

# SQLite allows 999 values in one statement where it is old.
_KEYS_A_STATEMENT = 900
_STORED = np.dtype("<f4")
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS encoder (description TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS vectors"
    " (key BLOB PRIMARY KEY, crc INTEGER NOT NULL, vector BLOB NOT NULL)",
)


def text_key(text: str, prompt: str) -> bytes:
    """Return the key of a text: the sha256 of its prompt and itself, told apart by a length."""
    return hashlib.sha256(f"{len(prompt)}:{prompt}{text}".encode()).digest()


class EmbeddingCache:
    """The vectors of one encoder, below ``cache_dir()/embeddings``.

    :meth:`get` and :meth:`add` open the file and close it again, so an object may be pickled, and
    used after a fork.

    :param encoder: all that decides a vector beside the text: model, pooling, precision, ...
    """

    def __init__(self, encoder: Mapping[str, str]) -> None:
        self._description = json.dumps(dict(sorted(encoder.items())), ensure_ascii=False)
        digest = hashlib.sha256(self._description.encode()).hexdigest()
        model = re.sub(r"[^\w.-]+", "-", encoder.get("model", "model"))[:40]
        self.path = cache_dir() / "embeddings" / f"{model}-{digest[:16]}.sqlite"

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are there and whole; shape of each ``(dimensions,)``."""
        if not keys or not self.path.exists():
            return {}
        try:
            with self._connection() as connection:
                return self._read(connection, keys)
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            return {}

    def add(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keep vectors; a key that is there already keeps its vector. All of them or none.

        :raises RetrieverError: when they cannot be written, as on a full disk.
        """
        try:
            self._write(vectors)
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            try:
                self._write(vectors)
            except sqlite3.Error as again:
                raise self._unusable(again) from again

    def _read(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'vectors'"
        ).fetchone():
            return {}
        found: dict[bytes, Vector] = {}
        damaged: list[bytes] = []
        for start in range(0, len(keys), _KEYS_A_STATEMENT):
            part = keys[start : start + _KEYS_A_STATEMENT]
            marks = ",".join("?" * len(part))
            rows = connection.execute(
                f"SELECT key, crc, vector FROM vectors WHERE key IN ({marks})",  # noqa: S608 - marks alone
                part,
            )
            for key, crc, blob in rows:
                if isinstance(blob, bytes) and crc == _crc(key, blob):
                    found[key] = np.frombuffer(blob, _STORED).astype(np.float32)
                else:
                    damaged.append(key)
        if damaged:
            self._warn(f"{len(damaged)} damaged vectors are encoded again")
            with connection:
                connection.executemany(
                    "DELETE FROM vectors WHERE key = ?", [(key,) for key in damaged]
                )
        return found

    def _write(self, vectors: Mapping[bytes, Vector]) -> None:
        rows = [
            (key, _crc(key, blob), blob)
            for key, vector in vectors.items()
            for blob in (vector.astype(_STORED).tobytes(),)
        ]
        with self._connection() as connection, connection:
            # Taking the write lock first: of two processes that both create the file, one waits.
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            if not connection.execute("SELECT 1 FROM encoder").fetchone():
                connection.execute("INSERT INTO encoder VALUES (?)", (self._description,))
            connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            # Five vectors of 768 dimensions a page; takes effect only in a new file.
            connection.execute("PRAGMA page_size = 16384")
            yield connection
        finally:
            connection.close()

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        """Move a damaged file out of the way: its vectors are encoded again.

        Its journal goes with it, for SQLite would roll it back into the new file.
        """
        aside = Path(f"{self.path}.damaged")
        self._warn(f"it is damaged ({error}); moved to {aside.name}, its texts are encoded again")
        for suffix in ("", "-journal"):
            try:
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
            except FileNotFoundError:
                continue  # no journal; or another process moved the file a moment ago
            except OSError as stuck:
                raise self._unusable(stuck) from stuck

    def _unusable(self, error: Exception) -> RetrieverError:
        return RetrieverError(
            f"the embedding cache {self.path} cannot be used: {error}. Make room in "
            f"{self.path.parent} and see that it can be written to, or name another folder in "
            f"QRAG_CACHE"
        )

    def _warn(self, told: str) -> None:
        warnings.warn(f"embedding cache {self.path}: {told}", RuntimeWarning, stacklevel=2)


def _crc(key: bytes, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(key))
