"""Retrievers that do not read the documents: ``first``, ``recency``, ``random``, ``none``."""

from __future__ import annotations

import random
import re
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
    """The newest documents; of equal dates, the later in the data first.

    As LaMP's code does it: sorted by date, then reversed. A date is a year, a year and month, or a
    day (``2014``, ``2014-05``, ``2014-05-02``, ``2014-5-2``), the same of them in a whole profile:
    ``2014`` is neither before nor after ``2014-05-02``. The score is the ordinal number of the
    date's first day.
    """

    needs: ClassVar[tuple[Need, ...]] = ("date",)

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [self._rank(query).best(k) for query in queries]

    def _rank(self, query: Query) -> Ranking:
        dates = [_date(document) for document in query.documents]
        for document, parts in zip(query.documents, dates, strict=True):
            if len(parts) != len(dates[0]):
                first = query.documents[0]
                raise ValueError(
                    f"document {document.id!r} is dated {document.date!r} and document "
                    f"{first.id!r} {first.date!r}: a profile's dates are all years, all months or "
                    f"all days, or they have no order"
                )
        days = [_first_day(parts).toordinal() for parts in dates]
        order = sorted(range(len(days)), key=lambda i: (-days[i], -i))
        return Ranking(
            tuple(query.documents[i].id for i in order), tuple(float(days[i]) for i in order)
        )


_DATE = re.compile(r"(\d{1,4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", re.ASCII)


def _date(document: Document) -> tuple[int, ...]:
    """Return year, month and day, as many of them as the document's date says."""
    match = _DATE.fullmatch(document.date or "")
    try:
        if match is None:
            raise ValueError
        parts = tuple(int(part) for part in match.groups() if part)
        _first_day(parts)
    except ValueError:
        raise ValueError(
            f"document {document.id!r}: the date {document.date!r} is not a year, YYYY-MM or "
            f"YYYY-MM-DD"
        ) from None
    return parts


def _first_day(parts: Sequence[int]) -> date:
    return date(*parts, *[1] * (3 - len(parts)))


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
