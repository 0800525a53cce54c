"""What passes between the pipeline and a retriever: documents, queries, rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Document:
    """One document that can be retrieved.

    :ivar id: unique within its profile.
    :ivar text: what a retriever indexes; may be empty.
    """

    id: str
    text: str


@dataclass(frozen=True)
class Query:
    """One question and the documents of its user: the whole collection that is searched.

    :ivar id: the sample's id; unique within a data set, not across them.
    :ivar text: what to search for; may be empty.
    :ivar documents: the user's profile in the data's order; may be empty.
    """

    id: str
    text: str
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Ranking:
    """Documents of one query, best first.

    :ivar ids: document ids, no id twice.
    :ivar scores: one finite score an id, never rising; only comparable within this ranking.
    """

    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


@runtime_checkable
class Retriever(Protocol):
    """What a plugin registers: an object that ranks documents.

    The queries of a call belong to different users; nothing of one may influence another. The
    queries and documents are not to be changed. The same queries give the same rankings in every
    process. A call may be repeated, with any number of queries, none included.
    """

    def rank(self, queries: Sequence[Query], k: int | None = None) -> Sequence[Ranking]:
        """Rank the documents of every query.

        :param queries: in any order; a batch, so that an encoder can fill its device.
        :param k: how many of the best documents to return for each query (fewer where the
            profile is smaller); ``None`` means all. The best ``k`` are the first ``k`` of all.
        :returns: one ranking a query, in the order of ``queries``.
        """
        ...
