"""Intervals, tests and trends: against other implementations, at the edges, and by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from qrag_tasks.experiment.statistics import (
    FEWEST,
    SCORES,
    Bootstrap,
    Units,
    difference_interval,
    draws_needed,
    encode,
    equivalence_p,
    holm,
    permutation_p,
    permutation_test,
    smallest_effect,
    standard_error,
    trend,
)
from qrag_tasks.experiment.statistics.resampling import Resampling
from qrag_tasks.tasks.scoring.metrics import macro_f1

RNG = np.random.default_rng(0)
BASE = RNG.random(200)
OTHER = BASE + RNG.normal(0.02, 0.1, 200) * (RNG.random(200) < 0.5)
USERS = np.repeat(np.arange(50), 4)


# ---------------------------------------------------------------------- scores
def test_mean_and_root_of_the_mean() -> None:
    assert SCORES["mean"].of([1, 2, 6]) == 3
    assert SCORES["root_mean"].of([1, 4, 4]) == pytest.approx(math.sqrt(3))


labels = st.integers(2, 6).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(-1, n - 1), st.integers(0, n - 1), st.just(n)), min_size=1
    )
)


@given(labels)
def test_macro_f1_is_the_harness_own(pairs: list[tuple[int, int, int]]) -> None:
    found = SCORES["macro_f1"].of(encode(pairs))
    assert found == pytest.approx(macro_f1(pairs))
    known = list(range(pairs[0][2]))
    gold, answered = [pair[1] for pair in pairs], [pair[0] for pair in pairs]
    sklearn = f1_score(gold, answered, labels=known, average="macro", zero_division=0)
    assert found == pytest.approx(sklearn)


@pytest.mark.parametrize("name", SCORES)
def test_gradients(name: str) -> None:
    score = SCORES[name]
    values = (
        encode([(int(a), int(g), 4) for a, g in RNG.integers(0, 4, (60, 2))])
        if name == "macro_f1"
        else BASE
    )
    sums = score.parts(values).sum(axis=0)
    gradient = score.gradient(sums)
    for part in range(len(sums)):
        step = np.zeros_like(sums)
        step[part] = 1e-5
        slope = (score.of_sums(sums + step) - score.of_sums(sums - step)) / 2e-5
        assert gradient[part] == pytest.approx(float(slope), abs=1e-7)
    assert gradient @ sums == pytest.approx(0, abs=1e-9)


# ---------------------------------------------------------------------- against others
def test_the_standard_error_of_a_mean() -> None:
    expected = stats.sem(OTHER - BASE)
    assert standard_error(BASE, OTHER) == pytest.approx(expected)
    sums = (OTHER - BASE).reshape(50, 4).sum(axis=1)
    # Clusters of one size: the standard error of their means.
    assert standard_error(BASE, OTHER, clusters=USERS) == pytest.approx(stats.sem(sums / 4))


def test_the_standard_error_of_other_scores_is_near_the_jackknife() -> None:
    pairs = RNG.integers(0, 4, (300, 3))
    coded = [encode([(int(a), int(g), 4) for a, g in pairs[:, [i, 2]]]) for i in (0, 1)]
    for name, (one, two) in {"root_mean": (BASE, OTHER), "macro_f1": coded}.items():
        score = SCORES[name]
        kept = ~np.eye(len(one), dtype=bool)
        without = np.array([score.of(two[row]) - score.of(one[row]) for row in kept])
        jackknife = math.sqrt((len(one) - 1) * np.var(without))
        assert standard_error(one, two, score=score) == pytest.approx(jackknife, rel=0.05)


def test_an_interval_of_many_samples_is_the_t_interval() -> None:
    base = RNG.random(2000)
    other = base + RNG.normal(0.01, 0.1, 2000)
    found = difference_interval(base, other)
    assert found is not None
    t = stats.ttest_rel(other, base).confidence_interval(0.95)
    width = t.high - t.low
    assert found.low == pytest.approx(t.low, abs=0.05 * width)
    assert found.high == pytest.approx(t.high, abs=0.05 * width)
    again = difference_interval(base, other)
    assert again == found
    assert difference_interval(base, other, seed=1) != found
    narrower = difference_interval(base, other, level=0.8)
    assert narrower is not None
    assert found.low < narrower.low < narrower.high < found.high


def test_permutations_of_few_pairs_are_exact() -> None:
    base = np.arange(7.0)
    other = base + np.array([1, 1, 2, 1, 2, 1, 0])
    # Six differ, all upwards: of 64 ways to swap, this and its mirror image are as extreme.
    assert permutation_p(base, other) == pytest.approx(2 / 64)
    difference = RNG.normal(0.3, 1, 12)
    expected = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert permutation_p(np.zeros(12), difference) == pytest.approx(expected.pvalue)
    pairs = np.repeat(np.arange(6), 2)
    together = permutation_p(np.zeros(12), difference + 3, clusters=pairs)
    assert together == pytest.approx(2 / 64)


def test_permutations_of_macro_f1_are_exact() -> None:
    triples = RNG.integers(0, 3, (10, 3))
    one, two = (encode([(int(row[i]), int(row[2]), 3) for row in triples]) for i in (0, 1))
    score = SCORES["macro_f1"]
    observed = abs(score.of(two) - score.of(one))
    swaps = (np.arange(1024)[:, None] >> np.arange(10)) & 1 == 1
    found = [
        abs(score.of(np.where(swap, one, two)) - score.of(np.where(swap, two, one)))
        for swap in swaps
    ]
    expected = np.mean(np.array(found) >= observed - 1e-12)
    assert permutation_p(one, two, score=score) == pytest.approx(expected)


def test_permutations_of_many_pairs() -> None:
    found = permutation_p(BASE, OTHER)
    assert found == pytest.approx(stats.ttest_rel(BASE, OTHER).pvalue, abs=0.02)
    assert permutation_p(BASE, BASE + 1, resamples=999) == 1 / 1000


def test_a_correction_for_many_tests_gets_the_draws_it_needs() -> None:
    # 400 comparisons: a p of .0001 is .04 once corrected, and the next larger one .08.
    units = Units.of(BASE, BASE + 0.1, None, SCORES["mean"])
    found = permutation_test(units, most=draws_needed(400))
    assert found is not None
    assert found.smallest == found.p == 1 / 80_001
    assert holm([found.p, *[1.0] * 399])[0] == pytest.approx(0.005, rel=1e-3)
    first = permutation_test(units)
    assert first is not None
    assert first.smallest == 1 / 10_000
    # Where the first draws have said enough, no more are made.
    unclear = Units.of(BASE, BASE + RNG.normal(0, 1, 200), None, SCORES["mean"])
    assert permutation_test(unclear, most=10**9) is not None
    # Few that differ have no smaller p, whatever is drawn.
    few = Units.of(np.zeros(200), (np.arange(200) < 6) * 1.0, None, SCORES["mean"])
    exact = permutation_test(few, most=draws_needed(400))
    assert exact is not None
    assert exact.smallest == exact.p == 2 / 64


def test_equivalence_of_many_samples_is_two_t_tests() -> None:
    difference = OTHER - BASE
    for margin in (0.01, 0.02, 0.03, 0.04):
        low = stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
        high = stats.ttest_1samp(difference, margin, alternative="less").pvalue
        assert equivalence_p(BASE, OTHER, margin) == pytest.approx(max(low, high), abs=0.03)


def test_the_smallest_effect_is_shown_with_its_power() -> None:
    noise = np.random.default_rng(3).normal(0, 0.3, (2000, 80))
    effect = smallest_effect(np.zeros(80), noise[0] / noise[0].std(ddof=1) * 0.3)
    assert effect is not None
    shown = stats.ttest_1samp(noise + effect, 0, axis=1).pvalue < 0.05
    assert shown.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("samples", [6, 80, 2000])
def test_the_smallest_effect_is_that_of_the_paired_t_test(samples: int) -> None:
    differences = np.random.default_rng(samples).normal(0, 0.3, samples)
    effect = smallest_effect(np.zeros(samples), differences, alpha=0.01, power=0.9)
    power = TTestPower().power(effect / differences.std(ddof=1), samples, alpha=0.01)
    assert power == pytest.approx(0.9, abs=1e-3)


# Few cases: statsmodels collects garbage at every call.
@pytest.mark.parametrize(
    "p",
    [
        [],
        [None],
        [0.04],
        [0.01, None, 0.04],
        [0.01, 0.04, 0.03, 0.2],
        [0, 0.5, 0.01, 0.01, None, 1, 0.001, 0.04, 0.01, 1, 0, 0.04],
        [*np.random.default_rng(0).beta(0.3, 2, 200)],
    ],
)
def test_holm(p: list[float | None]) -> None:
    known = [value for value in p if value is not None]
    expected = iter(multipletests(known, method="holm")[1].tolist() if known else ())
    assert holm(p) == [None if one is None else pytest.approx(next(expected)) for one in p]


def test_a_trend_is_the_mean_of_the_samples_slopes() -> None:
    x = [0, 1, 3, 5]
    slopes = RNG.normal(0.3, 1, 60)
    differences = slopes[:, None] * np.array(x) + RNG.normal(0, 0.1, 60)[:, None]
    found = trend(x, differences)
    expected = stats.ttest_1samp(slopes, 0)
    assert found.slope == pytest.approx(slopes.mean())
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high))
    users = trend(x, differences, clusters=np.arange(60) // 2)
    assert users.slope == found.slope
    assert users.p != found.p


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_two_more_pairs_widen_where_few_differ(share: float) -> None:
    # As Bonett and Price: b and c pairs differ each way, one more of each is added.
    base = np.zeros(1000)
    other = np.zeros(1000)
    differ = int(1000 * share)
    base[: differ // 2] = 1
    other[differ // 2 : differ] = 1
    plain = standard_error(base, other)
    assert plain is not None
    expected = math.sqrt((differ + 2) / differ)
    found = Units.of(base, other, None, SCORES["mean"]).widened_error() / plain
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("samples", "margin"), [(100, 0.07), (200, 0.07)])
def test_a_few_that_changed_show_no_more_than_the_exact_test(samples: int, margin: float) -> None:
    # All change the same way, so how many do is binomial.
    changed = {100: 3, 200: 8}[samples]
    exact = stats.binomtest(changed, samples, margin, alternative="less").pvalue
    assert exact > 0.05
    base = np.zeros(samples)
    found = equivalence_p(base, (np.arange(samples) < changed).astype(float), margin)
    assert found is not None
    assert found > 0.05


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
        found = difference_interval(base, other, resamples=199, seed=i)
        p = equivalence_p(base, other, truth, resamples=199, seed=i)
        shown += found is not None
        missed += found is not None and not found.low <= truth <= found.high
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
        found, p = bootstrap.interval(), bootstrap.equivalence_p(truth)
        shown += found is not None
        missed += found is not None and not found.low <= truth <= found.high
        equivalent += p is not None and p < 0.05
    assert 0.7 <= shown / runs <= 0.9
    assert missed / runs <= 0.055
    assert equivalent / runs <= 0.055


def test_metrics_resampled_together_are_those_of_the_drawn_units() -> None:
    whole = RNG.integers(0, 5, (2, 200))
    coded = [
        encode([(int(a), int(g), 5) for a, g in zip(arm, whole[0], strict=True)])
        for arm in (whole[1], np.where(RNG.random(200) < 0.3, RNG.integers(-1, 5, 200), whole[1]))
    ]
    uneven = np.repeat(np.arange(50), RNG.multinomial(150, [1 / 50] * 50) + 1)
    pairs = [
        (BASE, OTHER, "mean"),
        (BASE, OTHER, "root_mean"),
        (*whole, "mean"),
        # As the official score is often equal to ours.
        (BASE, OTHER, "mean"),
        # Their squares are whole numbers that single precision cannot hold.
        (*(100_001 * whole), "root_mean"),
        (*coded, "macro_f1"),
    ]
    for users in (None, USERS, uneven):
        many = [Units.of(one, two, users, SCORES[name]) for one, two, name in pairs]
        times = RNG.multinomial(len(many[0]), [1 / len(many[0])] * len(many[0]), 7).astype("u1")
        for units, (difference, error) in zip(many, Resampling(many).scores(times), strict=True):
            for row, *found in zip(times, difference, error, strict=True):
                drawn = np.repeat(np.arange(len(units)), row)
                parts = (units.base[drawn], units.other[drawn], units.sizes[drawn])
                alone = Units(units.score, *parts, units.span)
                assert found == pytest.approx([alone.observed(), alone.standard_error()], rel=1e-9)


# ---------------------------------------------------------------------- edges
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
    found = difference_interval(right, right, score=score, span=span)
    assert found is not None
    if name == "macro_f1":
        one = right.copy()
        one[0] = encode([(1, 0, 4)])[0]
        # One of 400 changed, times the 2.99 that may have.
        reach = (score.of(right) - score.of(one)) * 2.986
    assert found.high == pytest.approx(reach, rel=0.01)
    assert found.low == -found.high
    p = equivalence_p(right, right, 1.01 * reach, score=score, span=span)
    assert p is not None
    assert 0.03 < p < 0.05
    if span is not None:
        assert difference_interval(right, right, score=score) is None
        assert equivalence_p(right, right, 0.05, score=score) is None


def test_the_largest_user_bounds_what_equal_users_show() -> None:
    users = np.repeat(np.arange(50), [10] + [1] * 49)
    found = difference_interval(np.ones(59), np.ones(59), clusters=users, span=1)
    assert found is not None
    # Of 50 users 5.8 % may differ, each with ten samples where the mean is 1.18.
    assert found.high == pytest.approx((1 - 0.05 ** (1 / 50)) * 10 / 1.18)


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
    found = trend([0, 1], np.stack([base * 0, other - base], axis=1), clusters=users)
    assert (found.interval, found.p) == (None, None)


@pytest.mark.parametrize("differing", range(1, FEWEST))
def test_few_that_differ_have_a_bound_alone(differing: int) -> None:
    base = np.zeros(300)
    other = (np.arange(300) < differing).astype(float)
    bootstrap = Bootstrap.of(base, other)
    assert bootstrap.interval() is None
    assert permutation_p(base, other) is None
    assert smallest_effect(base, other) is None
    found = trend([0, 1], np.stack([base, other], axis=1))
    assert (found.interval, found.p) == (None, None)
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
    found = trend([0, 1, 3], np.zeros((60, 3)))
    assert (found.slope, found.interval, found.p) == (0, None, None)


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


# ---------------------------------------------------------------------- simulation, in small
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
        found = difference_interval(one, two, clusters=who, resamples=299, seed=i)
        assert found is not None
        covered += found.low <= truth <= found.high
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
