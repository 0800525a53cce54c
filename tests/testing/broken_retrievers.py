"""Retrievers, each broken in one way; a plugin that the tests install under the name ``broken``.

All are :class:`Overlap`, except for their one fault, and are registered under their class's name.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import random
import re
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from qrag_tasks import Document, Query, Ranking, ScoringRetriever, hookimpl


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class Overlap(ScoringRetriever):
    """Sound: the share of the document's words that the query has too."""

    def __init__(self, power: float = 1.0, strict: bool = False, label: str = "") -> None:
        self.power = power

    def score(self, query: Query) -> list[float]:
        asked = self.words(query.text)
        return [self.similarity(asked, self.words_of(d)) for d in query.documents]

    def words_of(self, document: Document) -> set[str]:
        return self.words(document.text)

    def words(self, text: str) -> set[str]:
        return _words(text)

    def similarity(self, asked: set[str], words: set[str]) -> float:
        return (len(asked & words) / (1 + len(words))) ** self.power


class RemembersDocumentIds(Overlap):
    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, set[str]] = {}

    def words_of(self, document: Document) -> set[str]:
        return self.known.setdefault(document.id, self.words(document.text))


class RemembersQueryTexts(Overlap):
    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Ranking] = {}

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        fresh = [r for query in queries for r in super(RemembersQueryTexts, self).rank([query])]
        kept = [self.known.setdefault(q.text, r) for q, r in zip(queries, fresh, strict=True)]
        return [ranking.best(k) for ranking in kept]


class RemembersQueryIds(Overlap):
    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, set[str]] = {}

    def score(self, query: Query) -> list[float]:
        asked = self.known.setdefault(query.id, self.words(query.text))
        return [self.similarity(asked, self.words_of(d)) for d in query.documents]


