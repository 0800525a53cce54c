"""``oracle``: by closeness to the right answer, and marked as an upper bound."""

from __future__ import annotations

import pytest

from qrag_tasks.plugins import build_retriever
from qrag_tasks.retrieval.base import Document, Query


def ranked(gold: str, *targets: str) -> tuple[str, ...]:
    documents = tuple(Document(t, "", target=t) for t in targets)
    (ranking,) = build_retriever("oracle").rank([Query("1", "", documents, gold=gold)])
    return ranking.ids


def test_ratings_by_their_distance() -> None:
    assert ranked("4", "1", "5", "2", "4", "3.0") == ("4", "5", "3.0", "2", "1")


def test_texts_by_rouge_l() -> None:
    order = ranked("a study of birds", "on fish", "birds: a study of them", "A study of birds!")
    assert order == ("A study of birds!", "birds: a study of them", "on fish")


@pytest.mark.parametrize("odd", ["", "nan", "inf", "12 monkeys"])
def test_answers_that_are_no_number(odd: str) -> None:
    assert set(ranked("4", odd, "4")) == {odd, "4"}
    assert ranked("4", odd, "4")[0] == "4"


def test_it_says_that_it_sees_the_gold() -> None:
    assert build_retriever("oracle").sees_gold
    assert not build_retriever("bm25").sees_gold
