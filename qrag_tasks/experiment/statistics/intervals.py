"""Intervals for the difference between two arms, by resampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qrag_tasks.experiment.statistics.draws import times_drawn
from qrag_tasks.experiment.statistics.resampling import Resampling
from qrag_tasks.experiment.statistics.scores import SCORES, Floats, Score
from qrag_tasks.experiment.statistics.units import FEWEST, Units

RESAMPLES = 9999


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
    span: float | None = None,
) -> Interval | None:
    """Return the bootstrap interval of ``score(other) - score(base)``.

    The symmetric bootstrap-t of Hall (1988): pairs are drawn, or whole clusters of them, as samples
    of one user are not independent. Of percentile, BCa,
    bootstrap-t and plain t intervals it covers best where few pairs differ, which is how an
    arm that answers nearly alike looks; the error it is scaled by is then widened, see
    :meth:`~qrag_tasks.experiment.statistics.units.Units.widened_error`.

    Where none differs, the interval is that of the rule of three (Hanley and Lippman-Hand 1983):
    of n units with a share q that would differ, none does with probability ``(1 - q) ** n``; a
    unit that differs is taken to differ by the whole range of the values. Where all differ by the
    same amount, it is as wide, around that.

    :param base: values of the base arm's samples, shape (n,).
    :param other: of the other arm's, in the same order.
    :param clusters: a label a sample, such as its user.
    :param span: how far apart two samples' values can be, where that is known.
    :returns: ``None`` for fewer units than :data:`~qrag_tasks.experiment.statistics.units.FEWEST`,
        where fewer than that differ, but some do, and where none differs and the range of the
        values is not known.
    :raises ValueError: for lengths that differ or a value that is not finite.
    """
    return Bootstrap.of(base, other, clusters, score, resamples, seed, span).interval(level)


class Bootstrap:
    """The resampled difference between two arms, drawn once for its interval and its tests.

    :param units: the pairs, or clusters of them.
    """

    def __init__(self, units: Units, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.units = units
        self._resamples, self._seed = resamples, seed
        self._drawn: Floats | None = None

    @classmethod
    def of(
        cls,
        base: ArrayLike,
        other: ArrayLike,
        clusters: ArrayLike | None = None,
        score: Score = SCORES["mean"],
        resamples: int = RESAMPLES,
        seed: int = 0,
        span: float | None = None,
    ) -> Bootstrap:
        """Take the parameters of :func:`difference_interval`.

        :raises ValueError: for lengths that differ or a value that is not finite.
        """
        return cls(Units.of(base, other, clusters, score, span), resamples, seed)

    @property
    def drawn(self) -> Floats:
        """Draws of ``(resampled difference - difference) / its standard error``.

        Without those that have no standard error, as when no unit was drawn that differs.
        """
        if self._drawn is None:
            (self._drawn,) = _draws([self])
        return self._drawn

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return what :func:`difference_interval` does."""
        units = self.units
        # Without a draw that has an error, as of a mean recovery of 0, nothing is known.
        if units.measurable and len(self.drawn):
            reach = float(np.quantile(np.abs(self.drawn), level)) * units.widened_error()
        elif units.deviating == 0 and (bound := self.bound(level)) is not None:
            reach = bound
        else:
            return None
        difference = units.observed()
        return Interval(difference - reach, difference + reach, level)

    def bound(self, level: float = 0.95) -> float | None:
        """Return how far the true difference can be from what most units show, at most.

        Where fewer units deviate from that than tell a spread: the upper Clopper-Pearson limit of
        their share, each by the whole range of the values. Where none does, the rule of three.

        :returns: ``None`` for too few units, where enough deviate for an interval, where most
            units differ but not by one amount, and where the range of the values is not known.
        """
        from scipy.special import betaincinv

        units, few = self.units, self.units.deviating
        if self._from is None:
            return None
        reach = units.reach(float(betaincinv(few + 1, len(units) - few, level)))
        return reach if reach > 0 else None

    @property
    def _from(self) -> float | None:
        """What a bound is around; ``None`` where there is none."""
        units, few = self.units, self.units.deviating
        if len(units) < FEWEST or few >= FEWEST:
            return None
        if few == 0:
            return units.observed()
        return 0.0 if few == units.differing.sum() else None

    def equivalence_p(self, margin: float) -> float | None:
        """Return what :func:`~qrag_tasks.experiment.statistics.significance.equivalence_p` does.

        :raises ValueError: for a margin of 0 or less.
        """
        if not margin > 0:
            raise ValueError(f"a margin of {margin}: it must be above 0")
        units = self.units
        if not units.measurable:
            return self._bounded_p(margin)
        difference, error = units.observed(), units.widened_error()
        beyond = max(
            int(np.sum(self.drawn <= (difference - margin) / error)),
            int(np.sum(self.drawn >= (difference + margin) / error)),
        )
        return (beyond + 1) / (len(self.drawn) + 1)

    def _bounded_p(self, margin: float) -> float | None:
        """Return the p with which :meth:`bound` is within the margin."""
        from scipy.optimize import brentq
        from scipy.special import bdtr

        units, start = self.units, self._from
        if start is None or units.reach(1.0) == 0:
            return None
        left = margin - abs(start)
        if left <= 0:
            return 1.0
        if units.reach(1.0) <= left:
            return 0.0
        share = brentq(lambda share: units.reach(share) - left, 0.0, 1.0, xtol=1e-12)
        return float(bdtr(units.deviating, len(units), share))


def draw_together(bootstraps: Iterable[Bootstrap]) -> None:
    """Draw for several bootstraps at once, which takes hardly longer than for one."""
    alike: dict[tuple[int, int, int], list[Bootstrap]] = {}
    for one in bootstraps:
        alike.setdefault((len(one.units), one._resamples, one._seed), []).append(one)
    for members in alike.values():
        for one, drawn in zip(members, _draws(members), strict=True):
            one._drawn = drawn


def _draws(members: Sequence[Bootstrap]) -> list[Floats]:
    """Draw for bootstraps of equal numbers of units, of equal resamples and seed."""
    first, resampling = members[0], Resampling([one.units for one in members])
    observed = [one.units.observed() for one in members]
    studentized: list[list[Floats]] = [[] for _ in members]
    for times in times_drawn(len(first.units), first._resamples, first._seed):
        scores = resampling.scores(times)
        for values, start, (difference, error) in zip(studentized, observed, scores, strict=True):
            known = error > 0
            values.append((difference[known] - start) / error[known])
    return [np.concatenate(values) for values in studentized]


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
    :raises ValueError: for lengths that differ or a value that is not finite.
    """
    units = Units.of(base, other, clusters, score)
    if len(units) < 2:
        return None
    return units.standard_error()
