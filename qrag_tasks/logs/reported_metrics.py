"""The scores that lm_eval reports of a task, and how they come of the samples' values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.tasks.scoring.kinds import ROOT_MEANS
from qrag_tasks.tasks.scoring.metrics import macro_f1


@dataclass(frozen=True)
class Metric:
    """One score of a task, as lm_eval reports it.

    :ivar aggregations: those of ``"mean"``, ``"root_mean"`` and ``"macro_f1"`` that make the
        reported score of the logged values, the likeliest first: of values that are all 0, or all
        1, more than one does.
    """

    name: str
    filter: str
    higher_is_better: bool | None
    aggregations: Sequence[str]
    reported: float

    @property
    def aggregation(self) -> str | None:
        """The likeliest of them; ``None`` where there is none."""
        return next(iter(self.aggregations), None)


def aggregations(name: str, values: Sequence[Any], reported: float) -> list[str]:
    """Return by which functions of the logged values of a metric the reported score comes."""
    if values and _label_pairs(values):
        scores = {"macro_f1": macro_f1([(*value,) for value in values])}
    elif values and set(map(type, values)) <= {bool, int, float}:
        scores = {"mean": _mean(values)}
        if min(values) >= 0:
            scores["root_mean"] = math.sqrt(scores["mean"])
    else:
        return []
    known = [each for each, score in scores.items() if _near(score, reported)]
    # Where all values are 0, or 1, both fit, and the name tells.
    return known[::-1] if name in ROOT_MEANS else known


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return math.nan


def _label_pairs(values: Sequence[Any]) -> bool:
    """Whether these are of type ``LabelPair`` (tasks/metric.py), of one set of labels."""
    labels = values[0][2] if isinstance(values[0], list) and len(values[0]) == 3 else None
    return isinstance(labels, int) and all(
        isinstance(value, list)
        and len(value) == 3
        and set(map(type, value)) == {int}
        and -1 <= value[0] < labels
        and 0 <= value[1] < labels == value[2]
        for value in values
    )


def _near(one: float, two: float) -> bool:
    return math.isfinite(one) and math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-9)
