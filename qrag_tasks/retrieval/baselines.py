"""Retrievers that do not read the documents: ``first``, ``random``, ``none``."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Document, Query, Ranking


def _in_order(documents: Sequence[Document], k: int | None) -> Ranking:
    best = documents[:k]
    return Ranking(tuple(d.id for d in best), tuple(-float(i) for i in range(len(best))))


class First:
    """The profile in the data's own order."""

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [_in_order(query.documents, k) for query in queries]


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
    """Register ``first``, ``random`` and ``none``."""
    register("first", First)
    register("random", Random)
    register("none", NoDocuments)
