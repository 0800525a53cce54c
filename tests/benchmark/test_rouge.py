"""ROUGE, against the package rouge-score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from qrag_tasks.benchmark.rouge import rouge, rouge_l

SCORER = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
WORDS = ("a", "b", "c1", "Ab", "the", "2", "é", "don't", "x-y")

few_words = st.lists(st.sampled_from(WORDS), max_size=90).map(" ".join)


def expected(answer: str, target: str) -> tuple[float, float]:
    found = SCORER.score(target, answer)
    return found["rouge1"].fmeasure, found["rougeL"].fmeasure


@given(few_words | st.text(), few_words | st.text())
# Letters of which the small ones are others, or more.
@example("K İstanbul ﬁ", "k istanbul fi")
@example("", "")
def test_as_rouge_score_to_the_bit(answer: str, target: str) -> None:
    assert rouge(answer, target) == expected(answer, target)
    assert rouge_l(answer, target) == expected(answer, target)[1]


@pytest.mark.parametrize("length", [63, 64, 65, 400])
def test_long_texts(length: int) -> None:
    rng = np.random.default_rng(length)
    one, two = (" ".join(rng.choice(WORDS, length)) for _ in range(2))
    assert rouge(one, two) == expected(one, two)
