"""Pooling, scores and order, against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qrag_tasks.plugins import build_retriever
from queries import query, random_texts
from tiny_models import reference, save_bert, save_sentence_config

from qrag_dense.retrievers import DPR, Contriever, Dense, similarities

TEXTS = [
    "the cat is on the mat",
    "tomato sauce",
    "",
    "neural machine translation of a paper. good!",
]
QUERY = "a dog on a rug"


def expected(query_vector: np.ndarray, documents: np.ndarray, similarity: str) -> np.ndarray:
    if similarity == "cosine":
        query_vector = query_vector / np.linalg.norm(query_vector)
        documents = documents / np.linalg.norm(documents, axis=1, keepdims=True)
    return documents @ query_vector


def assert_ranks(retriever: object, scores: np.ndarray) -> None:
    (ranking,) = retriever.rank([query(QUERY, TEXTS)])
    order = np.argsort(-scores, kind="stable")
    assert ranking.ids == tuple(f"d{i}" for i in order)
    np.testing.assert_allclose(ranking.scores, scores[order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_pooling_and_scores_are_those_of_plain_numpy(
    bert: Path, pooling: str, similarity: str
) -> None:
    vectors = reference(bert, [QUERY, *TEXTS], pooling)
    retriever = Dense(model=str(bert), pooling=pooling, similarity=similarity)
    assert_ranks(retriever, expected(vectors[0], vectors[1:], similarity))


def test_a_plain_encoder_is_pooled_by_the_mean_and_compared_by_cosine(bert: Path) -> None:
    vectors = reference(bert, [QUERY, *TEXTS], "mean")
    assert_ranks(Dense(model=str(bert)), expected(vectors[0], vectors[1:], "cosine"))


def test_contriever_is_the_dot_product_of_means(bert: Path) -> None:
    vectors = reference(bert, [QUERY, *TEXTS], "mean")
    assert_ranks(Contriever(model=str(bert)), expected(vectors[0], vectors[1:], "dot"))


def test_dpr_has_an_encoder_for_each_side(dpr_question: Path, dpr_context: Path) -> None:
    question = reference(dpr_question, [QUERY], "pooler", "DPRQuestionEncoder")[0]
    contexts = reference(dpr_context, TEXTS, "pooler", "DPRContextEncoder")
    retriever = DPR(question_model=str(dpr_question), context_model=str(dpr_context))
    assert_ranks(retriever, expected(question, contexts, "dot"))


def test_dpr_with_the_question_encoder_for_documents(dpr_question: Path) -> None:
    # The context encoder is not there, and need not be.
    vectors = reference(dpr_question, [QUERY, *TEXTS], "pooler", "DPRQuestionEncoder")
    retriever = DPR(question_encoder_for_documents=True, question_model=str(dpr_question))
    assert_ranks(retriever, expected(vectors[0], vectors[1:], "dot"))


def test_long_texts_are_cut_at_the_models_positions(bert: Path) -> None:
    long = "cat " * 5000
    retriever = Dense(model=str(bert))
    (ranking,) = retriever.rank([query("dog", [long, long + "dog", "cat " * 94, "cat " * 30])])
    by_id = dict(zip(ranking.ids, ranking.scores, strict=True))
    assert by_id["d0"] == by_id["d1"] == by_id["d2"] != by_id["d3"]


def test_max_tokens_cuts_texts(bert: Path) -> None:
    vectors = reference(bert, [QUERY, *TEXTS], "mean", max_tokens=5)
    assert_ranks(Dense(model=str(bert), max_tokens=5), expected(vectors[0], vectors[1:], "cosine"))


def test_equal_scores_keep_the_order_of_the_documents(bert: Path) -> None:
    # The tokenizer lower-cases: the texts differ, their tokens do not.
    texts = ["Tea", "coffee", "tea", "TEA", "tea ", "coffee"] * 7
    (ranking,) = Dense(model=str(bert)).rank([query("tea", texts)])
    teas = [f"d{i}" for i, text in enumerate(texts) if text.strip().lower() == "tea"]
    coffees = [f"d{i}" for i, text in enumerate(texts) if text == "coffee"]
    assert ranking.ids == (*teas, *coffees)
    assert len(set(ranking.scores)) == 2


def test_a_ranking_does_not_depend_on_its_company(
    bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random_texts(60, seed=1)
    queries = [query(texts[i], texts[i + 1 : i + 20], id=str(i)) for i in range(40)]
    together = Contriever(model=str(bert)).rank(queries)
    monkeypatch.setenv("QRAG_CACHE", f"{cache}-alone")
    for i in (0, 17, 39):
        monkeypatch.setenv("QRAG_CACHE", f"{cache}-{i}")
        (alone,) = Contriever(model=str(bert)).rank([queries[i]])
        assert alone.ids == together[i].ids
        np.testing.assert_allclose(alone.scores, together[i].scores, rtol=1e-6)


@pytest.mark.parametrize("batch_tokens", [1, 50, 8192])
def test_the_size_of_batches_does_not_matter(bert: Path, batch_tokens: int) -> None:
    texts = random_texts(1000, seed=2)
    vectors = reference(bert, ["tea", *texts], "mean")
    (ranking,) = Contriever(model=str(bert), batch_tokens=batch_tokens).rank([query("tea", texts)])
    scores = np.empty(1000)
    scores[[int(i[1:]) for i in ranking.ids]] = ranking.scores
    np.testing.assert_allclose(scores, expected(vectors[0], vectors[1:], "dot"), rtol=1e-4)


def test_k_is_the_start_of_everything(bert: Path) -> None:
    retriever = Contriever(model=str(bert))
    asked = query(QUERY, random_texts(20))
    (everything,) = retriever.rank([asked])
    assert len(everything.ids) == 20
    for k in (0, 1, 5, 20, 50):
        assert retriever.rank([asked], k) == [everything.best(k)]


def test_empty_profiles_queries_and_calls(bert: Path) -> None:
    retriever = Contriever(model=str(bert))
    assert retriever.rank([]) == []
    none, some = retriever.rank([query("tea", []), query("", ["", "tea"])])
    assert none.ids == ()
    assert sorted(some.ids) == ["d0", "d1"]


def test_nothing_to_rank_loads_nothing(bert: Path, tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"no weights")
    retriever = Contriever(model=str(folder))
    assert retriever.rank([query("tea", [])])[0].ids == ()
    assert retriever.rank([query("tea", ["tea"])], 0)[0].ids == ()


def test_lone_surrogates_and_odd_characters_are_encoded(bert: Path) -> None:
    (ranking,) = Contriever(model=str(bert)).rank([query("\ud83d", ["\udc00 tea", "\0", "🫖"])])
    assert sorted(ranking.ids) == ["d0", "d1", "d2"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_near(bert: Path, dtype: str) -> None:
    texts = random_texts(30)
    full = Dense(model=str(bert), dtype="float32").rank([query("tea", texts)])[0]
    half = Dense(model=str(bert), dtype=dtype).rank([query("tea", texts)])[0]
    score = dict(zip(half.ids, half.scores, strict=True))
    near = [score[i] for i in full.ids]
    np.testing.assert_allclose(near, full.scores, atol=0.05)
    assert tuple(near) != full.scores


def test_prompts_stand_before_the_texts(bert: Path) -> None:
    prompted = reference(bert, [f"review: {QUERY}", *(f"paper: {text}" for text in TEXTS)], "mean")
    named = build_retriever(f"dense:model={bert},query_prompt=review:,document_prompt=paper:")
    assert_ranks(named.retriever, expected(prompted[0], prompted[1:], "cosine"))


def test_the_models_config_tells_prompts_and_similarity(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    prompts = {"query": "review: ", "passage": "paper: ", "other": "good, bad: "}
    save_sentence_config(folder, prompts=prompts, similarity_fn_name="dot")
    prompted = reference(
        folder, [f"review: {QUERY}", *(f"paper: {text}" for text in TEXTS)], "mean"
    )
    assert_ranks(Dense(model=str(folder)), expected(prompted[0], prompted[1:], "dot"))
    other = reference(folder, [f"good, bad: {QUERY}", *TEXTS], "mean")
    assert_ranks(
        Dense(model=str(folder), query_prompt="other", document_prompt="none"),
        expected(other[0], other[1:], "dot"),
    )


VALUES = st.floats(-8, 8, width=32)


@given(arrays(np.float32, 48, elements=VALUES), arrays(np.float32, (3, 48), elements=VALUES))
def test_equal_vectors_get_equal_scores_wherever_they_stand(
    asked: np.ndarray, some: np.ndarray
) -> None:
    rows = np.concatenate([some, some, some[::-1]])
    for similarity in ("dot", "cosine"):
        scores = similarities(asked, rows, similarity)
        assert np.isfinite(scores).all()
        assert scores[:3].tolist() == scores[3:6].tolist() == scores[6:][::-1].tolist()
