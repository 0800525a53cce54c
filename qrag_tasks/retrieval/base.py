"""What passes between the pipeline and a retriever: documents, queries, rankings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Need = Literal["date", "target", "gold"]
"""What a retriever may ask for beyond texts.

- ``date``: :attr:`Document.date`. LaMP's time-based splits have dates, the user-based do not.
- ``target``: :attr:`Document.target`, the user's own rating, title, ... of that document.
- ``gold``: :attr:`Query.gold`, the answer that the model is asked for. A retriever that needs it
  is an upper bound, not one that could be used, and is marked so wherever it is named.
"""

NEEDS: tuple[Need, ...] = ("date", "target", "gold")


@dataclass(frozen=True, slots=True)
class Document:
    """One document that can be retrieved.

    :ivar id: unique within its profile.
    :ivar text: what a retriever indexes; may be empty.
    :ivar date: text, as the data give it: ``YYYY-MM-DD``, but the year alone (``2014``) in LaMP-1
        and LaMP-5, and months and days may lack their zero; ``None`` unless the retriever needs it.
    :ivar target: the user's own answer to this document (a rating, a title); ``None`` unless the
        retriever needs it.
    """

    id: str
    text: str
    date: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One question and the documents of its user: the whole collection that is searched.

    :ivar id: the sample's id; unique within a data set, not across them.
    :ivar text: what to search for; may be empty.
    :ivar documents: the user's profile in the data's order; may be empty.
    :ivar gold: the right answer; ``None`` unless the retriever needs it.
    """

    id: str
    text: str
    documents: tuple[Document, ...]
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Documents of one query, best first.

    :ivar ids: document ids, no id twice.
    :ivar scores: one finite score an id, never rising; only comparable within this ranking.
    """

    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    def best(self, k: int | None) -> Ranking:
        """Return the first ``k`` documents; all of them for ``None``."""
        return self if k is None else Ranking(self.ids[:k], self.scores[:k])


@runtime_checkable
class Retriever(Protocol):
    """What a plugin registers: an object that ranks documents.

    Beside :meth:`rank` it may have three attributes. Where it has not, it needs nothing, its name,
    version and options say all, and it ranks any query:

    - ``needs``: a collection of :data:`Need`. Data that lack one of them are an error that says
      so, before anything is ranked.
    - ``identity``: a mapping of text to text with whatever else changes its rankings, such as
      ``{"model": "facebook/contriever", "revision": "2bd46a2"}``. It becomes part of the
      fingerprint under which rankings are kept, so it must be the same in every process, and it
      must be cheap: reading it must not load a model.
    - ``known_queries``: a collection of the ids of the only queries that it can rank, as those of
      a file of rankings. How it and the data differ is then told.

    **Ownership.** Queries and documents belong to the caller and are not to be changed, nor kept
    after the call. The rankings returned belong to the caller.

    **Independence.** The queries of a call belong to different users. Nothing of one may influence
    another; the same query gets the same ranking whatever it is ranked together with.

    **Concurrency.** One object is called by one thread at a time. Other processes may build and
    use the same retriever at the same moment, each for itself: what it keeps on disk must be safe
    for that. It may be pickled to another process, and used in one that may start no processes
    through :mod:`multiprocessing`; a copy leaves loaded models and open connections behind.

    **Failure.** Whatever :meth:`rank` raises becomes a
    :class:`~qrag_tasks.errors.RetrieverError` that names the plugin and the sample; the run ends
    with it. There is no other retriever to fall back on: do not return a poorer ranking instead.
    """

    def rank(self, queries: Sequence[Query], k: int | None = None) -> Sequence[Ranking]:
        """Rank the documents of every query.

        :param queries: in any order; a batch, so that an encoder can fill its device. May be
            empty. The rankings of some dozen users are asked for in one call.
        :param k: how many of the best documents to return for each query (fewer where the
            profile is smaller); ``None`` means all. The best ``k`` are the first ``k`` of all.
        :returns: one ranking a query, in the order of ``queries``.
        """
        ...


class ScoringRetriever(ABC):
    """A retriever that scores the documents of one query at a time: write :meth:`score`.

    Sorting, ``k`` and batches are done here. Equal scores: the earlier document first.
    """

    @abstractmethod
    def score(self, query: Query) -> Sequence[float]:
        """Return one finite score a document, in the order of ``query.documents``; more is better.

        :param query: holds at least one document.
        """

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`Retriever`."""
        return [self._rank(query).best(k) for query in queries]

    def _rank(self, query: Query) -> Ranking:
        if not query.documents:
            return Ranking()
        scores = [float(score) for score in self.score(query)]
        if len(scores) != len(query.documents):
            raise ValueError(f"{len(scores)} scores for {len(query.documents)} documents")
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return Ranking(tuple(query.documents[i].id for i in order), tuple(scores[i] for i in order))