class SortsTheBatch(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        rankings = dict(zip(map(id, queries), super().rank(queries, k), strict=True))
        order = list(queries)
        if isinstance(queries, list):
            queries.sort(key=lambda query: -len(query.text))
        return [rankings[id(query)] for query in order]


class ChangesQueries(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        for query in queries:
            object.__setattr__(query, "text", query.text.lower())
        return super().rank(queries, k)


class NeedsAList(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        return super().rank(queries + [], k)  # noqa: RUF005


class KeepsQueries(Overlap):
    @functools.cache  # noqa: B019
    def score(self, query: Query) -> list[float]:
        return super().score(query)


class HashOrder(Overlap):
    def score(self, query: Query) -> list[float]:
        return [float(hash(query.text + d.text) % 1000) for d in query.documents]


class SetOrder(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        return [self.one(query).best(k) for query in queries]

    def one(self, query: Query) -> Ranking:
        best = dict(zip((d.id for d in query.documents), self.score(query), strict=True))
        ids = tuple(sorted(set(best), key=lambda i: -best[i]))
        return Ranking(ids, tuple(best[i] for i in ids))


class Rising(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        return [Ranking(r.ids[::-1], r.scores[::-1]) for r in super().rank(queries, k)]


class OneTooMany(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        return super().rank(queries, None if k is None else k + 1)


class OnlyMatches(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        rankings = super().rank(queries, k)
        return [r.best(sum(score > 0 for score in r.scores)) for r in rankings]


class DropsDuplicates(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        single = [
            Query(q.id, q.text, tuple({d.text: d for d in q.documents}.values())) for q in queries
        ]
        return super().rank(single, k)


class AsciiOnly(Overlap):
    def words(self, text: str) -> set[str]:
        return _words(text.encode("ascii").decode())


class AsciiSilently(Overlap):
    def words(self, text: str) -> set[str]:
        return _words(text.encode("ascii", "ignore").decode())


class NeedsDocuments(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        for query in queries:
            max(len(document.text) for document in query.documents)
        return super().rank(queries, k)


class NeedsTwoDocuments(Overlap):
    def score(self, query: Query) -> list[float]:
        scores = super().score(query)
        spread = statistics.stdev(scores) or 1.0
        return [score / spread for score in scores]


class NeedsAQuery(Overlap):
    def words(self, text: str) -> set[str]:
        words = _words(text)
        return words if min(map(len, words)) else set()


class NeedsTexts(Overlap):
    def similarity(self, asked: set[str], words: set[str]) -> float:
        return len(asked & words) / len(words)


class NeedsQueries(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        assert len(queries[0].documents) >= 0
        return super().rank(queries, k)


class NeedsKDocuments(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        if k and any(k > len(query.documents) for query in queries):
            raise IndexError("k is too large")
        return super().rank(queries, k)


class ShortQueries(Overlap):
    def score(self, query: Query) -> list[float]:
        if len(query.text.split()) > 512:
            raise OverflowError("the query is longer than 512 tokens")
        return super().score(query)


class ShortDocuments(Overlap):
    def words_of(self, document: Document) -> set[str]:
        if len(document.text.split()) > 512:
            raise OverflowError("the document is longer than 512 tokens")
        return super().words_of(document)


class SmallProfiles(Overlap):
    def score(self, query: Query) -> list[float]:
        if len(query.documents) > 1000:
            raise OverflowError("more than 1000 clauses")
        return super().score(query)


class Formats(Overlap):
    def words(self, text: str) -> set[str]:
        return _words(text.format())


class GlobalRandom(Overlap):
    def similarity(self, asked: set[str], words: set[str]) -> float:
        return random.random()  # noqa: S311


class DoesNotPickle(Overlap):
    def __init__(self) -> None:
        super().__init__()
        self.fold = lambda text: text


class OpensASocket(Overlap):
    def score(self, query: Query) -> list[float]:
        with socket.socket() as connection:
            connection.settimeout(0.1)
            connection.connect_ex(("127.0.0.1", 9))
        return super().score(query)


class LooksUpAHost(Overlap):
    def score(self, query: Query) -> list[float]:
        with contextlib.suppress(OSError):
            socket.getaddrinfo("localhost", 9)
        return super().score(query)


class IgnoresTheQuery(Overlap):
    def score(self, query: Query) -> list[float]:
        return [float(len(d.text)) for d in query.documents]


class IdentityOfTheObject(Overlap):
    @property
    def identity(self) -> dict[str, str]:
        return {"model": repr(id(self))}

    alive: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        super().__init__()
        self.alive.append(self)  # so that no two have the same id


class IdentityOfTheProcess(Overlap):
    identity: ClassVar[dict[str, str]] = {"model": str(os.getpid())}


class IdentityKnownLater(Overlap):
    def __init__(self) -> None:
        super().__init__()
        self.identity = {"revision": ""}

    def score(self, query: Query) -> list[float]:
        self.identity = {"revision": "2bd46a2"}
        return super().score(query)


class OptionThatIsNoNumber(Overlap):
    def __init__(self, power: float = float("nan")) -> None:
        super().__init__()


class AnotherTopK(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        if k is None:
            return super().rank(queries)
        backward = [Query(q.id, q.text, q.documents[::-1]) for q in queries]
        return super().rank(backward, k)


class ScaledInTheBatch(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        rankings = super().rank(queries)
        top = max((score for r in rankings for score in r.scores), default=0) or 1
        return [Ranking(r.ids, tuple(s / top for s in r.scores)).best(k) for r in rankings]


class SwapsQueries(Overlap):
    """Takes the short queries of a user first, and does not put the rankings back in order."""

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        swapped = []
        for query in queries:
            own = [other for other in queries if other.documents == query.documents]
            by_length = sorted(own, key=lambda other: len(other.text))
            swapped.append(by_length[own.index(query)])
        return super().rank(swapped, k)


class Tuples(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> Any:
        return [list(zip(r.ids, r.scores, strict=True)) for r in super().rank(queries, k)]


class NotANumber(Overlap):
    def similarity(self, asked: set[str], words: set[str]) -> float:
        return super().similarity(asked, words) if asked & words else float("nan")


class WholeNumberIds(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Any]:
        return [Ranking(tuple(map(int, r.ids)), r.scores) for r in super().rank(queries, k)]  # type: ignore[arg-type]


class StripsIds(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        rankings = super().rank(queries, k)
        return [Ranking(tuple(i.strip() for i in r.ids), r.scores) for r in rankings]


class TiesById(Overlap):
    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        return [self.by_id(ranking).best(k) for ranking in super().rank(queries)]

    def by_id(self, ranking: Ranking) -> Ranking:
        scores = dict(zip(ranking.ids, ranking.scores, strict=True))
        ids = tuple(sorted(scores, key=lambda name: (-scores[name], name)))
        return Ranking(ids, tuple(scores[name] for name in ids))


# Not the process id: two of them are alike, or nearly, once in some hundred runs.
NOISE = [float(secrets.randbelow(10**9)) for _ in range(64)]


class OfThisProcess(Overlap):
    def similarity(self, asked: set[str], words: set[str]) -> float:
        return super().similarity(asked, words) + NOISE[len(words) % len(NOISE)]


class StartsAProcess(Overlap):
    @functools.cached_property
    def encoder(self) -> None:
        child = multiprocessing.get_context("spawn").Process(target=tempfile.gettempdir)
        child.start()
        child.join()

    def score(self, query: Query) -> list[float]:
        _ = self.encoder
        return super().score(query)


class DiesElsewhere(Overlap):
    def score(self, query: Query) -> list[float]:
        if sys.argv[0] == "-c":
            sys.stdout.write("no kernel image is available")
            sys.stdout.flush()
            os._exit(3)
        return super().score(query)


class HangsElsewhere(Overlap):
    def score(self, query: Query) -> list[float]:
        if sys.argv[0] == "-c":
            time.sleep(60)
        return super().score(query)


@hookimpl
def qrag_register_retrievers(register: Any) -> None:
    for kind in (Overlap, *Overlap.__subclasses__()):
        register(re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower(), kind)
