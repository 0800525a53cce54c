"""``mine``: the contract of a retriever, and what is its own."""

from __future__ import annotations

import pytest

from qrag_tasks import Document, Query
from qrag_tasks.plugins import build_retriever
from qrag_tasks.testing import RetrieverConformance


class TestConformance(RetrieverConformance):
    spec = "mine"


class TestConformanceWithOptions(RetrieverConformance):
    spec = "mine:shortest=3"


def test_shared_words_count() -> None:
    documents = (Document("a", "green tea"), Document("b", "Black TEA, hot"), Document("c", "pot"))
    (ranking,) = build_retriever("mine").rank([Query("1", "hot black tea", documents)])
    assert ranking.ids == ("b", "a", "c")
    assert ranking.scores == (1.0, 0.25, 0.0)


def test_an_impossible_option_is_refused() -> None:
    with pytest.raises(ValueError, match="shortest is 0, expected at least 1"):
        build_retriever("mine:shortest=0")
