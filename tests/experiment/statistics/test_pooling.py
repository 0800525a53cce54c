"""Several cells as one comparison."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from qrag_tasks.experiment.statistics import (
    SCORES,
    Bootstrap,
    PooledCell,
    Units,
    permutation_test,
    pooled_loss,
    pooled_recovery,
)

RNG = np.random.default_rng(5)


def cell(users: list[int], shift: float, higher: bool, margin: float = 0.1) -> PooledCell:
    base = RNG.random(len(users)) + 0.5
    other = base + np.where(RNG.random(len(users)) < 0.5, RNG.normal(shift, 0.2, len(users)), 0)
    return PooledCell(base, other, users, higher, margin, span=1.0)


FEW = [0, 0, 1, 2, 3, 4, 5, 5, 6, 7]
OTHERS = [20, 21, 22, 23, 24, 24]
CELLS = [cell(FEW, -0.1, True), cell(FEW, 0.1, False, 0.2), cell(OTHERS, -0.1, True, 0.05)]


def mean_loss(cells: list[PooledCell]) -> float:
    """The same, by its definition."""
    signs = [-1 if one.higher_is_better else 1 for one in cells]
    return float(
        np.mean(
            [
                sign * (one.other.mean() - one.base.mean()) / one.margin
                for one, sign in zip(cells, signs, strict=True)
            ]
        )
    )


def mean_recovery(cells: list[PooledCell]) -> float:
    ratios = [one.other.mean() / one.base.mean() for one in cells]
    return float(
        np.mean([r if c.higher_is_better else 1 / r for r, c in zip(ratios, cells, strict=True)])
    )


def drawn(cells: list[PooledCell], times: np.ndarray) -> list[PooledCell]:
    """Whole units, as often as they were drawn, in all cells."""
    members = list(dict.fromkeys(unit for one in cells for unit in one.units))
    again = []
    for one in cells:
        rows = np.repeat(np.arange(len(one.units)), [times[members.index(u)] for u in one.units])
        again.append(
            replace(
                one,
                base=one.base[rows],
                other=one.other[rows],
                units=[one.units[row] for row in rows],
            )
        )
    return again


def test_what_is_pooled_is_the_mean_of_the_cells() -> None:
    assert pooled_loss(CELLS).observed() == pytest.approx(mean_loss(CELLS))
    assert pooled_recovery(CELLS).observed() == pytest.approx(mean_recovery(CELLS))


@pytest.mark.parametrize(
    ("make", "by_hand"), [(pooled_loss, mean_loss), (pooled_recovery, mean_recovery)]
)
def test_users_are_drawn_whole_in_all_cells(make, by_hand) -> None:  # type: ignore[no-untyped-def]
    units = make(CELLS)
    for seed in range(20):
        times = np.random.default_rng(seed).integers(0, 3, len(units))
        expected = by_hand(drawn(CELLS, times))
        sums = (times @ units.base, times @ units.other)
        assert float(units.difference(*sums)) == pytest.approx(expected)


@pytest.mark.parametrize("make", [pooled_loss, pooled_recovery])
def test_the_error_is_that_of_the_jackknife(make) -> None:  # type: ignore[no-untyped-def]
    """Linearized, and so nearly: by leaving out one unit after the other."""
    users = list(range(200)) + list(range(150))
    cells = [cell(users, -0.05, True), cell(users, 0.05, False), cell(users[:80], -0.1, True)]
    units = make(cells)
    left = []
    for unit in range(len(units)):
        times = np.ones(len(units))
        times[unit] = 0
        left.append(float(units.difference(times @ units.base, times @ units.other)))
    many = len(units)
    jackknife = np.sqrt((many - 1) / many * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert units.standard_error() == pytest.approx(jackknife, rel=0.02)


def test_arms_are_swapped_by_unit_in_all_cells() -> None:
    """Against all ways to swap, gone through by hand."""
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    moved = np.array([0.1, -0.3, 0.2, 0.05, -0.4])
    cells = [
        PooledCell(base, base + moved, [0, 0, 1, 2, 3], True, 0.1),
        PooledCell(base[:4], base[:4] + 0.3 * moved[1:], [3, 4, 5, 6], False, 0.2),
    ]
    observed = abs(mean_loss(cells))
    as_extreme = 0
    for way in product((False, True), repeat=7):
        swapped = [
            replace(
                one,
                base=np.where([way[u] for u in one.units], one.other, one.base),
                other=np.where([way[u] for u in one.units], one.base, one.other),
            )
            for one in cells
        ]
        as_extreme += abs(mean_loss(swapped)) >= observed - 1e-12
    units = pooled_loss(cells)
    assert units.differing.all()
    test = permutation_test(units)
    assert test is not None
    assert test.p == pytest.approx(as_extreme / 2**7)


def test_one_cell_is_itself() -> None:
    one = cell([number // 2 for number in range(60)], 0.1, False, 0.2)
    alone = Units.of(one.base, one.other, np.array(one.units), SCORES["mean"], one.span)
    pooled = pooled_loss([one])
    single, whole = (Bootstrap(units, 999) for units in (alone, pooled))
    first, second = single.interval(), whole.interval()
    assert first is not None
    assert second is not None
    assert (second.low, second.high) == pytest.approx((first.low / 0.2, first.high / 0.2))
    assert whole.equivalence_p(1.0) == single.equivalence_p(0.2)
    assert permutation_test(pooled) == permutation_test(alone)


def test_cells_that_differ_in_few_units_have_a_bound() -> None:
    users = list(range(60))
    base = np.zeros(60)
    other = base.copy()
    other[:2] = 1.0
    same = PooledCell(base, base, users, True, 0.1, 1.0)
    few = PooledCell(base, other, users, True, 0.1, 1.0)
    bootstrap = Bootstrap(pooled_loss([same, few]))
    assert bootstrap.interval() is None
    # Of sixty, two differ: at most 10.1 % do, each by 10 margins in both cells.
    assert bootstrap.bound() == pytest.approx(10 * 0.1013, rel=1e-3)
    # As few, all of them in a cell that has few samples: their share is larger there.
    small = PooledCell(other[:12], base[:12], users[:12], True, 0.1, 1.0)
    apart = Bootstrap(pooled_loss([same, small])).bound()
    assert apart == pytest.approx((10 * 0.1013 + 10 * 5 * 0.1013) / 2, rel=1e-3)
