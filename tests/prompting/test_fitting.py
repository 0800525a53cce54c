"""How many whole documents fit, and how little is measured to know it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qrag_tasks.errors import BudgetError
from qrag_tasks.prompting.fitting import fit_documents


def fit(lengths: Sequence[int], prompts: Sequence[int], budget: int) -> tuple[int, list[int]]:
    """Return how many fit, and what was measured: ``prompts[n]`` tokens with n documents."""
    measured: list[int] = []

    def tokens_with(n: int) -> int:
        measured.append(prompts[n])
        return prompts[n]

    return fit_documents(lengths, tokens_with, budget), measured


odd_lengths = st.one_of(st.integers(0, 300), st.just(0), st.just(10**12))
documents = st.lists(st.tuples(odd_lengths, st.integers(0, 50)), max_size=60)


@given(documents, st.integers(0, 40), st.integers(0, 900))
@example([(0, 10)] * 60, 5, 300)
@example([(10**12, 1)] * 60, 5, 30)
def test_the_most_that_fit(documents: list[tuple[int, int]], question: int, budget: int) -> None:
    prompts = list(accumulate((tokens for _, tokens in documents), initial=question))
    lengths = [length for length, _ in documents]
    if question > budget:
        with pytest.raises(BudgetError, match=f"{question} tokens .* {budget} allowed"):
            fit(lengths, prompts, budget)
        return
    fits, measured = fit(lengths, prompts, budget)
    assert fits == bisect_right(prompts, budget) - 1
    # Nothing is taken on trust, and nothing is measured twice but what is equally long.
    assert prompts[fits] in measured
    assert fits == len(documents) or prompts[fits + 1] in measured
    assert len(measured) <= len(documents) + 1


seeds = st.integers(0, 2**32)


def thousand(seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(1, 2000, 1000).tolist()


@given(seeds, st.integers(0, 20_000))
def test_few_prompts_are_measured_whatever_the_lengths_say(seed: int, budget: int) -> None:
    tokens = thousand(seed)
    prompts = list(accumulate(tokens, initial=0))
    for lengths in ([0] * 1000, [10**9] * 1000, tokens[::-1]):
        _, measured = fit(lengths, prompts, budget)
        assert len(measured) <= 15


@given(seeds, st.sampled_from([0.05, 0.2, 0.25, 0.3, 0.5, 1]), st.integers(500, 20_000))
def test_proportional_lengths_say_where_to_look(
    seed: int, tokens_per_character: float, budget: int
) -> None:
    lengths = thousand(seed)
    ends = accumulate(lengths, initial=0)
    prompts = [100 + round(tokens_per_character * end) for end in ends]
    _, measured = fit(lengths, prompts, budget)
    assert len(measured) <= 12
    longest_document = tokens_per_character * max(lengths)
    assert max(measured) <= 4 * budget + longest_document + 1


def test_ten_thousand_equal_documents_take_four_looks() -> None:
    fits, measured = fit([40] * 10_000, range(10, 100_020, 10), 5_015)
    assert fits == 500
    assert len(measured) <= 4
    assert max(measured) <= 5_030


def test_one_document_is_looked_at_once() -> None:
    assert fit([9], [3, 12], 12) == (1, [3, 12])
    assert fit([9], [3, 12], 11) == (0, [3, 12])
    assert fit([], [3], 3) == (0, [3])
