"""Intervals, tests and trends at the edges: few units, equal ones, odd ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drawn_arms import BASE, OTHER
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from qrag_tasks.experiment.statistics import (
    FEWEST,
    SCORES,
    Bootstrap,
    difference_interval,
    encode,
    equivalence_p,
    permutation_p,
    smallest_effect,
    standard_error,
    trend,
)


def test_arms_that_are_equal() -> None:
    interval = difference_interval(BASE, BASE)
    assert interval is not None
    # The rule of three: at most about 3 of n differ, by the range at most.
    three = 3 / len(BASE) * np.ptp(BASE)
    assert (interval.low, interval.high) == pytest.approx((-three, three), rel=0.02)
    assert permutation_p(BASE, BASE) == 1
    assert equivalence_p(BASE, BASE, three) == pytest.approx(0.05, abs=0.005)
    assert equivalence_p(BASE, BASE, 2.0) == 0
    assert smallest_effect(BASE, BASE) is None, "no spread was seen, so nothing is known of it"


@pytest.mark.parametrize(
    ("name", "span", "reach"),
    [("mean", 1, 0.00746), ("mean", 4, 0.0299), ("root_mean", 16, 0.3455), ("macro_f1", None, 0)],
)
def test_arms_that_are_right_throughout(name: str, span: float | None, reach: float) -> None:
    # No value says how far another could be; where the range is known, 400 samples bound it.
    score = SCORES[name]
    right = encode([(i % 4, i % 4, 4) for i in range(400)]) if name == "macro_f1" else np.zeros(400)
    interval = difference_interval(right, right, score=score, span=span)
    assert interval is not None
    if name == "macro_f1":
        one = right.copy()
        one[0] = encode([(1, 0, 4)])[0]
        # One of 400 changed, times the 2.99 that may have.
        reach = (score.of(right) - score.of(one)) * 2.986
    assert interval.high == pytest.approx(reach, rel=0.01)
    assert interval.low == -interval.high
    p = equivalence_p(right, right, 1.01 * reach, score=score, span=span)
    assert p is not None
    assert 0.03 < p < 0.05
    if span is not None:
        assert difference_interval(right, right, score=score) is None
        assert equivalence_p(right, right, 0.05, score=score) is None


def test_the_largest_user_bounds_what_equal_users_show() -> None:
    users = np.repeat(np.arange(50), [10] + [1] * 49)
    interval = difference_interval(np.ones(59), np.ones(59), clusters=users, span=1)
    assert interval is not None
    # Of 50 users 5.8 % may differ, each with ten samples where the mean is 1.18.
    assert interval.high == pytest.approx((1 - 0.05 ** (1 / 50)) * 10 / 1.18)


@pytest.mark.parametrize("units", range(1, FEWEST))
@pytest.mark.parametrize("differ", [True, False])
def test_too_few_units_say_nothing(units: int, differ: bool) -> None:
    base = BASE[:units]
    other = OTHER[:units] + 0.1 if differ else base
    says_nothing(base, other, None)
    # Forty samples of few users are few units.
    many = np.arange(40) % units
    says_nothing(BASE[:40], OTHER[:40] if differ else BASE[:40], many)


@pytest.mark.parametrize(
    ("base", "other"), [([0.30, 0.40], [0.301, 0.404]), ([1.0, 1.0], [1.0, 1.0])]
)
def test_two_units_are_not_equivalent(base: list[float], other: list[float]) -> None:
    says_nothing(np.array(base), np.array(other), None)


def says_nothing(base: NDArray[Any], other: NDArray[Any], users: Any) -> None:
    bootstrap = Bootstrap.of(base, other, users, span=1.0)
    assert bootstrap.interval() is None
    assert bootstrap.bound() is None
    assert bootstrap.equivalence_p(0.01) is None
    assert permutation_p(base, other, clusters=users) is None
    assert smallest_effect(base, other, clusters=users) is None
    slope = trend([0, 1], np.stack([base * 0, other - base], axis=1), clusters=users)
    assert (slope.interval, slope.p) == (None, None)


@pytest.mark.parametrize("differing", range(1, FEWEST))
def test_few_that_differ_have_a_bound_alone(differing: int) -> None:
    base = np.zeros(300)
    other = (np.arange(300) < differing).astype(float)
    bootstrap = Bootstrap.of(base, other)
    assert bootstrap.interval() is None
    assert permutation_p(base, other) is None
    assert smallest_effect(base, other) is None
    slope = trend([0, 1], np.stack([base, other], axis=1))
    assert (slope.interval, slope.p) == (None, None)
    bound = bootstrap.bound()
    assert bound is not None
    # Clopper and Pearson's upper limit of the share that differs.
    exact = stats.binomtest(differing, 300, alternative="less").proportion_ci(0.95).high
    assert bound == pytest.approx(exact)
    assert bootstrap.equivalence_p(bound) == pytest.approx(0.05)
    enough = (np.arange(300) < FEWEST).astype(float)
    assert difference_interval(base, enough) is not None
    assert permutation_p(base, enough) == 2 / 64


def test_a_trend_that_no_sample_has() -> None:
    slope = trend([0, 1, 3], np.zeros((60, 3)))
    assert (slope.slope, slope.interval, slope.p) == (0, None, None)


@pytest.mark.parametrize("users", [None, np.arange(40) // 2])
def test_a_constant_difference(users: Any) -> None:
    base = np.arange(40.0) / 40
    one, two = equivalence_p(base, base + 2, 1, clusters=users), equivalence_p(base, base + 2, 9)
    assert (one, two) == (1, 0)
    interval = difference_interval(base, base + 2, clusters=users)
    assert interval is not None
    # As where none differs: a unit that was not seen may have any other difference.
    units = 40 if users is None else 20
    reach = (1 - 0.05 ** (1 / units)) * (2 + 39 / 40)
    assert (interval.low, interval.high) == pytest.approx((2 - reach, 2 + reach))
    p = permutation_p(base, base + 2, clusters=users)
    assert p is not None
    assert p < 0.001


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30),
    st.sampled_from(["mean", "root_mean"]),
)
def test_nothing_fails_on_few_or_odd_samples(pairs: list[tuple[int, int]], name: str) -> None:
    base, other = (np.asarray(side, dtype=float) for side in zip(*pairs, strict=True))
    score = SCORES[name]
    interval = difference_interval(base, other, score=score, resamples=99)
    difference = score.of(other) - score.of(base)
    assert interval is None or interval.low <= difference <= interval.high
    differ = sum(one != two for one, two in pairs)
    p = permutation_p(base, other, score=score, resamples=99)
    assert (p is None) == (len(pairs) < FEWEST or 0 < differ < FEWEST)
    assert p is None or 0 < p <= 1
    margin = equivalence_p(base, other, 0.5, score=score, resamples=99)
    assert margin is None or 0 <= margin <= 1
    for found in (interval, margin):
        assert found is None or len(pairs) >= FEWEST


@pytest.mark.parametrize(
    ("base", "other", "users"),
    [
        ([1.0], [1.0, 2.0], None),
        ([], [], None),
        ([1.0, math.nan], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0, math.inf], None),
        ([1.0, 2.0], [1.0, 2.0], ["a"]),
    ],
)
def test_what_is_no_pairs(base: list[float], other: list[float], users: Any) -> None:
    for call in (difference_interval, permutation_p, smallest_effect, standard_error):
        with pytest.raises(ValueError, match=r"pairs|finite|labels"):
            call(base, other, clusters=users)
    with pytest.raises(ValueError, match="it must be above 0"):
        equivalence_p([1.0, 2.0], [1.0, 2.0], 0)
    with pytest.raises(ValueError, match="two different x"):
        trend([1, 1], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="for 2 places"):
        trend([1, 2], [[0.0]])
