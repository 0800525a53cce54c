"""The rankings of a data set by a retriever: taken from the store, or made and kept there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

from qrag_tasks.errors import RetrieverError, first_of
from qrag_tasks.locations import cache_dir
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.queries import make_queries
from qrag_tasks.registry import core_origin
from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.retrieval.named import NamedRetriever
from qrag_tasks.retrieval.store import RankingStore, StoredChunk
from qrag_tasks.retrieval.trec import run_lines
from qrag_tasks.tasks.base import DataSet, Index, Sample, Task
from qrag_tasks.tasks.catalog import TASKS, as_row

logger = logging.getLogger("lm_eval.qrag_tasks")


@dataclass(frozen=True)
class Progress:
    """How far :meth:`Rankings.fill` has come; in samples.

    :ivar found: were there already, or were made by another process meanwhile.
    """

    total: int
    found: int
    ranked: int


class Rankings:
    """The rankings of one data set by one retriever.

    Whole chunks of the data set are ranked and kept (:mod:`qrag_tasks.retrieval.store`), however
    few of their samples are asked for.

    :param root: where rankings are kept; ``rankings`` in the cache folder by default.
    """

    def __init__(self, data: DataSet, retriever: NamedRetriever, root: Path | None = None) -> None:
        self.data = data
        self.retriever = retriever
        key = {
            "task": data.task.name,
            # As earlier releases wrote it, so that the rankings that they kept stay good.
            **({} if data.task.index == "lamp" else {"index": "paper"}),
            "data_sha256": data.fingerprint,
            # The core makes the queries and the texts that are indexed.
            "qrag_tasks": [core_origin().version, core_origin().source],
            **retriever.fingerprint.as_dict(),
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.store = RankingStore(
            root or cache_dir() / "rankings",
            f"{data.task.name}-{retriever.spec}",
            key,
            digest,
            data.ids,
        )
        self._chunk = lru_cache(maxsize=4)(self._read_or_rank)
        self._compare_queries = cache(self._tell_other_queries)

    def of(self, indices: Sequence[int], k: int | None = None) -> list[Ranking]:
        """Return the best ``k`` documents of the samples at ``indices``.

        :raises RetrieverError: when the retriever breaks its contract, or lacks a field.
        :raises StoreError: when rankings cannot be kept.
        """
        if k == 0:
            return [Ranking() for _ in indices]
        self._compare_queries()
        rankings: dict[int, Ranking] = {}
        by_chunk: dict[int, list[int]] = {}
        for index in indices:
            by_chunk.setdefault(self.store.chunk_of(index), []).append(index)
        for chunk, members in by_chunk.items():
            stored, first = self._chunk(chunk), self.store.members(chunk).start
            for index in members:
                rankings[index] = stored.ranking(index - first, k)
        return [rankings[index] for index in indices]

    def _tell_other_queries(self) -> None:
        """Tell how the data's questions differ from the only queries that the retriever knows.

        :raises RetrieverError: where it knows none of them.
        """
        known = self.retriever.known_queries
        if known is None:
            return
        ids = set(self.data.ids)
        strangers = [i for i in known if i not in ids]
        task, spec = self.data.task.name, self.retriever.spec
        lacking = [n for n, i in enumerate(self.data.ids) if i not in known]
        if len(lacking) == len(ids):
            raise RetrieverError(
                f"retriever {spec!r} has none of the {len(ids)} questions of {task} "
                f"({first_of(self.data.ids)}). It has {len(known)} queries: "
                f"{first_of(strangers)}. Was it made for other data?"
            )
        # Who has no documents needs no ranking.
        lacking = [n for n in lacking if self.data.samples[n].profile]
        if strangers:
            logger.warning(
                "the data of %s hold no question for %d of the %d queries of retriever %r: %s",
                *(task, len(strangers), len(known), spec, first_of(strangers)),
            )
        if lacking:
            logger.warning(
                "retriever %r has no ranking for %d of the %d questions of %s, and to ask one of "
                "these is an error: %s",
                *(spec, len(lacking), len(ids), task),
                first_of([self.data.ids[n] for n in lacking]),
            )

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Return the chunks of the samples at ``indices`` that have yet to be ranked."""
        return sorted({self.store.chunk_of(index) for index in indices} - self.store.written())

    def look(self, index: int, k: int | None = None) -> Ranking:
        """Return one sample's ranking; where it is not kept, it is made for the moment only."""
        chunk = self.store.chunk_of(index)
        if stored := self.store.read(chunk):
            return stored.ranking(index - self.store.members(chunk).start, k)
        return self.retriever.rank(self._queries([index]), k)[0]

    def fill(self, workers: int = 1) -> Iterator[Progress]:
        """Rank whatever is not kept yet, telling how far it has come after every chunk.

        Other processes may do the same at the same time: each chunk is ranked by one of them.

        :param workers: processes that rank. With more than one, each builds the retriever for
            itself, and a script that calls this must be importable: its main part stands under
            ``if __name__ == "__main__"``, as :mod:`multiprocessing` wants it.
        """
        self._compare_queries()
        total, kept, ranked = len(self.data.samples), 0, 0
        yield Progress(total, kept, ranked)
        missing = []
        for chunk in self.store.chunks:
            if self.store.read(chunk) is None:
                missing.append(chunk)
            else:
                kept += len(self.store.members(chunk))
        yield Progress(total, kept, ranked)
        fill = self._fill_here if workers == 1 else lambda chunks: self._fill_in(workers, chunks)
        for chunk, made in fill(missing):
            size = len(self.store.members(chunk))
            kept, ranked = (kept, ranked + size) if made else (kept + size, ranked)
            yield Progress(total, kept, ranked)
        self.store.tidy()

    def run_lines(self) -> Iterator[str]:
        """Yield the lines of a TREC run file of all samples; see :mod:`.retrieval.trec`."""
        for index, sample_id in enumerate(self.data.ids):
            yield from run_lines([(sample_id, self.of([index])[0])], self.retriever.spec)

    def _read_or_rank(self, chunk: int) -> StoredChunk:
        stored = self.store.read(chunk)
        if stored is None:
            self._rank(chunk)
            stored = self.store.read(chunk)
            if len(self.store.written()) == len(self.store.chunks):
                self.store.tidy()
        if stored is None:
            raise RetrieverError(f"kept rankings {self.store.folder}: unreadable once written")
        return stored

    def _rank(self, chunk: int, wait: bool = True) -> bool | None:
        """Rank a chunk and keep it; tells whether it was made here, ``None`` if it is held."""
        with self.store.lock(chunk, wait) as held:
            if not held:
                return None
            if self.store.read(chunk) is not None:
                return False
            self.store.write(chunk, self.retriever.rank(self._queries(self.store.members(chunk))))
            return True

    def _fill_here(self, missing: Sequence[int]) -> Iterator[tuple[int, bool]]:
        later = []
        for chunk in missing:
            made = self._rank(chunk, wait=False)
            if made is None:
                later.append(chunk)  # another process is at it: take the next one meanwhile
            else:
                yield chunk, made
        for chunk in later:
            yield chunk, bool(self._rank(chunk))

    def _fill_in(self, workers: int, missing: Sequence[int]) -> Iterator[tuple[int, bool]]:
        try:
            yield from self._fill_in_pool(workers, missing)
        except BrokenProcessPool as error:
            raise RetrieverError(
                f"retriever {self.retriever.spec!r}: a process that ranked was ended from outside, "
                f"as the system does when memory runs out. What was ranked before is kept; go on "
                f"with fewer workers."
            ) from error

    def _fill_in_pool(self, workers: int, missing: Sequence[int]) -> Iterator[tuple[int, bool]]:
        """Fill with several processes; they rank, this one reads the data and keeps the rankings.

        Spawned, not forked: a retriever may hold threads, a GPU or a JVM.
        """
        waiting, later = deque(missing), []
        running: deque[tuple[int, Future[list[Ranking]], ExitStack]] = deque()
        with (
            ProcessPoolExecutor(
                workers,
                get_context("spawn"),
                _build_in_worker,
                (_sendable(self.data.task), self.data.task.index, self.retriever.spec),
            ) as pool,
            ExitStack() as unfinished,
        ):
            while waiting or running:
                # A few more than are at work, so that none waits; not all, to save memory.
                while waiting and len(running) < 2 * workers:
                    chunk = waiting.popleft()
                    lock = ExitStack()
                    if not lock.enter_context(self.store.lock(chunk, wait=False)):
                        later.append(chunk)
                        continue
                    if self.store.read(chunk) is not None:
                        lock.close()
                        yield chunk, False
                        continue
                    unfinished.push(lock)
                    # Samples, not queries: half a million small objects take long to pickle.
                    samples = [self.data.samples[i] for i in self.store.members(chunk)]
                    running.append((chunk, pool.submit(_rank_in_worker, samples), lock))
                if running:
                    chunk, future, lock = running.popleft()
                    self.store.write(chunk, future.result())
                    lock.close()
                    yield chunk, True
        for chunk in later:
            yield chunk, bool(self._rank(chunk))

    def _queries(self, indices: Sequence[int]) -> list[Query]:
        samples = self.data.samples
        return make_queries(self.data.task, (samples[i] for i in indices), self.retriever)


_in_worker: tuple[Task, NamedRetriever]


def _sendable(task: Task) -> Task | str:
    """Return what another process makes the row of: its name where that is listed.

    A listed row may hold functions, which cannot be sent; one that data describe holds none.
    """
    return task.name if task.name in TASKS else task


def _build_in_worker(task: Task | str, index: Index, spec: str) -> None:
    global _in_worker
    _in_worker = replace(as_row(task), index=index), build_retriever(spec)
    # A pool's workers do not notice when their parent is killed, and would wait for ever.
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _rank_in_worker(samples: Sequence[Sample]) -> list[Ranking]:
    task, retriever = _in_worker
    return retriever.rank(make_queries(task, samples, retriever))
