"""Rankings on disk: a profile is ranked once, whole, and every k, model and precision reads it.

One folder holds the rankings of one data set by one retriever: ``about.json`` says which, and
every 32 samples are one Arrow IPC (Feather) file with the columns ``sample``, ``documents`` and
``scores``, named by its number and the checksum of its bytes. A file is written beside its place,
flushed to the disk and renamed, so that it is whole or not there; it depends on nothing but its
samples, so that a folder that was filled by two processes, or in five attempts, is the same to the
byte as one that was filled at a stroke.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from qrag_tasks.errors import StoreError
from qrag_tasks.retrieval.base import Ranking

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger("lm_eval.qrag_tasks")

CHUNK = 32
"""Samples a file: what one call of a retriever ranks, and the most that a kill can cost."""

_FORMAT = 1


class RankingStore:
    """The rankings of one data set by one retriever.

    Safe with any number of processes at once: a chunk is ranked under a lock that the system
    takes back from a process that dies.

    :param root: where all stores lie; made when first written to.
    :param name: the first part of the folder's name, for people.
    :param key: all that the rankings depend on; JSON.
    :param digest: of ``key``: the last part of the folder's name.
    :param samples: ids of all samples of the data set, in order.
    """

    def __init__(
        self, root: Path, name: str, key: Mapping[str, Any], digest: str, samples: Sequence[str]
    ) -> None:
        self.samples = tuple(samples)
        self.folder = root / f"{re.sub(r'[^A-Za-z0-9.=_-]+', '_', name)[:80]}-{digest[:16]}"
        self._locks = root / ".locks" / digest[:16]
        self._about = json.dumps(
            {"format": _FORMAT, "chunk": CHUNK, "samples": len(self.samples), **key},
            indent=2,
        )

    @property
    def chunks(self) -> range:
        """The numbers of all chunks."""
        return range(-(-len(self.samples) // CHUNK))

    def members(self, chunk: int) -> range:
        """Return the indices of the samples in ``chunk``."""
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.samples)))

    @staticmethod
    def chunk_of(index: int) -> int:
        """Return the number of the chunk that the sample at ``index`` is in."""
        return index // CHUNK

    def written(self) -> set[int]:
        """Return the numbers of the chunks that have a file; one look at the folder for all."""
        return {int(path.name.partition("-")[0]) for path in self.folder.glob("[0-9]*.arrow")}

    def read(self, chunk: int) -> StoredChunk | None:
        """Return the rankings of ``chunk``, or ``None`` where they have yet to be made.

        A file that is damaged counts as not there, with a warning.

        :raises StoreError: when the file may not be read.
        """
        # Imported here: pyarrow is not needed to list or check retrievers.
        import pyarrow as pa

        for path in self._files(chunk):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # replaced at this moment, by a process that found it damaged
            except OSError as error:
                raise StoreError(f"kept rankings {path}: {error.strerror}") from error
            # Arrow trusts what it reads, down to a crash: it gets no byte that was not written.
            if _checksum(content) != path.stem.partition("-")[2]:
                self._warn(path, "its checksum does not match")
                continue
            table = pa.ipc.open_file(
                content, options=pa.ipc.IpcReadOptions(use_threads=False)
            ).read_all()
            samples = [self.samples[i] for i in self.members(chunk)]
            if table.column("sample").to_pylist() != samples:
                self._warn(path, "it holds other samples")
                continue
            return StoredChunk(table)
        return None

    def write(self, chunk: int, rankings: Sequence[Ranking]) -> None:
        """Keep the rankings of ``chunk``; to be called under its lock.

        :param rankings: one for every member, of the whole profile.
        :raises StoreError: when they cannot be written; what was kept before is not harmed.
        """
        import pyarrow as pa

        table = pa.table(
            {
                "sample": pa.array([self.samples[i] for i in self.members(chunk)], pa.string()),
                "documents": pa.array([list(r.ids) for r in rankings], pa.list_(pa.string())),
                "scores": pa.array([list(r.scores) for r in rankings], pa.list_(pa.float64())),
            }
        )
        sink = pa.BufferOutputStream()
        # One thread: more would not be faster here, and would not live through a fork.
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        with pa.ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        content = sink.getvalue().to_pybytes()
        with self._told_if_it_fails():
            self.folder.mkdir(parents=True, exist_ok=True)
            about = self.folder / "about.json"
            if not about.is_file():
                # A name of its own: unlike a chunk, it is written under no lock.
                _replace(about, self._about.encode(), f"about.{os.getpid()}.tmp")
            path = self.folder / f"{chunk:05}-{_checksum(content)}.arrow"
            _replace(path, content, f"{chunk:05}.tmp")
            for damaged in set(self._files(chunk)) - {path}:
                damaged.unlink(missing_ok=True)

    @contextmanager
    def lock(self, chunk: int, wait: bool = True) -> Iterator[bool]:
        """Hold ``chunk`` against every other process; yields whether it is held.

        :param wait: whether to wait for another process that holds it.
        :raises StoreError: when the cache folder cannot be written to.
        """
        with self._told_if_it_fails():
            self._locks.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._locks / f"{chunk:05}.lock")
            held = True
            try:
                lock.acquire(timeout=0)
            except Timeout:
                held = wait
                if wait:
                    logger.warning("waiting for another process that ranks for %s", self.folder)
                    lock.acquire()
        try:
            yield held
        finally:
            lock.release()

    def tidy(self) -> None:
        """Remove what killed processes left; to be called when every chunk is there."""
        # The locks' folder stays: another process may be about to make a lock in it. A lock
        # that it holds may go: at worst, a chunk that is there is looked at twice.
        for path in (*self.folder.glob("about.*.tmp"), *self._locks.glob("*.lock")):
            with suppress(OSError):
                path.unlink()

    def _files(self, chunk: int) -> list[Path]:
        """Return the files of ``chunk``: one, unless a damaged one is about to be replaced."""
        start = f"{chunk:05}-"
        try:
            with os.scandir(self.folder) as entries:
                names = [e.name for e in entries if e.name.startswith(start)]
        except OSError:
            return []
        return [self.folder / name for name in sorted(names)]

    def _warn(self, path: Path, fault: str) -> None:
        message = f"kept rankings {path} are damaged and are made again: {fault}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)

    @contextmanager
    def _told_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"rankings cannot be kept in {self.folder}: {reason}. Make room there, or name "
                f"another folder in QRAG_CACHE. Nothing that was kept before is harmed."
            ) from error


class StoredChunk:
    """The rankings of one chunk, as they lie on disk."""

    def __init__(self, table: pa.Table) -> None:
        documents, scores = (
            table.column(name).combine_chunks() for name in ("documents", "scores")
        )
        self._ends = documents.offsets.to_pylist()
        self._ids = documents.values
        self._scores = scores.values.to_numpy()

    def ranking(self, member: int, k: int | None = None) -> Ranking:
        """Return the best ``k`` documents of the chunk's ``member``-th sample."""
        start, end = self._ends[member], self._ends[member + 1]
        if k is not None:
            end = min(end, start + k)
        ids = self._ids.slice(start, end - start).to_pylist()
        return Ranking(tuple(ids), tuple(self._scores[start:end].tolist()))


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _replace(path: Path, content: bytes, temporary_name: str) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    temporary = path.with_name(temporary_name)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
