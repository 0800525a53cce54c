"""The form of a ranking, the number of documents, ties."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Real

from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.retrieval.named import checked_ranking
from qrag_tasks.testing.check import CheckFailed, check
from qrag_tasks.testing.comparison import difference, expect_same
from qrag_tasks.testing.examples import EXAMPLES, NO_PROFILE, ODD_IDS, ONE_DOCUMENT, REPEATED, TIES
from qrag_tasks.testing.subject import Subject


@check
def empty_batch(subject: Subject) -> None:
    """No queries: no rankings. What is known already is not asked for, and all may be known."""
    answer = subject.answer([])
    if not isinstance(answer, Sequence) or len(answer):
        raise CheckFailed(f"rank([]) returned {answer!r}, expected an empty list")


@check
def returns_rankings(subject: Subject) -> None:
    """Each query gets one ``Ranking`` of unique ids out of its profile with as many finite scores.

    Tuples, texts and numbers: rankings are compared, and written to disk.
    """
    answer = subject.answer(EXAMPLES)
    if isinstance(answer, str) or not isinstance(answer, Sequence):
        raise CheckFailed(f"rank returned a {type(answer).__name__}, expected a list of Ranking")
    if len(answer) != len(EXAMPLES):
        raise CheckFailed(f"rank returned {len(answer)} rankings for {len(EXAMPLES)} queries")
    for query, ranking in zip(EXAMPLES, answer, strict=True):
        _check_types(query, ranking)
        try:
            checked_ranking(query, ranking, None)
        except ValueError as fault:
            raise CheckFailed(f"query {query.id!r}: {fault}") from None


def _check_types(query: Query, ranking: object) -> None:
    if not isinstance(ranking, Ranking):
        raise CheckFailed(f"query {query.id!r} got a {type(ranking).__name__}, expected a Ranking")
    for name, values, kind in (("ids", ranking.ids, str), ("scores", ranking.scores, Real)):
        if not isinstance(values, tuple):
            raise CheckFailed(
                f"query {query.id!r}: {name} is a {type(values).__name__}, expected a tuple"
            )
        if odd := [value for value in values if not isinstance(value, kind)]:
            raise CheckFailed(
                f"query {query.id!r}: {name} holds {odd[0]!r}, a {type(odd[0]).__name__}, "
                f"expected a {'text' if kind is str else 'number'}"
            )


@check
def scores_ordered(subject: Subject) -> None:
    """Best first: a score is never higher than the one before it."""
    for query, ranking in zip(EXAMPLES, subject.answer(EXAMPLES), strict=True):
        for place, (earlier, later) in enumerate(pairwise(ranking.scores), start=2):
            if later > earlier:
                raise CheckFailed(
                    f"query {query.id!r}: the score rises from {earlier} to {later} at place "
                    f"{place}"
                )


@check
def ids_kept(subject: Subject) -> None:
    """Ids come back to the letter, whatever they look like: numbers, paths, other scripts."""
    ids = subject.rank([ODD_IDS])[0].ids
    known = {document.id for document in ODD_IDS.documents}
    if strangers := set(ids) - known:
        raise CheckFailed(f"returned ids that are in no profile: {sorted(strangers)[:3]!r}")


@check
def k_zero(subject: Subject) -> None:
    """``k=0`` asks for no document."""
    for query, ranking in zip(EXAMPLES, subject.answer(EXAMPLES, 0), strict=True):
        if ranking.ids or ranking.scores:
            raise CheckFailed(
                f"query {query.id!r} got {len(ranking.ids)} documents where 0 were asked for"
            )


@check
def k_documents(subject: Subject) -> None:
    """Asked for k documents, it returns k; all, where the profile has fewer or ``k=None``.

    What it thinks irrelevant comes last: how many documents a prompt has is the experiment's to
    say.
    """
    for k in (1, 2, 5, None):
        for query, ranking in zip(EXAMPLES, subject.rank(EXAMPLES, k), strict=True):
            size = len(query.documents)
            wanted = size if k is None else min(k, size)
            if len(ranking.ids) != wanted:
                raise CheckFailed(
                    f"k={k}: query {query.id!r} got {len(ranking.ids)} of its {size} documents, "
                    f"expected {wanted}"
                )


@check
def k_beyond_profile(subject: Subject) -> None:
    """A k larger than the profile means all of it, and is no error."""
    size = max(len(query.documents) for query in EXAMPLES)
    for k in (size + 1, 10_000):
        expect_same(EXAMPLES, subject.ranked, subject.rank(EXAMPLES, k), f"k={k} is not k=None")


@check
def top_k_is_prefix(subject: Subject) -> None:
    """The best k are the first k of all, for every k: one ranking serves a whole sweep over k."""
    queries = [*TIES, EXAMPLES[0], EXAMPLES[1]]
    everything = subject.rank(queries)
    for k in range(max(len(query.documents) for query in queries) + 1):
        for query, ranking, full in zip(queries, subject.rank(queries, k), everything, strict=True):
            if how := difference(full.best(k), ranking, exact=True):
                raise CheckFailed(
                    f"query {query.id!r}: k={k} is not the first {k} of k=None: {how}"
                )


@check
def stable_ties(subject: Subject) -> None:
    """Documents with equal scores stand in the order of the data, or all in the reverse of it.

    Anything else (by id, by hash, as a partial sort leaves them) changes with what must not
    matter.
    """
    forward: tuple[str, str] | None = None
    backward: tuple[str, str] | None = None
    for query, ranking in zip(TIES, subject.rank(TIES), strict=True):
        place = {document.id: number for number, document in enumerate(query.documents)}
        scored = zip(ranking.ids, ranking.scores, strict=True)
        for (earlier, score), (later, next_score) in pairwise(scored):
            if score != next_score:
                continue
            if place[earlier] < place[later]:
                forward = forward or (earlier, later)
            else:
                backward = backward or (earlier, later)
    if forward and backward:
        raise CheckFailed(
            f"of documents with equal scores {forward[0]!r} and {forward[1]!r} stand in the "
            f"order of the data, {backward[0]!r} and {backward[1]!r} in the reverse"
        )


@check
def duplicate_texts(subject: Subject) -> None:
    """Documents with one text are as many documents: all of them are ranked, or none."""
    ranked = set(subject.rank([REPEATED])[0].ids)
    for text in dict.fromkeys(document.text for document in REPEATED.documents):
        group = {document.id for document in REPEATED.documents if document.text == text}
        if group & ranked and group - ranked:
            raise CheckFailed(
                f"of {len(group)} documents with one text only {len(group & ranked)} came back: "
                f"{', '.join(sorted(group - ranked))} missing"
            )


@check
def empty_profile(subject: Subject) -> None:
    """A user without documents gets an empty ranking, alone and in a batch."""
    for queries in ([NO_PROFILE], [EXAMPLES[0], NO_PROFILE, EXAMPLES[1]]):
        for query, ranking in zip(queries, subject.rank(queries, 5), strict=True):
            if query is NO_PROFILE and ranking != Ranking():
                raise CheckFailed(f"expected an empty ranking, not {ranking}")


@check
def one_document(subject: Subject) -> None:
    """A profile of one document is ranked: no scale or variance is divided by that is zero."""
    for k in (1, 5, None):
        subject.rank([ONE_DOCUMENT], k)
