"""``oracle``: the documents whose answer is closest to the right one. An upper bound."""

from __future__ import annotations

import math
from typing import ClassVar

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Need, Query, ScoringRetriever
from qrag_tasks.tasks.scoring.rouge import rouge


class Oracle(ScoringRetriever):
    """Ranks by the gold, which no retriever may know: what a perfect one could at best bring.

    Ratings: 1 / (1 + difference to the gold). Texts: ROUGE-L F1 against the
    gold (rouge-score, no stemmer), the score of LaMP's text tasks. The text of the documents is
    not looked at.
    """

    needs: ClassVar[tuple[Need, ...]] = ("target", "gold")

    def score(self, query: Query) -> list[float]:
        """Return the closeness of each document's target to the gold."""
        gold = query.gold or ""
        return [self._closeness(document.target or "", gold) for document in query.documents]

    def _closeness(self, target: str, gold: str) -> float:
        number, right = _number(target), _number(gold)
        if number is not None and right is not None:
            return 1 / (1 + abs(number - right))
        return rouge(target, gold)[1]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``oracle``."""
    register("oracle", Oracle)
