"""Retrievers that do not read the documents: ``first``, ``recency``, ``random``, ``none``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from typing import ClassVar

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Document, Need, Query, Ranking


def _in_order(documents: Sequence[Document], k: int | None) -> Ranking:
    best = documents[:k]
    return Ranking(tuple(d.id for d in best), tuple(-float(i) for i in range(len(best))))


class First:
    """The profile in the data's own order."""

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [_in_order(query.documents, k) for query in queries]


class Recency:
    """The newest documents; of one day, the later in the data first.

    As LaMP's code does it: sorted by date, then reversed. The score is the day's ordinal number.
    """

    needs: ClassVar[tuple[Need, ...]] = ("date",)

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [self._rank(query).best(k) for query in queries]

    def _rank(self, query: Query) -> Ranking:
        days = [_day(document) for document in query.documents]
        order = sorted(range(len(days)), key=lambda i: (-days[i], -i))
        return Ranking(
            tuple(query.documents[i].id for i in order), tuple(float(days[i]) for i in order)
        )


def _day(document: Document) -> int:
    try:
        return date.fromisoformat(document.date or "").toordinal()
    except ValueError:
        raise ValueError(
            f"document {document.id!r}: the date {document.date!r} is not YYYY-MM-DD"
        ) from None


class Random:
    """The profile in random order, each document once.

    The order depends on the seed, the query's id and the profile's size, on nothing else: it is
    the same in every process, whatever else was ranked before.

    :param seed: any integer.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        rankings = []
        for query in queries:
            documents = list(query.documents)
            # No cryptography here: a reproducible shuffle.
            random.Random(f"{self.seed}:{query.id}").shuffle(documents)  # noqa: S311
            rankings.append(_in_order(documents, k))
        return rankings


class NoDocuments:
    """No document at all: the prompt of k = 0 whatever k is asked for."""

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Return an empty ranking for every query."""
        return [Ranking() for _ in queries]


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``first``, ``recency``, ``random`` and ``none``."""
    register("first", First)
    register("recency", Recency)
    register("random", Random)
    register("none", NoDocuments)
