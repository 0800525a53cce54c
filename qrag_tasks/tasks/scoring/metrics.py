"""Scores: the official LaMP evaluator's (names ending in ``_lamp``) and the cleaned ones.

The official evaluator reads the raw answer; the cleaned scores first take the rating, tag or
title out of it (:mod:`~qrag_tasks.tasks.scoring.answers`). A thought without an end
(``unfinished``) is an answer without one, whatever it says. Every function here scores one sample;
what is not averaged is aggregated by a function of this module. These import numpy late: whoever
lists tasks needs their metrics' names alone.

Source of the official scores: LaMP (arXiv 2304.11406), its public evaluation code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qrag_tasks.tasks.scoring.answers import title
from qrag_tasks.tasks.scoring.ratings import rating_value
from qrag_tasks.tasks.scoring.rouge import rouge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Aggregation = Literal["mean", "root_mean", "macro_f1"]
LabelPair = tuple[int, int, int]
"""Which label was answered (-1 for none) and which is right, of how many: for ``macro_f1``."""
Value: TypeAlias = "float | LabelPair"

LOWEST_RATING, HIGHEST_RATING = 1.0, 5.0
_RESAMPLES = 1000


@dataclass(frozen=True)
class Metric:
    """One score of a task.

    ``aggregation`` is ``"mean"``, ``"root_mean"`` for per-sample values that are squares, or
    ``"macro_f1"`` for :data:`LabelPair`.
    """

    name: str
    higher_is_better: bool
    summary: str
    aggregation: Aggregation = "mean"


VALID_RATE = Metric("valid_rate", True, "share of answers that hold what was asked for")
RUNAWAY_RATE = Metric("runaway_rate", False, "share of answers that hit their length limit")
UNFINISHED_THOUGHT_RATE = Metric(
    "unfinished_thought_rate", False, "share of answers that are a thought without an end"
)

LABEL_METRICS = (
    Metric("accuracy", True, "share of answers whose first label is the gold"),
    Metric("f1", True, "macro F1 of the same, over all labels", "macro_f1"),
    Metric("accuracy_lamp", True, "the official evaluator's accuracy, on the raw answer"),
    Metric("f1_lamp", True, "the official evaluator's macro F1, on the raw answer", "macro_f1"),
    VALID_RATE,
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
)
RATING_METRICS = (
    Metric("mae", False, "mean absolute error of the first standalone rating"),
    Metric("rmse", False, "root mean squared error of the same", "root_mean"),
    Metric("accuracy", True, "share of ratings that equal the gold"),
    Metric("mae_lamp", False, "the official evaluator's MAE, on the raw answer"),
    Metric("rmse_lamp", False, "the official evaluator's RMSE, on the raw answer", "root_mean"),
    VALID_RATE,
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
)
TEXT_METRICS = (
    Metric("rouge1", True, "ROUGE-1 F1 of the cleaned answer"),
    Metric("rougeL", True, "ROUGE-L F1 of the cleaned answer"),
    Metric("rouge1_lamp", True, "the official evaluator's ROUGE-1, on the raw answer"),
    Metric("rougeL_lamp", True, "the official evaluator's ROUGE-L, on the raw answer"),
    VALID_RATE,
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
)
ROOT_MEANS = frozenset(m.name for m in RATING_METRICS if m.aggregation == "root_mean")
"""Metrics of which samples hold squares."""


def label_scores(
    read: Callable[[str], str],
    labels: Sequence[str],
    answer: str,
    target: str,
    unfinished: bool = False,
) -> dict[str, Value]:
    """Score one answer of a task with labels (LaMP-1, LaMP-2).

    The official evaluator takes the stripped answer for the label, to the letter.

    :param read: answer -> the label in it, or an empty text.
    """
    cleaned, official = "" if unfinished else read(answer), answer.strip()
    gold = labels.index(target)
    return {
        "accuracy": float(cleaned == target),
        "f1": _label_pair(cleaned, gold, labels),
        "accuracy_lamp": float(official == target),
        "f1_lamp": _label_pair(official, gold, labels),
        "valid_rate": float(bool(cleaned)),
    }


def _label_pair(answer: str, gold: int, labels: Sequence[str]) -> LabelPair:
    return (labels.index(answer) if answer in labels else -1, gold, len(labels))


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


def rating_scores(answer: str, target: str, unfinished: bool = False) -> dict[str, Value]:
    """Score one answer of a rating task (LaMP-3); ``target`` is the gold rating, "1" to "5".

        ``rmse`` and ``rmse_lamp`` hold the squared error, for :func:`root_mean`. A decimal such as
    XX"""
    gold = float(target)
    said = "" if unfinished else answer
    value = rating_value(said)
    cleaned = penalty_rating(gold) if value is None else value
    official = official_rating(answer, gold)
    return {
        "mae": abs(cleaned - gold),
        "rmse": (cleaned - gold) ** 2,
        "accuracy": float(value is not None and cleaned == gold),
        "mae_lamp": abs(official - gold),
        "rmse_lamp": (official - gold) ** 2,
        "valid_rate": float(value is not None and value.is_integer()),
    }


def text_scores(answer: str, target: str, unfinished: bool = False) -> dict[str, Value]:
    """Score one answer of a text task (LaMP-4 to 7) by ROUGE-1 and ROUGE-L F1, not stemmed."""
    cleaned = "" if unfinished else title(answer)
    rouge1, rouge_l = rouge(cleaned, target)
    rouge1_lamp, rouge_l_lamp = rouge(answer, target)
    return {
        "rouge1": rouge1,
        "rougeL": rouge_l,
        "rouge1_lamp": rouge1_lamp,
        "rougeL_lamp": rouge_l_lamp,
        "valid_rate": float(bool(cleaned)),
    }


def root_mean(squares: Sequence[float]) -> float:
    """Return the root of the mean: the RMSE of squared errors."""
    import numpy as np

    return float(np.sqrt(np.mean(squares)))


def root_mean_stderr(squares: Sequence[float]) -> float:
    """Return the standard error of :func:`root_mean` by the delta method.

    ``se(rmse) = se(mse) / (2 rmse)``, with ``se(mse)`` the sample standard deviation of the
    squared errors over ``sqrt(n)``.

    :param squares: at least two.
    """
    import numpy as np

    rmse = root_mean(squares)
    if rmse == 0.0:
        return 0.0
    return float(np.std(squares, ddof=1) / math.sqrt(len(squares)) / (2.0 * rmse))


def macro_f1(pairs: Sequence[LabelPair]) -> float:
    """Return the mean of the F1 of every label, as the official evaluator has it.

    ``F1 = 2 tp / (2 tp + fp + fn)``; 0 for a label that is neither answered nor right anywhere,
    which still counts in the mean.
    """
    return float(_macro_f1(_confusion(pairs)))


def macro_f1_stderr(pairs: Sequence[LabelPair]) -> float:
    """Return the standard error of :func:`macro_f1` by the bootstrap: 1,000 resamples, seeded."""
    import numpy as np

    counts = _confusion(pairs)
    draws = np.random.default_rng(0).multinomial(
        len(pairs), counts.ravel() / len(pairs), size=_RESAMPLES
    )
    return float(np.std(_macro_f1(draws.reshape(-1, *counts.shape)), ddof=1))


def _confusion(pairs: Sequence[LabelPair]) -> NDArray[np.int64]:
    """Return how often each label (the last row: none) was answered for each right one."""
    import numpy as np

    labels = pairs[0][2]
    counts = np.zeros((labels + 1, labels), dtype=np.int64)
    for answered, gold, _ in pairs:
        counts[answered, gold] += 1
    return counts


def _macro_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return macro F1 of confusion counts, shape ``(..., labels + 1, labels)``."""
    import numpy as np

    right = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts[..., :-1, :].sum(axis=-1) + counts.sum(axis=-2)
    f1 = np.divide(2 * right, both, out=np.zeros(both.shape), where=both > 0)
    return np.asarray(f1.mean(axis=-1))


AGGREGATIONS: dict[Aggregation, Callable[[Sequence[Any]], float]] = {
    "root_mean": root_mean,
    "macro_f1": macro_f1,
}
"""What lm_eval does not aggregate itself: name -> function of this module."""
STANDARD_ERRORS: dict[Callable[[Sequence[Any]], float], Callable[[Sequence[Any]], float]] = {
    root_mean: root_mean_stderr,
    macro_f1: macro_f1_stderr,
}
"""Aggregation -> the standard error of it, which lm_eval does not know either."""
