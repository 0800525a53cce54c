"""Scores, intervals, tests and trends: against other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drawn_arms import BASE, OTHER, RNG, USERS
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from qrag_tasks.experiment.statistics import (
    SCORES,
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


def test_mean_and_root_of_the_mean() -> None:
    assert SCORES["mean"].of([1, 2, 6]) == 3
    assert SCORES["root_mean"].of([1, 4, 4]) == pytest.approx(math.sqrt(3))


labels = st.integers(2, 6).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(-1, n - 1), st.integers(0, n - 1), st.just(n)), min_size=1
    )
)


@pytest.mark.parametrize("labels", [999, 1000, 1500])
def test_macro_f1_of_a_thousand_labels(labels: int) -> None:
    pairs = [(labels - 1, labels - 1, labels), (-1, 0, labels), (labels - 2, labels - 1, labels)]
    assert SCORES["macro_f1"].of(encode(pairs)) == pytest.approx(2 / 3 / labels)


@given(labels)
def test_macro_f1_is_the_harness_own(pairs: list[tuple[int, int, int]]) -> None:
    score = SCORES["macro_f1"].of(encode(pairs))
    assert score == pytest.approx(macro_f1(pairs))
    known = list(range(pairs[0][2]))
    gold, answered = [pair[1] for pair in pairs], [pair[0] for pair in pairs]
    sklearn = f1_score(gold, answered, labels=known, average="macro", zero_division=0)
    assert score == pytest.approx(sklearn)


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
    interval = difference_interval(base, other)
    assert interval is not None
    t = stats.ttest_rel(other, base).confidence_interval(0.95)
    width = t.high - t.low
    assert interval.low == pytest.approx(t.low, abs=0.05 * width)
    assert interval.high == pytest.approx(t.high, abs=0.05 * width)
    again = difference_interval(base, other)
    assert again == interval
    assert difference_interval(base, other, seed=1) != interval
    narrower = difference_interval(base, other, level=0.8)
    assert narrower is not None
    assert interval.low < narrower.low < narrower.high < interval.high


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
    p = permutation_p(BASE, OTHER)
    assert p == pytest.approx(stats.ttest_rel(BASE, OTHER).pvalue, abs=0.02)
    assert permutation_p(BASE, BASE + 1, resamples=999) == 1 / 1000


def test_a_correction_for_many_tests_gets_the_draws_it_needs() -> None:
    # 400 comparisons: a p of .0001 is .04 once corrected, and the next larger one .08.
    units = Units.of(BASE, BASE + 0.1, None, SCORES["mean"])
    outcome = permutation_test(units, most=draws_needed(400))
    assert outcome is not None
    assert outcome.smallest == outcome.p == 1 / 80_001
    assert holm([outcome.p, *[1.0] * 399])[0] == pytest.approx(0.005, rel=1e-3)
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
    slope = trend(x, differences)
    expected = stats.ttest_1samp(slopes, 0)
    assert slope.slope == pytest.approx(slopes.mean())
    assert slope.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert slope.interval is not None
    assert (slope.interval.low, slope.interval.high) == pytest.approx((interval.low, interval.high))
    users = trend(x, differences, clusters=np.arange(60) // 2)
    assert users.slope == slope.slope
    assert users.p != slope.p


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
    p = equivalence_p(base, (np.arange(samples) < changed).astype(float), margin)
    assert p is not None
    assert p > 0.05


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
