"""A retriever with its name on it: where it comes from, its fingerprint, and its contract held."""

from __future__ import annotations

import hashlib
import json
import sys
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from qrag_tasks.errors import QragError, RetrieverError
from qrag_tasks.installed import Origin
from qrag_tasks.retrieval.base import NEEDS, Need, Query, Ranking, Retriever
from qrag_tasks.retrieval.options import Option


@dataclass(frozen=True)
class Fingerprint:
    """All that a retriever's rankings depend on, beside the data.

    :ivar options: every option, defaults included.
    :ivar identity: what the retriever adds of its own, such as a model and its revision.
    """

    name: str
    origin: Origin
    options: Mapping[str, Option]
    identity: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the fingerprint as JSON has it."""
        return {
            "retriever": self.name,
            "distribution": self.origin.distribution,
            "version": self.origin.version,
            "source": self.origin.source,
            "options": dict(sorted(self.options.items())),
            "identity": dict(sorted(self.identity.items())),
        }

    @property
    def digest(self) -> str:
        """The sha256 of :meth:`as_dict`, in hexadecimal."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class NamedRetriever:
    """A retriever that was built, and how it was asked for.

    :ivar spec: canonical: the name and sorted what is not a default: ``bm25:b=0.4,k1=0.9``.
    """

    spec: str
    fingerprint: Fingerprint
    retriever: Retriever
    needs: frozenset[Need] = frozenset()

    @property
    def sees_gold(self) -> bool:
        """Whether it is an upper bound: it ranks by the answer that the model is asked for."""
        return "gold" in self.needs

    @property
    def known_queries(self) -> Collection[str] | None:
        """The ids of the only queries that it can rank; ``None`` where it ranks any."""
        known: Collection[str] | None = getattr(self.retriever, "known_queries", None)
        return known

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank like :meth:`Retriever.rank`, and hold the answer to the contract.

        :raises RetrieverError: when it is broken; the message names the plugin and the sample.
        """
        queries = tuple(queries)  # no plugin can sort the caller's list under its feet
        try:
            answer = self.retriever.rank(queries, k)
            # In here, since a generator does its work only now.
            rankings = list(answer) if isinstance(answer, Iterable) else None
        except QragError:
            raise
        except Exception as error:
            raise self._failed(queries, k, error) from error
        if rankings is None:
            fault = f"rank returned {_kind(answer)}, expected a list of Ranking"
            raise self.broken(queries[:1], fault)
        if len(rankings) != len(queries):
            fault = f"returned {len(rankings)} rankings for {len(queries)} queries"
            raise self.broken(queries, fault)
        return [self._checked(query, r, k) for query, r in zip(queries, rankings, strict=True)]

    def broken(self, queries: Sequence[Query], fault: str) -> RetrieverError:
        """Return the error for ``fault``, with everything one needs to report it."""
        samples = ""
        if len(queries) == 1:
            samples = f", sample {queries[0].id!r}"
        elif queries:
            samples = f", samples {queries[0].id!r} to {queries[-1].id!r}"
        return RetrieverError(f"retriever {self.spec!r} from {self._origin}{samples}: {fault}")

    @property
    def _origin(self) -> str:
        origin = self.fingerprint.origin
        return f"{origin} ({origin.entry_point})" if origin.entry_point else str(origin)

    def _checked(self, query: Query, ranking: object, k: int | None) -> Ranking:
        try:
            return checked_ranking(query, ranking, k)
        except ValueError as fault:
            raise self.broken([query], str(fault)) from None

    def _failed(self, queries: Sequence[Query], k: int | None, error: Exception) -> RetrieverError:
        """Return the error for a retriever that raised: which sample it was, and where."""
        culprits = list(queries)
        if len(culprits) > 1:
            for query in queries:
                try:
                    list(self.retriever.rank([query], k))
                except Exception as alone:
                    culprits, error = [query], alone
                    break
        where = _deepest_frame(error, type(self.retriever).__module__)
        return self.broken(culprits, f"{type(error).__name__}: {error}{where}")


def checked_ranking(query: Query, ranking: object, k: int | None) -> Ranking:
    """Return ``ranking`` with plain ids and scores, once it is known to be one of ``query``.

    :raises ValueError: saying what is wrong with it.
    """
    if not isinstance(ranking, Ranking):
        raise ValueError(f"returned {_kind(ranking)}, expected a Ranking")
    try:
        ids, scores = tuple(ranking.ids), tuple(float(score) for score in ranking.scores)
    except (TypeError, ValueError) as error:
        raise ValueError(f"ids and scores must be tuples of texts and numbers: {error}") from None
    if len(ids) != len(scores):
        raise ValueError(f"{len(ids)} ids but {len(scores)} scores")
    if k is not None and len(ids) > k:
        raise ValueError(f"{len(ids)} documents where {k} were asked for")
    if strangers := [i for i in ids if not isinstance(i, str)]:
        raise ValueError(f"the id {strangers[0]!r} is {_kind(strangers[0])}, expected a text")
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise ValueError(f"the document {twice!r} appears twice")
    if unknown := set(ids) - {document.id for document in query.documents}:
        listed = ", ".join(map(repr, sorted(unknown)[:3]))
        raise ValueError(f"ids that are not in the profile: {listed}")
    for document, score in zip(ids, scores, strict=True):
        if not float("-inf") < score < float("inf"):
            raise ValueError(f"the score of {document!r} is {score}: not finite")
    for (earlier, later), document in zip(pairwise(scores), ids[1:], strict=False):
        if later > earlier:
            raise ValueError(
                f"the scores rise at {document!r}, from {earlier} to {later}: not best first"
            )
    return Ranking(ids, scores)


def described(
    spec: str, name: str, origin: Origin, options: Mapping[str, Option], built: Any
) -> NamedRetriever:
    """Return what a factory built, with its fingerprint and needs read and checked.

    :raises RetrieverError: when it is no retriever, or says of itself what cannot be.
    """
    known = ", ".join(NEEDS)

    def wrong(fault: str) -> RetrieverError:
        return RetrieverError(f"retriever {spec!r} from {origin}: {fault}")

    if not callable(getattr(built, "rank", None)):
        raise wrong(f"{_kind(built)} was built, which has no method 'rank'")
    needs = getattr(built, "needs", ())
    if isinstance(needs, str) or not set(needs) <= set(NEEDS):
        raise wrong(f"needs is {needs!r}, expected a collection out of {known}")
    identity = getattr(built, "identity", {})
    if not isinstance(identity, Mapping) or not all(
        isinstance(text, str) for pair in identity.items() for text in pair
    ):
        raise wrong(f"identity is {identity!r}, expected a mapping of text to text")
    for key, value in options.items():
        if not isinstance(value, Option):
            raise wrong(
                f"the default of the option {key!r} is {_kind(value)}, expected a number, a text, "
                f"true or false, or None"
            )
    fingerprint = Fingerprint(name, origin, dict(options), dict(identity))
    return NamedRetriever(spec, fingerprint, built, frozenset(needs))


def _deepest_frame(error: Exception, module: str) -> str:
    """Return where an error was raised, in the plugin's own code if it passed through there."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    package = sys.modules.get(module.partition(".")[0])
    file = getattr(package, "__file__", None)
    home = str(Path(file).parent if Path(file).name == "__init__.py" else file) if file else None
    own = [frame for frame in frames if home and frame.filename.startswith(home)]
    frame = (own or frames)[-1]
    return f" (in {frame.name}, {Path(frame.filename).name} line {frame.lineno})"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
