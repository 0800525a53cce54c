"""How many whole documents fit into a token budget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from qrag_tasks.errors import BudgetError

_GUESSES = 4


def fit_documents(lengths: Sequence[int], tokens_with: Callable[[int], int], budget: int) -> int:
    """Return how many of the best documents fit, whole, into ``budget`` tokens.

    Measures finished prompts rather than adding up parts, because the tokens of a text are not
    the sum of its parts' tokens: the prompt of the number returned was itself measured to fit,
    and that of one more measured not to. Prompts are taken to grow with every document. Long
    prompts take long to measure: the lengths in characters say where to look first, so that
    nothing much longer than the budget is measured.

    :param lengths: characters of every document, best first.
    :param tokens_with: number of documents -> tokens of the finished prompt with that many.
    :param budget: the most tokens the finished prompt may have.
    :raises BudgetError: when the prompt does not fit even without documents.
    """
    ends = [0, *accumulate(lengths)]
    fits, too_many = 0, len(lengths) + 1
    tokens = tokens_with(0)
    if tokens > budget:
        raise BudgetError(f"{tokens} tokens without any document, {budget} allowed")
    per_character, guesses = 0.25, 0
    while too_many - fits > 1:
        probe = (fits + too_many) // 2
        if guesses < _GUESSES:
            room = (budget - tokens) / per_character
            probe = bisect_right(ends, ends[fits] + room) - 1
            probe = min(max(probe, fits + 1), too_many - 1)
        measured = tokens_with(probe)
        if ends[probe] > ends[fits] and measured > tokens:
            per_character = (measured - tokens) / (ends[probe] - ends[fits])
        if measured <= budget:
            fits, tokens = probe, measured
        else:
            too_many = probe
        guesses += 1
    return fits
