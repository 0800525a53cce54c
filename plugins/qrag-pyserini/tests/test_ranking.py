"""What is ranked, in which order, and which texts are ranked at all."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qrag_tasks import Query, Ranking

from profiles import REVIEWS, profile
from qrag_pyserini.retriever import LANGUAGES, PyseriniBM25


def test_scores_are_lucenes_formula() -> None:
    texts = ["apple apple pear", "pear plum", "plum quince fig date"]
    [ranking] = PyseriniBM25(k1=1.2, b=0.75).rank([profile("apple", texts)])
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / 3))  # 3 tokens, where 3 are the mean
    assert ranking.ids[0] == "d0000"
    assert ranking.scores == (pytest.approx(expected, rel=1e-6), 0.0, 0.0)


def test_documents_without_a_term_of_the_query_come_last_in_the_datas_order() -> None:
    [ranking] = PyseriniBM25().rank([profile("mango and crackers")])
    assert set(ranking.ids[:2]) == {"d0001", "d0007"}
    assert all(score > 0 for score in ranking.scores[:2])
    assert ranking.ids[2:] == tuple(f"d{i:04}" for i in range(10) if i not in (1, 7))
    assert ranking.scores[2:] == (0.0,) * 8


def test_equal_scores_are_in_the_datas_order() -> None:
    query = profile("tea", ["tea", "coffee tea mate", "tea", "", "tea"])
    reversed_ids = Query(
        "q", "tea", tuple(type(d)(f"z{9 - i}", d.text) for i, d in enumerate(query.documents))
    )
    [ranking], [by_position] = (PyseriniBM25().rank([q]) for q in (query, reversed_ids))
    assert ranking.ids == ("d0000", "d0002", "d0004", "d0001", "d0003")
    assert by_position.ids == ("z9", "z7", "z5", "z8", "z6")


def test_the_best_k_are_the_first_k_of_all() -> None:
    random.seed(1)
    texts = [" ".join(random.choices("abcdefghij", k=12)) for _ in range(200)]
    query = profile("b c d e f d", texts)
    retriever = PyseriniBM25(stopwords=False)
    [everything] = retriever.rank([query])
    assert len(everything.ids) == 200
    for k in (1, 3, 199, 200, 500):
        assert retriever.rank([query], k) == [everything.best(k)]


@pytest.mark.parametrize("text", ["", " \n ", "the and of", "!?… — {}", "zebra", "\0"])
def test_a_query_that_says_nothing_leaves_the_datas_order(text: str) -> None:
    [ranking] = PyseriniBM25().rank([profile(text)])
    assert ranking == Ranking(tuple(f"d{i:04}" for i in range(10)), (0.0,) * 10)


@pytest.mark.parametrize(
    "text",
    [
        "coffee AND NOT (beans OR",
        'coffee + - && || ! ( ) { } [ ] ^ " ~ * ? : \\ /',
        "contents: coffee^3 [a TO b] cof*",
        "<|im_start|>user {coffee} {{x}} %s </s> [INST]",
        "coffee 🍯 👩‍👩‍👧 𝒜𝒷𝒸",
    ],
)
def test_no_text_is_an_operator(text: str) -> None:
    [ranking] = PyseriniBM25().rank([profile(text)])
    assert set(ranking.ids[:3]) >= {"d0005", "d0008"}
    assert len(ranking.ids) == len(REVIEWS)


def test_emoji_and_other_scripts_are_terms() -> None:
    for term in ("🍯", "茉莉花茶"):
        [ranking] = PyseriniBM25().rank([profile(term)], 1)
        assert ranking.ids == ("d0004",)
        assert ranking.scores[0] > 0


def test_lone_surrogates_are_unknown_characters_as_in_lucene() -> None:
    [ranking] = PyseriniBM25().rank([profile("mango \ud83d", ["\udc00 fig", "mango\ud83d"])])
    assert ranking.ids == ("d0001", "d0000")


def test_thousands_of_different_words() -> None:
    words = [f"word{i}" for i in range(6000)]
    texts = [" ".join(words[i::3]) for i in range(3)]
    [ranking] = PyseriniBM25().rank([profile(" ".join(words[1::3] + words[:1]), texts)])
    assert ranking.ids == ("d0001", "d0000", "d0002")
    assert ranking.scores[2] == 0


def test_thousands_of_documents_in_several_segments() -> None:
    filler = " ".join(f"filler{i}" for i in range(3000))
    texts = [f"{filler} {i}" for i in range(900)]  # beyond the 16 MB after which Lucene flushes
    [ranking] = PyseriniBM25().rank([profile("640 filler1", texts)])
    assert ranking.ids[0] == "d0640"
    assert list(ranking.ids[1:]) == sorted(ranking.ids[1:])


def test_nothing_to_rank() -> None:
    retriever = PyseriniBM25(java="/nowhere")  # would fail if Java were started
    assert retriever.rank([]) == []
    assert retriever.rank([profile("tea", [])]) == [Ranking()]
    assert retriever.rank([profile("tea")], 0) == [Ranking()]


def test_users_do_not_influence_each_other() -> None:
    retriever = PyseriniBM25()
    queries = [
        profile("coffee"),
        profile("coffee", ["coffee", "tea"]),
        profile("", ["coffee"]),
        profile("coffee", [*REVIEWS, "coffee coffee"]),
    ]
    alone = [retriever.rank([query])[0] for query in queries]
    assert retriever.rank(queries) == alone
    assert retriever.rank(queries[::-1]) == alone[::-1]


_TEXT = st.text(st.characters(blacklist_categories=()), max_size=40)


@settings(max_examples=60, deadline=None)
@given(_TEXT, st.lists(_TEXT, max_size=6))
def test_any_text_gives_a_ranking_of_all_documents(query: str, texts: list[str]) -> None:
    [ranking] = PyseriniBM25(language="en").rank([profile(query, texts)])
    assert sorted(ranking.ids) == [f"d{i:04}" for i in range(len(texts))]
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    assert all(0 <= score < math.inf for score in ranking.scores)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        # "organized" and "organization" have one stem for Porter only, "runners" for none
        ({}, {"d0005", "d0007", "d0008"}),
        ({"stemmer": "krovetz"}, {"d0005", "d0008"}),
        ({"stemmer": "none"}, {"d0005", "d0008"}),
    ],
)
def test_the_stemmer_decides_which_words_are_the_same(
    options: dict[str, str], first: set[str]
) -> None:
    [ranking] = PyseriniBM25(**options).rank([profile("organization")])
    matching = {i for i, score in zip(ranking.ids, ranking.scores, strict=True) if score}
    assert matching == first


def test_the_options_change_the_ranking() -> None:
    query = profile("the tea of it", ["tea " + "milk " * 9, "tea tea " + "milk " * 30, "the of it"])
    rankings = [
        PyseriniBM25(**options).rank([query])[0]
        for options in ({}, {"k1": 3.0}, {"b": 1.0}, {"stopwords": False})
    ]
    assert len({ranking.scores for ranking in rankings}) == 4
    assert rankings[1].ids[0] == "d0001"
    assert rankings[2].ids[0] == "d0000"
    assert rankings[3].ids[0] == "d0002"


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "th"])
def test_every_language_has_an_analyser(language: str) -> None:
    [ranking] = PyseriniBM25(language=language).rank([profile("mango 2020", ["x", "mango 2020"])])
    assert ranking.ids == ("d0001", "d0000")
    assert ranking.scores[0] > 0
