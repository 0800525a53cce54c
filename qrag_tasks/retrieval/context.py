"""How many whole documents fit into a token budget."""

from __future__ import annotations

from collections.abc import Callable

from qrag_tasks.errors import BudgetError


def fit_documents(available: int, tokens_with: Callable[[int], int], budget: int) -> int:
    """Return how many of the best documents fit, whole, into ``budget`` tokens.

    Measures finished prompts rather than adding up parts, because the tokens of a text are not
    the sum of its parts' tokens: the prompt of the number returned was itself measured to fit.
    Prompts are taken to grow with every document.

    :param available: how many documents there are, best first.
    :param tokens_with: number of documents -> tokens of the finished prompt with that many.
    :param budget: the most tokens the finished prompt may have.
    :raises BudgetError: when the prompt does not fit even without documents.
    """
    if tokens_with(available) <= budget:
        return available
    if tokens_with(0) > budget:
        raise BudgetError(f"{tokens_with(0)} tokens without any document, {budget} allowed")
    fits, too_many = 0, available
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if tokens_with(middle) <= budget:
            fits = middle
        else:
            too_many = middle
    return fits
