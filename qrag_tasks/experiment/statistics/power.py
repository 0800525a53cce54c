"""What a sample could have shown, and how large one has to be."""

from __future__ import annotations

import math
from bisect import bisect_left

from numpy.typing import ArrayLike

from qrag_tasks.experiment.statistics.scores import SCORES, Score
from qrag_tasks.experiment.statistics.units import FEWEST, Units

ALPHA, POWER = 0.05, 0.8


def smallest_effect(
    base: ArrayLike,
    other: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    score: Score = SCORES["mean"],
    alpha: float = ALPHA,
    power: float = POWER,
) -> float | None:
    """Return the smallest true difference that these samples would have shown.

    That is: with probability ``power``, by a two-sided t test at ``alpha``, given the spread that
    was observed. The noncentral t distribution tells it.

    :returns: in the score's unit; ``None`` where the units do not tell how much the difference
        spreads: fewer units, or fewer that differ, than
        :data:`~qrag_tasks.experiment.statistics.units.FEWEST`.
    :raises ValueError: for lengths that differ or a value that is not finite.
    """
    return effect_to_show(Units.of(base, other, clusters, score), alpha, power)


def effect_to_show(units: Units, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """Return what :func:`smallest_effect` does."""
    if not units.measurable:
        return None
    return errors_to_show(len(units), alpha, power) * units.standard_error()


def errors_to_show(units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return how many standard errors a difference has to be to be shown.

    By a two-sided t test at ``alpha``, with probability ``power``: about 2.8 at 0.05 and 0.8.

    :param units: at least two.
    """
    from scipy.special import nctdtrinc, stdtrit

    # That a test errs in the direction adds less than 0.00001 to its power.
    return float(nctdtrinc(units - 1, 1 - power, stdtrit(units - 1, 1 - alpha / 2)))


def errors_to_equal(units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return how many standard errors inside the margin a difference has to be to be equivalent.

    By a one-sided t test at ``alpha``, with probability ``power``: about 2.5 at 0.05 and 0.8.

    :param units: at least two.
    """
    from scipy.special import nctdtrinc, stdtrit

    return float(nctdtrinc(units - 1, 1 - power, stdtrit(units - 1, 1 - alpha)))


def units_to_show(effect: float, spread: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Return the fewest units of which a mean difference of this size is shown.

    :param effect: above 0.
    :param spread: standard deviation of the units' differences, in the same unit.
    """

    def shown(units: int) -> bool:
        return errors_to_show(units, alpha, power) * spread <= effect * math.sqrt(units)

    most = FEWEST
    while not shown(most):
        most *= 2
    return bisect_left(range(most + 1), True, lo=FEWEST, key=shown)


def growth_to_settle(
    units: Units, margin: float, tests: int = 1, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Return how many times as many units would settle a difference, whatever it is.

    With so many, each true difference is found in one of two ways with a probability of ``power``:
    it is shown, or shown to be within the margin. The hardest one lies between 0 and the margin.

    :param tests: for which the test of the difference is corrected, as by the first step of Holm's.
    :returns: ``None`` where the units do not tell how much the difference spreads.
    """
    if not units.measurable:
        return None
    many = len(units)
    errors = errors_to_show(many, alpha / tests, power) + errors_to_equal(many, alpha, power)
    return (errors * units.standard_error() / margin) ** 2
