"""ROUGE-1 and ROUGE-L of an answer, by the package rouge-score."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer


def rouge(answer: str, target: str) -> tuple[float, float]:
    """Return ROUGE-1 and ROUGE-L F1 of two texts, 0 to 1, as rouge-score counts without stemming.

    Its words are runs of a-z and 0-9: a text without any scores 0, even against itself.
    """
    scores = _scorer().score(target.strip(), answer.strip())
    return float(scores["rouge1"].fmeasure), float(scores["rougeL"].fmeasure)


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    # Imported late: it brings nltk with it, a second that listing tasks need not pay.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
