"""Tests of a difference, of equivalence, and what a sample could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.draws import SignedSums
from qrag_tasks.experiment.statistics.intervals import RESAMPLES, Bootstrap
from qrag_tasks.experiment.statistics.scores import SCORES, Score
from qrag_tasks.experiment.statistics.units import Units

_EXTREME = 20
"""With fewer draws as extreme as what was observed, more are drawn where more were asked for."""


@dataclass(frozen=True)
class PermutationTest:
    """A permutation test.

    :ivar p: two-sided.
    :ivar smallest: the smallest p that the test could have given.
    """

    p: float
    smallest: float


def permutation_test(
    units: Units, resamples: int = RESAMPLES, most: int = 0, seed: int = 0
) -> PermutationTest | None:
    """Test that the arms are interchangeable: they are swapped unit by unit.

    Exactly, over all ways to swap, where there are no more ways than the draws that are allowed.
    Otherwise p is ``(b + 1) / (m + 1)``, where b of m draws are at least as extreme (Phipson and
    Smyth 2010), so that it is never 0. Where few of the first draws are, the test goes on to
    ``most``: a correction for many tests needs small p, and other p need no more draws (Besag and
    Clifford 1991).

    :param resamples: draws at first.
    :param most: draws at most, where that is more.
    :returns: ``None`` for fewer units than :data:`~qrag_tasks.experiment.statistics.units.FEWEST`,
        and where fewer than that differ, but some do. Where none does, p is 1.
    """
    if not units.testable:
        return None
    # A unit that is equal in both arms is the same either way round.
    base, other = units.base[units.differing], units.other[units.differing]
    if not len(base):
        return PermutationTest(1.0, 1.0)
    moved = other - base
    used = (moved != 0).any(axis=0)
    sums = SignedSums(moved[:, used])
    first, second = units.base.sum(axis=0), units.other.sum(axis=0)
    observed = abs(float(units.difference(first, second)))

    def extreme(swapped: NDArray[np.float64]) -> int:
        change = np.zeros((len(swapped), len(first)))
        change[:, used] = swapped
        differences = np.abs(units.difference(first + change, second - change))
        # Sums in another order differ in their last digits.
        return int(np.sum(differences >= observed - 1e-9 * max(observed, 1e-300)))

    # The other half of the ways mirrors this one.
    share = math.ldexp(1.0, 1 - len(base))
    most = max(most, resamples)
    if share * most >= 1:
        return PermutationTest(sum(map(extreme, sums.all())) * share, share)
    rng = np.random.default_rng(seed)
    drawn, beyond = resamples, sum(map(extreme, sums.random(resamples, rng)))
    if beyond < _EXTREME and most > drawn:
        beyond += sum(map(extreme, sums.random(most - drawn, rng)))
        drawn = most
    return PermutationTest((beyond + 1) / (drawn + 1), max(1 / (most + 1), share))


def permutation_p(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float | None:
    """Return the two-sided p of :func:`permutation_test`.

    :param clusters: a label a sample, such as its user: whole clusters are swapped.
    :returns: ``None`` as there.
    :raises ValueError: for lengths that differ or a value that is not finite.
    """
    test = permutation_test(Units.of(base, other, clusters, score), resamples, seed=seed)
    return None if test is None else test.p


def draws_needed(tests: int, alpha: float = 0.05) -> int:
    """Return how many draws let Holm's correction for this many tests come far below alpha.

    The smallest p of m draws is ``1 / (m + 1)``, and the correction multiplies it by the number
    of tests: so many draws that the product is a tenth of alpha.
    """
    return math.ceil(10 * tests / alpha)


def equivalence_p(
    base: ArrayLike,
    other: ArrayLike,
    margin: float,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    resamples: int = RESAMPLES,
    seed: int = 0,
    span: float | None = None,
) -> float | None:
    """Return the larger p of two one-sided tests that the difference is within the margin.

    TOST (Schuirmann 1987): below alpha, the difference lies between ``-margin`` and ``margin``.
    The tests are bootstrap-t tests over clusters: rare large differences skew the distribution,
    and plain t tests then say "equivalent" too often. The error is widened as in
    :func:`~qrag_tasks.experiment.statistics.intervals.difference_interval`. Where fewer units
    differ than :data:`~qrag_tasks.experiment.statistics.units.FEWEST`, or none does, it is an exact
    binomial test: the probability that so few would differ if the difference were the
    margin and each of them differed by the whole range of the values.

    :param margin: above 0, in the score's unit.
    :param span: how far apart two samples' values can be, where that is known.
    :returns: ``None`` for fewer units than that, and where none differs and the range of the values
        is not known.
    :raises ValueError: for a margin of 0 or less, lengths that differ, or a value that is not
        finite.
    """
    return Bootstrap.of(base, other, clusters, score, resamples, seed, span).equivalence_p(margin)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return the p of several tests, corrected by Holm (1979) for their number.

    :param p: ``None`` for a test that could not be made: it stays so, and does not count.
    """
    known = np.sort([value for value in p if value is not None])
    raised = np.minimum(1.0, np.maximum.accumulate(known * np.arange(len(known), 0, -1)))
    # Equal p are corrected by the number of the first, whichever of them that is.
    return [None if value is None else float(raised[np.searchsorted(known, value)]) for value in p]
