"""Scores: the official LaMP evaluator's (names ending in ``_lamp``) and the cleaned ones.

The official evaluator reads the raw answer; the cleaned scores first take the rating or the
title out of it (:mod:`qrag_tasks.benchmark.answers`). Every function here scores one sample and
returns plain floats; what is not averaged is aggregated by a function of this module.

Source of the official scores: LaMP (arXiv 2304.11406), its public evaluation code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qrag_tasks.benchmark.answers import clean_title, first_rating

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0


def penalty_rating(target: float) -> float:
    """Return the rating that the official evaluator puts where an answer holds none.

    It is the end of the scale that is farther from ``target``: 1 if ``|1-y| > |5-y|``, else 5.
    """
    farther_from_five = abs(LOWEST_RATING - target) > abs(HIGHEST_RATING - target)
    return LOWEST_RATING if farther_from_five else HIGHEST_RATING


def official_rating(answer: str, target: float) -> float:
    """Return the number that the official evaluator reads in ``answer``.

    ``float(answer.strip())``, not clipped to the scale (an answer ``47`` counts as 47), or
    :func:`penalty_rating`. Unlike the official code, ``nan`` and ``inf`` count as no number:
    there they turn the score of the whole file into ``nan`` or ``inf``.
    """
    try:
        value = float(answer.strip())
    except ValueError:
        return penalty_rating(target)
    return value if math.isfinite(value) else penalty_rating(target)


def rating_scores(answer: str, target: str) -> dict[str, float]:
    """Score one answer of a rating task (LaMP-3); ``target`` is the gold rating, "1" to "5".

    ``rmse`` and ``rmse_lamp`` hold the squared error, for :func:`root_mean`.
    """
    gold = float(target)
    rating = first_rating(answer)
    cleaned = penalty_rating(gold) if rating is None else float(rating)
    official = official_rating(answer, gold)
    return {
        "mae": abs(cleaned - gold),
        "rmse": (cleaned - gold) ** 2,
        "accuracy": float(rating is not None and cleaned == gold),
        "mae_lamp": abs(official - gold),
        "rmse_lamp": (official - gold) ** 2,
        "valid_rate": float(rating is not None),
    }


def title_scores(answer: str, target: str) -> dict[str, float]:
    """Score one answer of a title task (LaMP-5) by ROUGE-1 and ROUGE-L F1, without stemming."""
    title = clean_title(answer)
    cleaned = _rouge().score(target.strip(), title)
    official = _rouge().score(target.strip(), answer.strip())
    return {
        "rouge1": float(cleaned["rouge1"].fmeasure),
        "rougeL": float(cleaned["rougeL"].fmeasure),
        "rouge1_lamp": float(official["rouge1"].fmeasure),
        "rougeL_lamp": float(official["rougeL"].fmeasure),
        "valid_rate": float(bool(title)),
    }


@lru_cache(maxsize=1)
def _rouge() -> RougeScorer:
    # Imported late: it brings nltk with it, a second that listing tasks need not pay.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)


def root_mean(squares: Sequence[float]) -> float:
    """Return the root of the mean: the RMSE of squared errors."""
    return float(np.sqrt(np.mean(squares)))


def root_mean_stderr(squares: Sequence[float]) -> float | str:
    """Return the standard error of :func:`root_mean` by the delta method.

    ``se(rmse) = se(mse) / (2 rmse)``, with ``se(mse)`` the sample standard deviation of the
    squared errors over ``sqrt(n)``. ``"N/A"``, lm_eval's own mark, for fewer than two samples.
    """
    if len(squares) < 2:
        return "N/A"
    rmse = root_mean(squares)
    if rmse == 0.0:
        return 0.0
    return float(np.std(squares, ddof=1) / math.sqrt(len(squares)) / (2.0 * rmse))
