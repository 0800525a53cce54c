"""Tests of a difference, of equivalence, and what a sample could have shown."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.intervals import (
    RESAMPLES,
    Bootstrap,
    batch_of,
    standard_error,
    times_drawn,
)
from qrag_tasks.experiment.statistics.scores import SCORES, Floats, Score, Units


def permutation_p(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float | None:
    """Return the two-sided p of a paired permutation test that the arms are interchangeable.

    The arms are swapped within pairs, of a whole cluster together, by
    :func:`scipy.stats.permutation_test`: exactly where there are few units, else with
    ``(b + 1) / (m + 1)`` of m draws, so that p is never 0.

    :returns: ``None`` for fewer than two units.
    :raises ValueError: for lengths that differ or a value that is no number.
    """
    from scipy.stats import permutation_test

    units = Units.of(base, other, clusters, score)
    if len(units) < 2:
        return None
    # A unit that is equal in both arms is the same either way round.
    differing = np.flatnonzero(units.differing)
    if len(differing) < 2:
        # Swapping the one changes the sign alone.
        return 1.0
    fixed = units.base.sum(axis=0) - units.base[differing].sum(axis=0)
    both = np.concatenate([units.base[differing], units.other[differing]])

    def statistic(one: NDArray[np.int64], two: NDArray[np.int64], axis: int = -1) -> Floats:
        return units.difference(*(fixed + _sums(numbers, axis) for numbers in (one, two)))

    def _sums(numbers: NDArray[np.int64], axis: int) -> Floats:
        rows = np.moveaxis(numbers, axis, -1)
        counts = times_drawn(rows.reshape(-1, rows.shape[-1]), len(both))
        return np.asarray((counts @ both).reshape(*rows.shape[:-1], both.shape[1]))

    numbers = np.arange(len(differing))
    found = permutation_test(
        (numbers, numbers + len(differing)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=batch_of(4 * len(differing)),
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def equivalence_p(
    base: ArrayLike,
    other: ArrayLike,
    margin: float,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float | None:
    """Return the larger p of two one-sided tests that the difference is within the margin.

    TOST (Schuirmann 1987): below alpha, the difference lies between ``-margin`` and ``margin``.
    The tests are bootstrap-t tests over clusters: rare large differences skew the distribution,
    and plain t tests then say "equivalent" too often. The error is widened as in
    :func:`~qrag_tasks.experiment.statistics.intervals.difference_interval`. Where no unit differs,
    the probability that none would, if the difference were the margin.

    :param margin: above 0, in the score's unit.
    :returns: ``None`` for fewer than two units.
    :raises ValueError: for a margin of 0 or less, lengths that differ, or a value that is no
        number.
    """
    return Bootstrap.of(base, other, clusters, score, resamples, seed).equivalence_p(margin)


def smallest_effect(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """Return the smallest true difference that these samples would have shown.

    That is: with probability ``power``, by a two-sided t test at ``alpha``, given the spread that
    was observed. Solved by statsmodels' power of the paired t test.

    :returns: in the score's unit; ``None`` for fewer than three units; 0 where nothing differed.
    :raises ValueError: for lengths that differ or a value that is no number.
    """
    units = Units.of(base, other, clusters, score)
    error = standard_error(base, other, clusters=clusters, score=score)
    if error is None or len(units) < 3:
        return None
    if error == 0:
        return 0.0
    return _effect_size(len(units), alpha, power) * error * float(np.sqrt(len(units)))


@cache
def _effect_size(units: int, alpha: float, power: float) -> float:
    """Return the smallest effect in standard deviations; every cell of a grid asks for the same."""
    from statsmodels.stats.power import TTestPower

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.squeeze(TTestPower().solve_power(nobs=units, alpha=alpha, power=power)))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return the p of several tests, corrected by Holm (1979) for their number.

    :param p: ``None`` for a test that could not be made: it stays so, and does not count.
    """
    from statsmodels.stats.multitest import multipletests

    known = [value for value in p if value is not None]
    if not known:
        return list(p)
    # It collects garbage at the end of every call, through all the samples that are held here.
    gc.freeze()
    try:
        corrected = iter(multipletests(known, method="holm")[1].tolist())
    finally:
        gc.unfreeze()
    return [None if value is None else float(next(corrected)) for value in p]
