"""How often intervals cover and tests err, by simulation (at length: benchmarks/coverage.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qrag_tasks.experiment.statistics import (
    SCORES,
    Bootstrap,
    Units,
    difference_interval,
    equivalence_p,
    permutation_p,
    standard_error,
)


def test_intervals_cover_where_few_differ() -> None:
    # Means of the moves below, clipped to 0..4, in a tenth of the samples.
    truth = 0.1 * (-0.4 * 0.5 + 0.4 * 0.96 + 0.2 * (2 * 0.9 + 0.06))
    missed = shown = equivalent = 0
    runs = 1000
    for i in range(runs):
        rng = np.random.default_rng(i)
        base = rng.choice(5, 80, p=[0.5, 0.25, 0.15, 0.06, 0.04]).astype(float)
        moved = np.clip(base + rng.choice([-1, 1, 2], 80, p=[0.4, 0.4, 0.2]), 0, 4)
        other = np.where(rng.random(80) < 0.1, moved, base)
        interval = difference_interval(base, other, resamples=199, seed=i)
        p = equivalence_p(base, other, truth, resamples=199, seed=i)
        shown += interval is not None
        missed += interval is not None and not interval.low <= truth <= interval.high
        equivalent += p is not None and p < 0.05
    # Where fewer than six differ, none is shown.
    assert 0.5 <= shown / runs <= 0.7
    assert missed / runs <= 0.055
    assert equivalent / runs <= 0.055


def squared_errors(rng: np.random.Generator, samples: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Squares of two arms that rate alike in nine of ten; one in a hundred moves by two."""
    gold = rng.choice(5, samples, p=[0.05, 0.05, 0.1, 0.25, 0.55])
    base = np.clip(gold + rng.choice([-1, 0, 1], samples, p=[0.15, 0.7, 0.15]), 0, 4)
    moved = np.clip(base + rng.choice([-1, 1, -2], samples, p=[0.5, 0.4, 0.1]), 0, 4)
    other = np.where(rng.random(samples) < 0.1, moved, base)
    return (base - gold) ** 2.0, (other - gold) ** 2.0


def test_root_mean_squares_cover_where_few_differ() -> None:
    # Rare large errors decide: many a sample has none of them.
    score = SCORES["root_mean"]
    base, other = squared_errors(np.random.default_rng(0), 1_000_000)
    truth = score.of(other) - score.of(base)
    missed = shown = equivalent = 0
    runs = 1000
    for i in range(runs):
        base, other = squared_errors(np.random.default_rng(i + 1), 100)
        bootstrap = Bootstrap.of(base, other, score=score, resamples=199, seed=i)
        interval, p = bootstrap.interval(), bootstrap.equivalence_p(truth)
        shown += interval is not None
        missed += interval is not None and not interval.low <= truth <= interval.high
        equivalent += p is not None and p < 0.05
    assert 0.7 <= shown / runs <= 0.9
    assert missed / runs <= 0.055
    assert equivalent / runs <= 0.055


Draw = Callable[[np.random.Generator], tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]


def ratings(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], None]:
    """Absolute errors of two arms that answer alike in nine of ten."""
    base = rng.choice(5, 400, p=[0.5, 0.25, 0.15, 0.06, 0.04]).astype(float)
    moved = np.clip(base + rng.choice([-1, 1, 2], 400, p=[0.4, 0.4, 0.2]), 0, 4)
    return base, np.where(rng.random(400) < 0.1, moved, base), None


def users(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """ROUGE-like scores; the arms differ by user."""
    who = np.repeat(np.arange(80), rng.integers(1, 7, 80))
    base = rng.beta(1.2, 3, len(who))
    return base, base + rng.normal(0.02, 0.1, 80)[who] + rng.normal(0, 0.05, len(who)), who


@pytest.mark.parametrize("draw", [ratings, users])
def test_intervals_cover_and_tests_keep_their_size(draw: Draw) -> None:
    base, other, _ = zip(*(draw(np.random.default_rng(9000 + i)) for i in range(2000)), strict=True)
    truth = float(np.concatenate(other).mean() - np.concatenate(base).mean())
    covered = swapped = equivalent = 0
    runs = 300
    for i in range(runs):
        rng = np.random.default_rng(i)
        one, two, who = draw(rng)
        interval = difference_interval(one, two, clusters=who, resamples=299, seed=i)
        assert interval is not None
        covered += interval.low <= truth <= interval.high
        p = equivalence_p(one, two, abs(truth), clusters=who, resamples=299, seed=i)
        assert p is not None
        equivalent += p < 0.05
        units = np.arange(len(one)) if who is None else who
        swap = (rng.random(units.max() + 1) < 0.5)[units]
        null = permutation_p(
            np.where(swap, two, one), np.where(swap, one, two), clusters=who, resamples=299, seed=i
        )
        assert null is not None
        swapped += null < 0.05
    # Within three standard errors of 0.95 and 0.05, 0.0126 each.
    assert 0.91 <= covered / runs <= 0.99
    assert swapped / runs <= 0.09
    assert equivalent / runs <= 0.09
    if draw is users:
        # Without users the interval is too short: the test can tell.
        naive = sum(
            abs(one_found - truth) <= 1.96 * error
            for one_found, error in (
                (float(Units.of(*data, None, SCORES["mean"]).observed()), standard_error(*data))
                for data in ((users(np.random.default_rng(i))[:2]) for i in range(runs))
            )
            if error is not None
        )
        assert naive / runs < 0.9
