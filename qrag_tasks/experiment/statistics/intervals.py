"""Intervals for the difference between two arms, by resampling."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.scores import SCORES, Floats, Score, Units

RESAMPLES = 9999
_BYTES = 64_000_000


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    :ivar level: its nominal coverage, 0 to 1.
    """

    low: float
    high: float
    level: float


def difference_interval(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Return the bootstrap interval of ``score(other) - score(base)``.

    The symmetric bootstrap-t of Hall (1988), resampled by :func:`scipy.stats.bootstrap`: pairs, or
    whole clusters of them, as samples of one user are not independent. Of percentile, BCa,
    bootstrap-t and plain t intervals it covers best where few pairs differ, which is how an
    arm that answers nearly alike looks; the error it is scaled by is then widened, see
    :meth:`~qrag_tasks.experiment.statistics.scores.Units.widened_error`. Where fewer than about 8
    units differ nothing covers as it should; see ``benchmarks/coverage.py``.

    Where none differs, the interval is that of the rule of three (Hanley and Lippman-Hand 1983):
    of n units with a share q that would differ, none does with probability ``(1 - q) ** n``; a
    unit that differs is taken to differ by the whole range of the values.

    :param base: values of the base arm's samples, shape (n,).
    :param other: of the other arm's, in the same order.
    :param clusters: a label a sample, such as its user.
    :returns: ``None`` for fewer than two units, and where the values do not spread at all.
    :raises ValueError: for lengths that differ or a value that is no number.
    """
    return Bootstrap.of(base, other, clusters, score, resamples, seed).interval(level)


class Bootstrap:
    """The resampled difference between two arms, drawn once for its interval and its tests.

    :param units: the pairs, or clusters of them.
    """

    def __init__(self, units: Units, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.units = units
        self._resamples, self._seed = resamples, seed

    @classmethod
    def of(
        cls,
        base: ArrayLike,
        other: ArrayLike,
        clusters: ArrayLike | None = None,
        score: Score = SCORES["mean"],
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> Bootstrap:
        """Take the parameters of :func:`difference_interval`.

        :raises ValueError: for lengths that differ or a value that is no number.
        """
        return cls(Units.of(base, other, clusters, score), resamples, seed)

    @cached_property
    def drawn(self) -> Floats:
        """Draws of the studentized difference; not all units are equal."""
        return bootstrap_t(self.units, self._resamples, self._seed)

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return what :func:`difference_interval` does."""
        units = self.units
        if len(units) < 2:
            return None
        if units.equal:
            reach = units.largest() * (1 - (1 - level) ** (1 / len(units)))
            return Interval(-reach, reach, level) if reach else None
        difference, error = units.resampled(np.ones((1, len(units))))
        if error[0] == 0:
            return Interval(float(difference[0]), float(difference[0]), level)
        if not len(self.drawn):
            return None
        reach = float(np.quantile(np.abs(self.drawn), level)) * units.widened_error()
        return Interval(float(difference[0]) - reach, float(difference[0]) + reach, level)

    def equivalence_p(self, margin: float) -> float | None:
        """Return what :func:`~qrag_tasks.experiment.statistics.significance.equivalence_p` does.

        :raises ValueError: for a margin of 0 or less.
        """
        if not margin > 0:
            raise ValueError(f"a margin of {margin}: it must be above 0")
        units = self.units
        if len(units) < 2:
            return None
        if units.equal:
            # The rule of three, as in the interval.
            share = margin / units.largest() if units.largest() else 0.0
            return float(max(0.0, 1 - share) ** len(units))
        difference, error = units.observed(), units.widened_error()
        if error == 0:
            return 0.0 if abs(difference) < margin else 1.0
        beyond = max(
            int(np.sum(self.drawn <= (difference - margin) / error)),
            int(np.sum(self.drawn >= (difference + margin) / error)),
        )
        return (beyond + 1) / (len(self.drawn) + 1)


def bootstrap_t(units: Units, resamples: int, seed: int) -> Floats:
    """Return draws of ``(resampled difference - difference) / its standard error``.

    Without those that have no standard error, as when no unit was drawn that differs.

    :param units: not all of them equal.
    """
    from scipy.stats import bootstrap

    observed = units.observed()

    def statistic(drawn: NDArray[np.int64], axis: int = -1) -> Floats:
        rows = np.moveaxis(drawn, axis, -1)
        times = times_drawn(rows.reshape(-1, rows.shape[-1]), len(units))
        difference, error = units.resampled(times)
        undefined = np.full(error.shape, np.nan)
        found = np.divide(difference - observed, error, out=undefined, where=error > 0)
        return np.asarray(found.reshape(rows.shape[:-1]))

    with warnings.catch_warnings():
        # Of the percentiles that are not used here.
        warnings.simplefilter("ignore")
        found = bootstrap(
            (np.arange(len(units)),),
            statistic,
            n_resamples=resamples,
            batch=batch_of(len(units)),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    return np.asarray(found[np.isfinite(found)])


def standard_error(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
) -> float | None:
    """Return the standard error of ``score(other) - score(base)``, linearized, over clusters.

    Of a mean of single samples it is the sample standard deviation over ``sqrt(n)``.

    :returns: ``None`` for fewer than two units.
    :raises ValueError: for lengths that differ or a value that is no number.
    """
    units = Units.of(base, other, clusters, score)
    if len(units) < 2:
        return None
    return float(units.resampled(np.ones((1, len(units))))[1][0])


def times_drawn(drawn: NDArray[np.int64], units: int) -> Floats:
    """Return how often each unit was drawn.

    :param drawn: numbers of units, shape (resamples, draws).
    :returns: shape (resamples, units).
    """
    rows = np.arange(len(drawn))[:, None] * units
    counts = np.bincount((drawn + rows).ravel(), minlength=len(drawn) * units)
    return counts.reshape(len(drawn), units).astype(np.float64)


def batch_of(units: int) -> int:
    """Return how many resamples to draw at a time, for memory's sake."""
    return max(1, _BYTES // (8 * 4 * units))
