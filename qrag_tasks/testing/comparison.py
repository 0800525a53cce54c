"""When two rankings are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.testing.check import CheckFailed

RELATIVE = 1e-4
"""Scores this close, relative to the larger one, count as equal: a model in floating point gives
slightly other numbers in another batch, with other padding, or on another device."""
ABSOLUTE = 1e-6
"""The same near zero, as a difference."""


def close(one: float, other: float) -> bool:
    """Whether two scores differ by no more than the tolerance."""
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def same(one: Ranking, other: Ranking, *, exact: bool = False) -> bool:
    """Whether two rankings of one query are the same; see :func:`difference`."""
    return not difference(one, other, exact=exact)


def difference(one: Ranking, other: Ranking, *, exact: bool = False) -> str:
    """Return how two rankings of one query differ; nothing when they are the same.

    The same means: each document has the same score in both, and another document stands at a
    place only where the scores of the two are the same. Scores are the same within
    :data:`RELATIVE` or :data:`ABSOLUTE`. Documents whose scores are equal to the last bit, in both
    rankings, stand in the same order in both: rounding does not explain another.

    :param exact: allow no tolerance at all.
    """
    if one == other:
        return ""
    if len(one.ids) != len(other.ids):
        return f"{len(one.ids)} documents, then {len(other.ids)}"
    before, after = (dict(zip(r.ids, r.scores, strict=True)) for r in (one, other))
    for place, (a, b) in enumerate(zip(one.ids, other.ids, strict=True), start=1):
        if a != b and (exact or not close(before[a], before.get(b, math.nan))):
            return f"at place {place} {_told(a, before)}, then {_told(b, after)}"
    for document in one.ids:
        if exact or not close(before[document], after.get(document, math.nan)):
            if before[document] == after.get(document):
                continue
            return f"the score of {_told(document, before)}, then {after.get(document)}"
    ties = _ties(one.ids, before, after)
    for scores, order in _ties(other.ids, before, after).items():
        if ties[scores] != order:
            return f"of equal score {scores[0]:.6g} {_listed(ties[scores])}, then {_listed(order)}"
    return ""


def _ties(
    ids: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[tuple[float, float], list[str]]:
    """Return the documents by their scores in both rankings, in the order of ``ids``."""
    groups: dict[tuple[float, float], list[str]] = {}
    for document in ids:
        groups.setdefault((before[document], after[document]), []).append(document)
    return groups


def _listed(ids: Sequence[str]) -> str:
    return " ".join(map(repr, ids))


def _told(document: str, scores: dict[str, float]) -> str:
    return f"{document!r} ({scores[document]:.6g})"


def expect_same(
    queries: Sequence[Query],
    one: Sequence[Ranking],
    other: Sequence[Ranking],
    when: str,
    *,
    exact: bool = False,
) -> None:
    """Fail the check when a query's rankings differ.

    :param when: what stands between the two: ``alone, then in a batch``.
    """
    for query, before, after in zip(queries, one, other, strict=True):
        if how := difference(before, after, exact=exact):
            raise CheckFailed(f"query {query.id!r}: {when}: {how}")
