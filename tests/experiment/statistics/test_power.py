"""McNemar's test and power, against statsmodels and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference
from statsmodels.stats.power import TTestPower

from qrag_tasks.experiment.statistics import (
    SCORES,
    Bootstrap,
    Units,
    errors_to_show,
    growth_to_settle,
    mcnemar,
    permutation_p,
    units_to_show,
)


@pytest.mark.parametrize(
    ("better", "worse"), [(0, 0), (0, 1), (3, 3), (2, 9), (9, 2), (40, 61), (780, 840)]
)
def test_mcnemar_is_statsmodels_own(better: int, worse: int) -> None:
    test = mcnemar(better, worse)
    assert test.p == pytest.approx(reference([[5, worse], [better, 7]], exact=True).pvalue)
    assert test.mid_p <= test.p
    if better + worse > 1000:
        asymptotic = reference([[5, worse], [better, 7]], exact=False, correction=False).pvalue
        assert test.mid_p == pytest.approx(asymptotic, rel=0.01)


def test_mcnemar_is_the_permutation_test_of_single_samples() -> None:
    """Of right and wrong answers, both go through the same ways to swap."""
    base = np.array([1.0] * 20 + [0.0] * 10)
    other = base.copy()
    other[:9] = 0.0
    other[20:22] = 1.0
    test = mcnemar(2, 9)
    assert permutation_p(base, other) == pytest.approx(test.p)


def test_mid_p_is_the_mean_of_the_exact_p_and_the_next_below() -> None:
    assert mcnemar(2, 9).mid_p == pytest.approx((mcnemar(2, 9).p + 2 * (1 + 11) / 2**11) / 2)
    assert mcnemar(4, 4).mid_p == 1.0


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 40])
@pytest.mark.parametrize(("effect", "spread"), [(0.05, 0.3), (0.02, 0.4), (0.5, 0.4), (3.0, 1.0)])
def test_units_to_show_are_statsmodels_own(effect: float, spread: float, alpha: float) -> None:
    units = units_to_show(effect, spread, alpha)
    expected = TTestPower().solve_power(effect / spread, power=0.8, alpha=alpha)
    assert units == max(6, math.ceil(expected - 1e-6))
    shown = errors_to_show(units, alpha) * spread / math.sqrt(units)
    if units > 6:
        assert shown <= effect < errors_to_show(units - 1, alpha) * spread / math.sqrt(units - 1)


def test_samples_that_settle_do() -> None:
    """Four times in five at the hardest true difference, and more often beside it."""
    margin, spread = 0.1, 0.5
    pilot = np.random.default_rng(1).normal(0, spread, 5000)
    units = Units.of(np.zeros(5000), pilot, None, SCORES["mean"])
    growth = growth_to_settle(units, margin)
    assert growth is not None
    many = math.ceil(5000 * growth)
    # About (2.8 + 2.5) ** 2 * (spread / margin) ** 2.
    assert 650 < many < 750
    settled = {}
    for truth in (0.0, 0.053, 0.1):
        found = 0
        for seed in range(200):
            drawn = np.random.default_rng(seed).normal(truth, spread, many)
            bootstrap = Bootstrap.of(np.zeros(many), drawn, resamples=299, seed=seed)
            p = permutation_p(np.zeros(many), drawn, resamples=299, seed=seed)
            equivalent = bootstrap.equivalence_p(margin)
            assert p is not None
            assert equivalent is not None
            found += p < 0.05 or equivalent < 0.05
        settled[truth] = found / 200
    assert settled[0.053] >= 0.75
    assert settled[0.0] > 0.95
    assert settled[0.1] > 0.95
    assert growth_to_settle(units, margin, tests=10) > growth


def test_too_few_units_tell_nothing() -> None:
    units = Units.of(np.zeros(60), np.array([1.0] * 3 + [0.0] * 57), None, SCORES["mean"])
    assert growth_to_settle(units, 0.1) is None
