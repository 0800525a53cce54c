"""Nothing but the query itself may change its ranking, and nothing of it is changed or kept."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from dataclasses import replace

from qrag_tasks.retrieval.base import Document, Query
from qrag_tasks.testing.check import CheckFailed, CheckSkipped, check
from qrag_tasks.testing.comparison import difference, expect_same
from qrag_tasks.testing.examples import EXAMPLES, OTHER_DATA, PAPERS, REVIEWS, SCRIPTS
from qrag_tasks.testing.subject import Subject


@check
def repeatable(subject: Subject) -> None:
    """The same call twice gives the same rankings, to the last bit of each score."""
    expect_same(
        EXAMPLES, subject.rank(EXAMPLES), subject.rank(EXAMPLES), "asked for twice", exact=True
    )


@check
def batch_equals_single(subject: Subject) -> None:
    """A query gets the same ranking alone and in a batch: how many go together is a setting."""
    alone = [subject.rank([query])[0] for query in EXAMPLES]
    expect_same(EXAMPLES, alone, subject.ranked, "alone, then in a batch")


@check
def order_of_queries(subject: Subject) -> None:
    """The order of the queries in a batch does not matter, and the rankings come in that order."""
    backward = subject.rank(EXAMPLES[::-1])[::-1]
    expect_same(EXAMPLES, subject.ranked, backward, "in a batch, then in its reverse")


@check
def users_kept_apart(subject: Subject) -> None:
    """A user's ranking is the same before, between and after those of others.

    Here users have documents with the same ids and different texts: what is remembered by a
    document's id alone is another user's. Compared also with a process that met the users in
    another order.
    """
    for query, others in ((REVIEWS[0], (*PAPERS, *SCRIPTS)), (PAPERS[0], (*REVIEWS, *SCRIPTS))):
        alone = subject.rank([query])
        between = subject.rank([others[0], query, others[1]])[1:2]
        expect_same([query], alone, between, "alone, then between other users")
        subject.rank(others)
        expect_same([query], alone, subject.rank([query]), "before others, then after them")
    there = subject.apart.process
    if there.error:
        raise CheckSkipped("another process cannot rank to compare with: see another_process")
    elsewhere = [there.rankings[query.id] for query in EXAMPLES]
    expect_same(
        EXAMPLES, subject.ranked, elsewhere, "another ranking where other users came before"
    )


@check
def query_ids_reused(subject: Subject) -> None:
    """Query ids are unique in one data set only: what is remembered by them alone is another's."""
    before = subject.rank([PAPERS[0]])[0]
    subject.rank([REVIEWS[0]])
    after = subject.rank([OTHER_DATA])[0]
    if not difference(before, after):
        return
    # One that draws lots by the query's id may differ from itself under another id.
    alone = subject.built_afresh().rank([subject.given(OTHER_DATA)])[0]
    if how := difference(alone, after):
        raise CheckFailed(
            f"query {OTHER_DATA.id!r}: alone, then after a query of that id of other data: {how}"
        )


@check
def inputs_not_mutated(subject: Subject) -> None:
    """The queries, and the list they come in, belong to the caller; so any sequence will do."""
    queries = [subject.given(query) for query in EXAMPLES]
    before = copy.deepcopy(queries)
    members = list(queries)
    subject.named.retriever.rank(queries)
    if len(queries) != len(members) or any(
        one is not other for one, other in zip(queries, members, strict=False)
    ):
        raise CheckFailed("the list of queries was changed")
    for was, now in zip(before, queries, strict=True):
        if was != now:
            raise CheckFailed(f"query {was.id!r} was changed")
    from_tuple = subject.named.rank(tuple(queries))
    expect_same(queries, subject.ranked, from_tuple, "in a list, then in a tuple")


@check
def nothing_kept(subject: Subject) -> None:
    """After the call no query or document is held on to: a run ranks many thousand of them."""
    queries = [subject.given(query) for query in EXAMPLES]
    objects: list[Query | Document] = [
        *queries,
        *(document for query in queries for document in query.documents),
    ]
    before = [sys.getrefcount(thing) for thing in objects]
    subject.named.rank(queries)
    gc.collect()
    after = [sys.getrefcount(thing) for thing in objects]
    for thing, was, now in zip(objects, before, after, strict=True):
        if now > was:
            raise CheckFailed(f"the {type(thing).__name__} {thing.id!r} is kept")


@check
def pickles(subject: Subject) -> None:
    """A pickled copy ranks the same: this is how a retriever is sent to a pool of workers."""
    try:
        copied = pickle.loads(pickle.dumps(subject.named.retriever))  # noqa: S301 - just made
    except Exception as error:
        # Whatever __reduce__ and __setstate__ raise: it does not pickle.
        raise CheckFailed(f"{type(error).__name__}: {error}") from error
    rankings = replace(subject.named, retriever=copied).rank(
        [subject.given(query) for query in EXAMPLES]
    )
    expect_same(EXAMPLES, subject.ranked, rankings, "ranked, then by a pickled copy")
