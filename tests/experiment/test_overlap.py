"""How much of two answers is the same, against the package rouge-score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from qrag_tasks.experiment.comparison.overlap import overlap

SCORER = RougeScorer(["rougeL"], use_stemmer=False)
WORDS = ("a", "b", "c1", "Ab", "the", "2", "é", "don't", "x-y")

few_words = st.lists(st.sampled_from(WORDS), max_size=90).map(" ".join)


def expected(answer: str, target: str) -> float:
    return float(SCORER.score(target, answer)["rougeL"].fmeasure)


@given(few_words | st.text(), few_words | st.text())
# Letters of which the small ones are others, or more.
@example("K İstanbul ﬁ", "k istanbul fi")
@example("", "")
def test_as_rouge_score_to_the_bit(answer: str, target: str) -> None:
    assert overlap(answer, target) == expected(answer, target)


@pytest.mark.parametrize("length", [63, 64, 65, 400])
def test_long_texts(length: int) -> None:
    rng = np.random.default_rng(length)
    one, two = (" ".join(rng.choice(WORDS, length)) for _ in range(2))
    assert overlap(one, two) == expected(one, two)
