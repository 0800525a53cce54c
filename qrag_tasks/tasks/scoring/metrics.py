"""How the values of all samples become one score, where they are not averaged.

numpy is imported late: whoever lists tasks needs their metrics' names alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qrag_tasks.tasks.metric import Aggregation, LabelPair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RESAMPLES = 1000


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
