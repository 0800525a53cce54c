"""The retriever under examination, and what several checks want to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from qrag_tasks import plugins
from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.retrieval.named import NamedRetriever, described
from qrag_tasks.retrieval.options import call, read_options, split_spec, write_spec
from qrag_tasks.testing.examples import EXAMPLES
from qrag_tasks.testing.processes import Findings, Request, examine, import_path


class Subject:
    """A retriever under examination.

    :param spec: ``name`` or ``name:option=value,...``.
    :ivar named: the retriever, built as every user of it builds it.
    :raises RetrieverError: when it is unknown or cannot be built.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.named: NamedRetriever = plugins.build_retriever(spec)

    def given(self, query: Query) -> Query:
        """Return a copy of ``query`` without what the retriever did not ask for."""
        needs = self.named.needs
        documents = tuple(
            replace(
                document,
                date=document.date if "date" in needs else None,
                target=document.target if "target" in needs else None,
            )
            for document in query.documents
        )
        return replace(query, documents=documents, gold=query.gold if "gold" in needs else None)

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank as the pipeline does: what breaks the form of a ranking is a RetrieverError."""
        return self.named.rank([self.given(query) for query in queries], k)

    def answer(self, queries: Sequence[Query], k: int | None = None) -> Any:
        """Return what the retriever itself returns, whatever that is."""
        return self.named.retriever.rank([self.given(query) for query in queries], k)

    def built_afresh(self, options: str | None = None) -> NamedRetriever:
        """Build the retriever again, where :func:`~qrag_tasks.plugins.build_retriever` keeps it.

        :param options: what follows the colon; ``None`` means those under examination.
        """
        name, rest = split_spec(self.named.spec)
        rest = rest if options is None else options
        supplied = plugins.find_retriever(name)
        factory = supplied.value
        read = read_options(name, rest, factory)
        spec = write_spec(name, read, factory)
        return described(spec, supplied.name, supplied.origin, read, call(factory, read))

    @cached_property
    def ranked(self) -> list[Ranking]:
        """The rankings of :data:`EXAMPLES`, asked for in one call."""
        return self.rank(EXAMPLES)

    @cached_property
    def apart(self) -> Findings:
        """What another process finds, and a worker that it spawns.

        The process ranks :data:`EXAMPLES` one at a time, last first, so that whatever one query
        leaves behind is met by other queries than here.
        """
        return examine(self._request(tuple(reversed(EXAMPLES)), alone=True, worker=True))

    @cached_property
    def offline(self) -> Findings:
        """What another process finds that has no network, and other hashes of texts."""
        return examine(self._request(EXAMPLES, offline=True), hash_seed="20240617")

    def _request(self, queries: tuple[Query, ...], **how: bool) -> Request:
        given = tuple(self.given(query) for query in queries)
        return Request(self.named.spec, given, import_path(), **how)
