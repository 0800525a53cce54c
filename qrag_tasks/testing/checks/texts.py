"""Texts of every kind: none, much, other scripts, what looks like code."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.retrieval.base import Query
from qrag_tasks.testing.check import CheckFailed, CheckSkipped, check
from qrag_tasks.testing.examples import (
    CHAT_MARKERS,
    EMPTY_DOCUMENTS,
    EMPTY_QUERIES,
    LARGE,
    LONG_DOCUMENT,
    LONG_QUERY,
    REVIEWS,
    SCRIPTS,
)
from qrag_tasks.testing.subject import Subject


@check
def differs_by_query(subject: Subject) -> None:
    """Three questions about one profile are not all answered alike."""
    if _alike(subject, REVIEWS):
        raise CheckFailed(f"{len(REVIEWS)} different queries got the same order of documents")


@check
def other_scripts(subject: Subject) -> None:
    """Questions in Cyrillic and Greek are told apart too, not dropped as if they were empty."""
    if _alike(subject, SCRIPTS[:2]):
        if _alike(subject, REVIEWS):
            raise CheckSkipped("it answers queries in English alike too: see differs_by_query")
        raise CheckFailed(
            "a query in Cyrillic and one in Greek got the same order of documents: is what is "
            "not ASCII dropped?"
        )


def _alike(subject: Subject, queries: Sequence[Query]) -> bool:
    return len({ranking.ids for ranking in subject.rank(queries)}) == 1


@check
def unicode(subject: Subject) -> None:
    """Any script, combining marks, emoji and odd spaces are text, and no error."""
    subject.rank(SCRIPTS)


@check
def chat_markers(subject: Subject) -> None:
    """Chat tokens, template braces, format strings and query operators are text, and no error."""
    for query in CHAT_MARKERS:
        subject.rank([query])


@check
def empty_query(subject: Subject) -> None:
    """A query without a text, or of white space, gets a ranking like any other."""
    for query in EMPTY_QUERIES:
        subject.rank([query])


@check
def empty_documents(subject: Subject) -> None:
    """Documents may have no text: some of a profile, or all."""
    for query in EMPTY_DOCUMENTS:
        subject.rank([query])


@check
def long_query(subject: Subject) -> None:
    """A query of 10,000 words is ranked; a model that cannot read all of it must cut it itself."""
    subject.rank([LONG_QUERY])


@check
def long_document(subject: Subject) -> None:
    """A document of 10,000 words among short ones is ranked with them."""
    subject.rank([LONG_DOCUMENT])


@check
def large_profile(subject: Subject) -> None:
    """A profile of 2,000 documents is ranked, whatever limits an index or a query has."""
    subject.rank([LARGE], 5)
