"""Slopes over what a sample has one value of: against other implementations, by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from qrag_tasks.experiment.statistics import trend_among

RNG = np.random.default_rng(5)
X = RNG.integers(0, 120_000, 200).astype(float)
DIFFERENCES = np.where(X > 60_000, -1.0, 0.0) * (RNG.random(200) < 0.3)
USERS = RNG.integers(0, 20, 200)


def slope_of(x: Any, y: Any) -> float:
    return float(stats.linregress(x, y).slope)


@pytest.mark.parametrize("clusters", [None, USERS])
def test_the_slope_is_that_of_least_squares_and_its_error_the_jackknife_s(clusters: Any) -> None:
    line = trend_among(X, DIFFERENCES, clusters=clusters)
    assert line.slope == pytest.approx(slope_of(X, DIFFERENCES))
    labels = np.arange(200) if clusters is None else clusters
    without = [slope_of(X[labels != one], DIFFERENCES[labels != one]) for one in np.unique(labels)]
    count = len(without)
    error = np.sqrt((count - 1) / count * sum((one - line.slope) ** 2 for one in without))
    assert line.interval is not None
    half = (line.interval.high - line.interval.low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, count - 1) * error)
    assert line.p == pytest.approx(2 * stats.t.sf(abs(line.slope) / error, count - 1))


def test_the_unit_of_x_changes_nothing_but_the_slope() -> None:
    one, two = trend_among(X, DIFFERENCES), trend_among(X * 1e6 + 1e9, DIFFERENCES)
    assert two.slope * 1e6 == pytest.approx(one.slope)
    assert two.p == pytest.approx(one.p)


def test_intervals_cover_where_few_users_differ_in_few_samples() -> None:
    """Twenty users of unequal sizes, an arm that slips in 4 % of the samples, wherever."""
    missed = shown = 0
    runs = 1_000
    sizes = np.repeat(np.arange(20), np.linspace(5, 55, 20).astype(int))
    for number in range(runs):
        rng = np.random.default_rng(number)
        x = rng.integers(0, 10, len(sizes)) + 3 * (sizes % 3)
        moved = rng.choice([-1.0, 0.0, 1.0], len(sizes), p=[0.03, 0.96, 0.01])
        line = trend_among(x, moved, clusters=sizes)
        shown += line.p is not None
        missed += line.p is not None and line.p < 0.05
    assert shown / runs > 0.9
    assert missed / runs <= 0.06


@pytest.mark.parametrize(
    ("x", "differences", "clusters"),
    [
        # Too few users; too few that differ; one user alone has another x.
        (np.arange(40), np.tile([0.0, 1.0], 20), np.arange(40) % 5),
        (np.arange(40), np.eye(1, 40, 3)[0], None),
        (np.eye(1, 40, 3)[0], np.tile([0.0, 1.0, 0.0, -1.0], 10), None),
    ],
)
def test_too_few_for_an_interval(x: Any, differences: Any, clusters: Any) -> None:
    line = trend_among(x, differences, clusters=clusters)
    assert (line.interval, line.p) == (None, None)
    assert np.isfinite(line.slope)


@pytest.mark.parametrize(
    ("x", "differences", "message"),
    [
        ([1, 1, 1], [0, 1, 2], "two different x"),
        ([1, 2], [0, 1, 2], "differences of shape"),
        ([], [], "differences of shape"),
        ([1, np.nan], [0, 1], "a place is not finite"),
        ([1, 2], [0, np.inf], "a value is not finite"),
    ],
)
def test_what_has_no_slope(x: Any, differences: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trend_among(x, differences)
