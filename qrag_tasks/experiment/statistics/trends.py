"""Whether the difference between two arms changes with the number of documents."""

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
