"""The samples of a cell as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qrag_tasks.experiment.comparison.agreement import Pair
from qrag_tasks.experiment.comparison.matching import Side
from qrag_tasks.experiment.statistics import encode
from qrag_tasks.experiment.statistics.scores import Floats
from qrag_tasks.logs.reported_metrics import Metric

RATES = ("valid_rate", "runaway_rate", "unfinished_thought_rate")
"""Metrics that say how the answers are, not how good."""

_SHARES = ("accuracy", "accuracy_lamp", "acc", "acc_norm", "exact_match")
_ROUGE = ("rouge1", "rougeL", "rouge1_lamp", "rougeL_lamp")
SPANS: Mapping[str, float] = dict.fromkeys((*_SHARES, *_ROUGE), 1.0)
"""Metric -> how far apart two samples' values can be, in any task."""


class Values:
    """The samples of a cell as arrays.

    :ivar users: a number for the user of each sample, from 0; ``None`` where one is not known.
    """

    def __init__(self, base: Side, other: Side, name: str, pairs: Sequence[Pair]) -> None:
        self.base, self.other, self.filter, self.pairs = base, other, name, pairs
        self.keys = [one.key for one, _ in pairs]
        users = [one.user for one, _ in pairs if one.user is not None]
        numbers = np.unique(users, return_inverse=True)[1]
        self.users = numbers if len(users) == len(pairs) else None
        self._arrays: dict[str, tuple[Floats, Floats]] = {}

    @property
    def family(self) -> str:
        """What has the same questions under the same keys: LaMP's task, or lm_eval's."""
        return self.other.task.lamp_task or self.other.task.task

    @property
    def wholes(self) -> list[tuple[str, str]]:
        """What each sample belongs to, equal over cells: its user, else its question."""
        if self.users is not None:
            return [("user", str(one.user)) for one, _ in self.pairs]
        return [(self.family, key) for key in self.keys]

    def right_or_wrong(self, metric: str) -> bool:
        """Whether a metric says of each sample that it is right, 1, or wrong, 0."""
        values = np.concatenate(self.of(metric))
        return metric not in _ROUGE and bool(np.isin(values, (0.0, 1.0)).all())

    @cached_property
    def metrics(self) -> list[Metric]:
        """The metrics that both arms have, for every sample.

        With the aggregations that make the score of the values in both.
        """
        return [
            replace(one, aggregations=[a for a in one.aggregations if a in two.aggregations])
            for one, two in self._reported
            if one.name not in (*self.undefined, *self.incomplete)
        ]

    @cached_property
    def undefined(self) -> list[str]:
        """Metrics of which a score is not a number, or infinite."""
        return [
            one.name
            for one, two in self._reported
            if not (math.isfinite(one.reported) and math.isfinite(two.reported))
        ]

    @cached_property
    def incomplete(self) -> list[str]:
        """Metrics that both arms report, and do not have for every sample."""
        names = [one.name for one, _ in self._reported]
        every = set(names)
        for one, two in self.pairs:
            every &= one.scores.keys() & two.scores.keys()
        return [name for name in names if name not in every]

    @cached_property
    def _reported(self) -> list[tuple[Metric, Metric]]:
        theirs = self.other.task.metrics
        return [
            (metric, theirs[key])
            for key, metric in self.base.task.metrics.items()
            if metric.filter == self.filter and key in theirs
        ]

    def span(self, metric: str) -> float | None:
        """Return how far apart two samples' values of a metric can be, where that is known."""
        kind = self.base.task.answer
        ours = kind.spans if kind else {}
        return SPANS.get(metric, ours.get(metric))

    def of(self, metric: str) -> tuple[Floats, Floats]:
        """Return a metric's value for every sample: of the base arm, and of the other."""
        if metric not in self._arrays:
            self._arrays[metric] = (
                numbers_of([one.scores[metric] for one, _ in self.pairs]),
                numbers_of([two.scores[metric] for _, two in self.pairs]),
            )
        return self._arrays[metric]


def numbers_of(values: Sequence[Any]) -> Floats:
    """Return the logged values of one metric as numbers."""
    if isinstance(values[0], list):
        return encode([(*value,) for value in values])
    return np.asarray(values, dtype=np.float64)


def one_by_one(metric: Metric) -> bool:
    """Whether a sample's value says how good its answer is."""
    return metric.aggregation in ("mean", "root_mean")
