"""Whether the difference between two arms changes with the documents, or with the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.intervals import Interval
from qrag_tasks.experiment.statistics.scores import SCORES
from qrag_tasks.experiment.statistics.units import Units


@dataclass(frozen=True)
class Trend:
    """A slope.

    :ivar slope: change of the difference with 1 of ``x``.
    :ivar interval: by the t distribution; ``None`` where units, or units whose slope is another
        than most have, are too few.
    :ivar p: two-sided, that the slope is 0; ``None`` where there is no interval.
    """

    slope: float
    interval: Interval | None
    p: float | None


def trend(
    x: Sequence[float],
    differences: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Trend:
    """Return the slope of paired differences over ``x``.

    Every sample was asked at every ``x``, so it has a least-squares slope of its own; their mean
    is tested by a t test, over clusters as in
    :func:`~qrag_tasks.experiment.statistics.significance.equivalence_p`. Differences of one sample
    at several ``x`` need not be independent for that.

    :param x: at least two different values.
    :param differences: shape (samples, len(x)): the other arm less the base.
    :raises ValueError: for shapes that do not fit, a value that is not finite, or a single ``x``.
    """
    from scipy.special import stdtr, stdtrit

    values: NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    places = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(places) or not len(values):
        raise ValueError(f"differences of shape {values.shape} for {len(places)} places")
    centred = places - places.mean()
    if not (centred**2).sum() > 0:
        raise ValueError("a slope needs two different x")
    slopes = values @ centred / (centred**2).sum()
    slope = float(slopes.mean())
    units = Units.of(np.zeros(len(slopes)), slopes, clusters, SCORES["mean"])
    if not units.measurable:
        return Trend(slope, None, None)
    error = units.standard_error()
    reach = float(stdtrit(len(units) - 1, 0.5 + level / 2)) * error
    p = float(2 * stdtr(len(units) - 1, -abs(slope) / error))
    return Trend(slope, Interval(slope - reach, slope + reach, level), p)


def trend_among(
    x: ArrayLike,
    differences: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Trend:
    """Return the slope of paired differences over what each sample has one value of.

    Least squares over all samples. Its error is the jackknife over units, CR3: the slope is
    computed without each unit in turn, and ``t`` has one degree of freedom less than there are
    units. Of cluster-robust errors it errs least often where units are few, or of unequal sizes
    (MacKinnon, Nielsen and Webb 2023, arXiv 2205.03285).

    :param x: of each sample, shape (n,); at least two different values.
    :param differences: of each sample, shape (n,): the other arm less the base.
    :param clusters: a label a sample, such as its user: units are whole clusters.
    :returns: without an interval also where all other units have a single ``x``.
    :raises ValueError: for shapes that do not fit, a value that is not finite, or a single ``x``.
    """
    from scipy.special import stdtr, stdtrit

    places, values = np.asarray(x, dtype=np.float64), np.asarray(differences, dtype=np.float64)
    if places.ndim != 1 or places.shape != values.shape or not len(places):
        raise ValueError(f"differences of shape {values.shape} for places of shape {places.shape}")
    if not np.isfinite(places).all():
        raise ValueError("a place is not finite")
    units = Units.of(np.zeros(len(values)), values, clusters, SCORES["mean"])
    centred = places - places.mean()
    scale = float(np.abs(centred).max())
    if not scale > 0:
        raise ValueError("a slope needs two different x")
    # To the range of 1: squares of tokens would leave few digits.
    centred = centred / scale
    labels = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    _, numbers = np.unique(labels, return_inverse=True)
    parts = np.stack([np.ones_like(values), centred, centred**2, values, centred * values])
    sums = np.stack([np.bincount(numbers, part) for part in parts])
    slope = float(_slopes(sums.sum(axis=1, keepdims=True))[0]) / scale
    if not units.measurable:
        return Trend(slope, None, None)
    without = _slopes(sums.sum(axis=1, keepdims=True) - sums) / scale
    count = len(units)
    error = float(np.sqrt((count - 1) / count * ((without - slope) ** 2).sum()))
    if not (np.isfinite(error) and error > 0):
        return Trend(slope, None, None)
    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * error
    p = float(2 * stdtr(count - 1, -abs(slope) / error))
    return Trend(slope, Interval(slope - reach, slope + reach, level), p)


def _slopes(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slopes by least squares; not a number where there is a single x.

    :param sums: of 1, x, x squared, y and x times y, shape (5, slopes).
    """
    count, x, xx, y, xy = sums
    spread = count * xx - x**2
    # What rounding leaves of no spread is no spread.
    known = spread > 1e-9 * np.maximum(count * xx, 1e-300)
    return np.where(known, (count * xy - x * y) / np.where(known, spread, 1.0), np.nan)
