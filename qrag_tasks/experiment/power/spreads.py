"""How much the difference between two arms spreads over samples: as stated, or as measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qrag_tasks.errors import SettingsError
from qrag_tasks.experiment.comparison.grids import match_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.paired import PairedCells
from qrag_tasks.experiment.comparison.sample_arrays import RATES, Values
from qrag_tasks.experiment.statistics import SCORES, Units
from qrag_tasks.experiment.statistics.scores import Floats

CHANGES: Mapping[str, float] = {
    **dict.fromkeys(("accuracy", "acc", "exact_match"), 1.0),
    "mae": 1.5,
    "rouge1": 0.15,
    "rougeL": 0.15,
}
"""Metric -> root mean square of the change in samples whose score differs.

Of right and wrong it is 1; the others are what 8 to 3 bits of a model of 1.5 billion parameters
came to, mostly 1.2 to 1.7 stars and 0.11 to 0.20 of ROUGE.
"""
CORRELATION = 0.25
"""Between differences of the same samples in two cells: -0.2 to 0.6 in the same runs."""


@dataclass(frozen=True)
class Spread:
    """How the difference of a metric spreads in one task.

    :ivar differing: share of samples that score otherwise.
    :ivar units_differing: share of units, users or samples, that do.
    :ivar deviation: standard deviation of a unit's difference, in the metric's unit.
    :ivar units_per_sample: 1 where every sample is on its own; less where users have several.
    :ivar correlation: between the differences of two cells of the task.
    """

    differing: float
    units_differing: float
    deviation: float
    units_per_sample: float = 1.0
    correlation: float = CORRELATION


@dataclass(frozen=True)
class Stated:
    """A rate of disagreement that somebody expects.

    :ivar shares: task -> share of samples that score otherwise under another arm; the key ``""``
        for every other task.
    """

    shares: Mapping[str, float]

    def spread(self, task: str, metric: str, arm: str) -> Spread | None:
        """Return what it comes to; ``None`` where no rate, or no size of a change, is known."""
        share = self.shares.get(task, self.shares.get(""))
        change = CHANGES.get(metric.removesuffix("_lamp"))
        if share is None or change is None:
            return None
        return Spread(share, share, change * math.sqrt(share))

    def arms(self, task: str) -> Sequence[str]:
        """Return nothing: it is the same for all arms."""
        return ()


class Measured:
    """What an earlier grid came to.

    :param root: folder of ``qrag run``.
    :raises QragError: when it holds no cells that can be compared.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        cells: dict[tuple[str, str, str], list[Values]] = {}
        for values in PairedCells(match_grid(root), Options()).values:
            for metric in values.metrics:
                if metric.aggregation == "mean" and metric.name not in RATES:
                    key = (values.family, metric.name, values.other.run.arm)
                    cells.setdefault(key, []).append(values)
        self._spreads = {key: _measured(members, key[1]) for key, members in cells.items()}
        if not self._spreads:
            raise SettingsError(f"--measured {root}: it has no scores that are means of samples")

    def spread(self, task: str, metric: str, arm: str) -> Spread | None:
        """Return an arm's; of one that was not run, that of the arm that spreads most."""
        own = self._spreads.get((task, metric, arm))
        others = [s for (t, m, _), s in self._spreads.items() if (t, m) == (task, metric)]
        return own or max(others, key=lambda spread: spread.deviation, default=None)

    def arms(self, task: str) -> Sequence[str]:
        """Return the arms that were run on a task."""
        return list(dict.fromkeys(arm for name, _, arm in self._spreads if name == task))


def _measured(cells: Sequence[Values], metric: str) -> Spread:
    """Return the spread over all cells of a task: root mean squares, and mean shares."""
    deviations, shares, of_units, per_sample = [], [], [], []
    for values in cells:
        base, other = values.of(metric)
        units = Units.of(base, other, values.users, SCORES["mean"])
        if len(units) > 1:
            deviations.append(units.standard_error() * math.sqrt(len(units)))
            shares.append(float(np.mean(base != other)))
            of_units.append(float(np.mean(units.differing)))
            per_sample.append(len(units) / len(base))
    if not deviations:
        return Spread(0.0, 0.0, 0.0)
    return Spread(
        float(np.mean(shares)),
        float(np.mean(of_units)),
        float(np.sqrt(np.mean(np.square(deviations)))),
        float(np.mean(per_sample)),
        _correlation(cells, metric),
    )


def _correlation(cells: Sequence[Values], metric: str) -> float:
    """Return the mean covariance of two cells' differences over their mean variance."""
    shared = set(cells[0].keys).intersection(*(values.keys for values in cells))
    keys = [key for key in cells[0].keys if key in shared]
    if len(cells) < 2 or len(keys) < 2:
        return CORRELATION
    covariance = np.cov(np.stack([_differences(values, metric, keys) for values in cells]))
    variance = float(np.trace(covariance)) / len(cells)
    between = (float(covariance.sum()) - float(np.trace(covariance))) / len(cells)
    return between / (len(cells) - 1) / variance if variance > 0 else CORRELATION


def _differences(values: Values, metric: str, keys: Sequence[str]) -> Floats:
    base, other = values.of(metric)
    place = {key: number for number, key in enumerate(values.keys)}
    return np.asarray((other - base)[[place[key] for key in keys]])
