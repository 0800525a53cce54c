"""A real sentence encoder, all-MiniLM-L6-v2, against sentence-transformers itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qrag_tasks.plugins import build_retriever
from queries import query
from sentence_transformers import SentenceTransformer

DOCUMENTS = [
    "A recipe for tomato sauce with basil.",
    "Quantization of neural networks to four bits.",
    "The kitten slept on the rug all afternoon.",
    "Stock prices fell sharply on Monday.",
    "",
    "Tea " * 1000,
]


def test_the_related_document_comes_first(minilm: Path) -> None:
    named = build_retriever(f"dense:model={minilm}")
    rankings = named.rank(
        [
            query("A cat is lying on a carpet.", DOCUMENTS),
            query("How are the weights of a language model compressed?", DOCUMENTS),
            query("pasta", DOCUMENTS),
        ],
        k=1,
    )
    assert [ranking.ids for ranking in rankings] == [("d2",), ("d1",), ("d0",)]


def test_scores_are_those_of_sentence_transformers(minilm: Path) -> None:
    model = SentenceTransformer(str(minilm), device="cpu")
    vectors = model.encode(["A cat on a carpet.", *DOCUMENTS], batch_size=32)
    (ranking,) = build_retriever(f"dense:model={minilm},device=cpu").rank(
        [query("A cat on a carpet.", DOCUMENTS)]
    )
    scores = np.empty(len(DOCUMENTS))
    scores[[int(i[1:]) for i in ranking.ids]] = ranking.scores
    np.testing.assert_allclose(scores, vectors[1:] @ vectors[0], atol=1e-5)


def test_pooling_by_the_mean_is_what_its_modules_do(minilm: Path) -> None:
    asked = query("A cat on a carpet.", DOCUMENTS)
    own = build_retriever(f"dense:model={minilm}").rank([asked])[0]
    ours = build_retriever(f"dense:model={minilm},pooling=mean").rank([asked])[0]
    first = build_retriever(f"dense:model={minilm},pooling=cls").rank([asked])[0]
    assert ours.ids == own.ids
    np.testing.assert_allclose(ours.scores, own.scores, atol=1e-5)
    assert abs(np.subtract(first.scores, own.scores)).max() > 0.01


def test_max_tokens(minilm: Path) -> None:
    model = SentenceTransformer(str(minilm), device="cpu")
    model.max_seq_length = 8
    vectors = model.encode(["A cat on a carpet.", *DOCUMENTS])
    (ranking,) = build_retriever(f"dense:model={minilm},max_tokens=8").rank(
        [query("A cat on a carpet.", DOCUMENTS)]
    )
    np.testing.assert_allclose(sorted(ranking.scores), sorted(vectors[1:] @ vectors[0]), atol=1e-5)


@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_max_tokens_beyond_the_model_is_refused(minilm: Path, pooling: str) -> None:
    named = build_retriever(f"dense:model={minilm},max_tokens=600,pooling={pooling}")
    with pytest.raises(ValueError, match=r"max_tokens is 600, but the model .* at most 512"):
        named.rank([query("tea", ["tea"])])


@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_max_tokens_without_room_for_a_word_is_refused(minilm: Path, pooling: str) -> None:
    named = build_retriever(f"dense:model={minilm},max_tokens=2,pooling={pooling}")
    with pytest.raises(ValueError, match=r"adds 2 special tokens .* write at least 3"):
        named.rank([query("tea", ["tea"])])


def test_texts_that_the_model_sees_alike_tie(minilm: Path) -> None:
    texts = ["Tea", "coffee", "tea", "TEA", "tea ", "coffee"] * 7
    (ranking,) = build_retriever(f"dense:model={minilm}").rank([query("tea", texts)])
    assert len(set(ranking.scores)) == 2
    assert [texts[int(i[1:])] for i in ranking.ids[28:]] == ["coffee"] * 14
    assert list(ranking.ids[:28]) == sorted(ranking.ids[:28], key=lambda i: int(i[1:]))
