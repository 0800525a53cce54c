"""``bm25``, ``bm25-word``, ``bm25-char``: rank_bm25's over those tokens, to the last bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from qrag_tasks.retrieval.base import Document, Query
from qrag_tasks.retrieval.bm25 import BM25, CharacterBM25, WordBM25
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

words = st.sampled_from(["a", "b", "c", "d", "A", "tea", "ünï", "茶", "{{x}}", "</s>"])
texts = st.lists(words, max_size=12).map(" ".join)


def reference(
    query: str,
    documents: list[str],
    tokens: Callable[[str], Sequence[str]] = str.split,
    **options: float,
) -> tuple[list[int], list[float]]:
    """LaMP's ranking: scores of rank_bm25, sorted, equal scores the later document first."""
    scores = BM25Okapi([tokens(text) for text in documents], **options).get_scores(tokens(query))
    order = sorted(range(len(documents)), key=lambda i: (-scores[i], -i))
    return order, [float(scores[i]) for i in order]


def query_of(text: str, documents: list[str]) -> Query:
    return Query("q", text, tuple(Document(str(i), d) for i, d in enumerate(documents)))


@settings(max_examples=300)
@given(
    st.lists(texts, min_size=2, max_size=4),
    st.lists(texts, min_size=1, max_size=30),
    st.sampled_from([BM25(), WordBM25(b=1.0), CharacterBM25(k1=0.5), BM25(epsilon=-1.0)]),
)
def test_documents_that_are_shared_are_ranked_as_each_alone(
    asked: list[str], documents: list[str], bm25: BM25
) -> None:
    shared = query_of("", documents).documents
    queries = [Query(str(number), text, shared) for number, text in enumerate(asked)]
    assert bm25.rank(queries) == [bm25.rank([query])[0] for query in queries]
    assert pickle.loads(pickle.dumps(bm25)).rank(queries, 3) == bm25.rank(queries, 3)  # noqa: S301


@settings(max_examples=300)
@given(texts, st.lists(texts, min_size=1, max_size=30))
def test_equals_rank_bm25(query: str, documents: list[str]) -> None:
    if not any(text.split() for text in documents):
        return  # rank_bm25 divides by zero; see test_documents_without_words
    order, scores = reference(query, documents)
    (ranking,) = BM25().rank([query_of(query, documents)])
    assert list(ranking.scores) == scores
    assert [int(i) for i in ranking.ids] == order


@given(
    texts,
    st.lists(texts.filter(str.split), min_size=1, max_size=10),
    st.sampled_from([0.5, 0.9, 1.5, 2.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
)
def test_equals_rank_bm25_with_options(
    query: str, documents: list[str], k1: float, b: float
) -> None:
    order, scores = reference(query, documents, k1=k1, b=b)
    (ranking,) = BM25(k1=k1, b=b).rank([query_of(query, documents)])
    assert list(ranking.scores) == scores
    assert [int(i) for i in ranking.ids] == order


@given(texts, st.lists(texts.filter(str.strip), min_size=1, max_size=10))
def test_characters_are_what_the_paper_gave_to_rank_bm25(query: str, documents: list[str]) -> None:
    order, scores = reference(query, documents, str)  # a string is a sequence of characters
    (ranking,) = CharacterBM25().rank([query_of(query, documents)])
    assert list(ranking.scores) == scores
    assert [int(i) for i in ranking.ids] == order


def test_words_have_neither_case_nor_punctuation() -> None:
    assert WordBM25().tokens("The kettle's LID, ümläut-茶 x_1!") == [
        *("the", "kettle", "s", "lid", "ümläut", "茶", "x_1")
    ]
    query, documents = "Kettle?", ["a pot", "The KETTLE.", "another thing"]
    (words,) = WordBM25().rank([query_of(query, documents)])
    (plain,) = BM25().rank([query_of(query, documents)])
    assert words.ids[0] == "1"
    assert words.scores[0] > 0
    assert set(plain.scores) == {0.0}


@given(texts, st.lists(texts, max_size=20), st.integers(0, 25))
def test_the_best_k_are_the_head_of_all(query: str, documents: list[str], k: int) -> None:
    asked = query_of(query, documents)
    (everything,) = BM25().rank([asked])
    (best,) = BM25().rank([asked], k)
    assert best.ids == everything.ids[:k]
    assert len(everything.ids) == len(documents)


def test_documents_without_words() -> None:
    (ranking,) = BM25().rank([query_of("a", ["", " ", "\n"])])
    assert ranking.ids == ("2", "1", "0")
    assert ranking.scores == (0.0, 0.0, 0.0)


def test_an_empty_document_scores_nothing() -> None:
    for options in ({"b": 1.0}, {"k1": 0.0}):
        (ranking,) = BM25(**options).rank([query_of("a", ["", "a", "b c"])])
        assert dict(zip(ranking.ids, ranking.scores, strict=True))["0"] == 0.0


def test_one_and_no_document() -> None:
    assert BM25().rank([query_of("a", ["a b"])])[0].ids == ("0",)
    assert BM25().rank([query_of("a", [])])[0].ids == ()
    assert BM25().rank([]) == []


def test_ten_thousand_documents() -> None:
    documents = [f"word{i % 97} tea {i}" for i in range(10_000)]
    order, _ = reference("word5 tea 1234", documents)
    (ranking,) = BM25().rank([query_of("word5 tea 1234", documents)], 5)
    assert [int(i) for i in ranking.ids] == order[:5]
    assert ranking.ids[0] == "1234"


@pytest.mark.parametrize(
    "options",
    [
        {"k1": -1.0},
        {"k1": float("inf")},
        {"b": 1.5},
        {"b": float("nan")},
        {"epsilon": float("inf")},
    ],
)
def test_impossible_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        BM25(**options)


@pytest.mark.parametrize("name", ["lamp3u", "lamp5u"])
def test_equals_rank_bm25_on_real_profiles(real_data: Path, name: str) -> None:
    task = LAMP_TASKS[name]
    for sample in data.load(task, str(real_data)).samples:
        documents = [task.document_text(item) for item in sample.profile]
        order, scores = reference(task.query(sample.input), documents)
        (ranking,) = BM25().rank([query_of(task.query(sample.input), documents)])
        assert np.array_equal(ranking.scores, scores)
        assert [int(i) for i in ranking.ids] == order
