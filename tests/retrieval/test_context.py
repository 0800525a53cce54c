"""How many whole documents fit."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.errors import BudgetError
from qrag_tasks.retrieval.context import fit_documents


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(0, 40), st.integers(0, 900))
def test_the_most_that_fit(sizes: list[int], question: int, budget: int) -> None:
    tokens = list(accumulate(sizes, initial=question))
    if question > budget:
        with pytest.raises(BudgetError):
            fit_documents(len(sizes), tokens.__getitem__, budget)
        return
    fits = fit_documents(len(sizes), tokens.__getitem__, budget)
    assert tokens[fits] <= budget
    assert fits == len(sizes) or tokens[fits + 1] > budget


def test_few_prompts_are_measured() -> None:
    measured: list[int] = []

    def tokens_with(n: int) -> int:
        measured.append(n)
        return 10 * n

    assert fit_documents(10_000, tokens_with, 5_005) == 500
    assert len(measured) < 20
