"""Several cells as one comparison: samples and users stay whole over all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.experiment.statistics.scores import Floats
from qrag_tasks.experiment.statistics.units import Units


@dataclass(frozen=True)
class PooledCell:
    """One cell of several, whose score is the mean of its samples' values.

    :ivar base: values of the base arm's samples, shape (n,).
    :ivar other: of the other arm's, in the same order.
    :ivar units: what each sample belongs to: equal over cells for what is to be kept whole.
    :ivar higher_is_better: of its score.
    :ivar margin: difference that counts as a loss of 1, above 0.
    :ivar span: how far apart two samples' values can be, where that is known.
    """

    base: Floats
    other: Floats
    units: Sequence[Hashable]
    higher_is_better: bool
    margin: float
    span: float | None = None

    @property
    def weight(self) -> float:
        """What a difference of 1 in its score is as a loss."""
        return (-1 if self.higher_is_better else 1) / self.margin

    @property
    def range(self) -> float:
        """How far apart two values can be, as stated, or as seen."""
        values = np.concatenate([self.base, self.other])
        return max(float(np.ptp(values)), self.span or 0.0)


@dataclass(frozen=True)
class MeanLoss:
    """The mean over cells of the other arm's loss, of sums ``(loss, samples)`` for each group.

    Cells that have the same samples are one group, as their losses add up sample by sample.

    :ivar reaches: of each group: the largest mean loss that its samples can come to.
    :ivar largest: of each group: the largest share of its samples that is one unit's, times the
        number of units.
    """

    reaches: tuple[float, ...]
    largest: tuple[float, ...]
    unseen: int = 2

    @property
    def linear(self) -> bool:
        """Whether one group is all there is."""
        return len(self.reaches) == 1

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return the mean loss of the other arm; the base's is 0 by its sums."""
        return np.asarray((_means(other) - _means(base)).sum(axis=-1))

    def gradients(self, base: Floats, other: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of the two arms' means."""
        return _mean_gradients(base), _mean_gradients(other)

    def reach(self, _: Floats, share: float, __: float) -> float:
        """Return the largest effect where at most a share of the units differs.

        Units may be of any group, and those with the most samples of each.
        """
        return sum(
            min(1.0, share * largest) * reach
            for reach, largest in zip(self.reaches, self.largest, strict=True)
        )


def _means(sums: Floats) -> Floats:
    losses, samples = sums[..., 0::2], sums[..., 1::2]
    # A resample may have none of a small group.
    return np.divide(losses, samples, out=np.zeros(losses.shape), where=samples > 0)


def _mean_gradients(sums: Floats) -> Floats:
    samples, means = sums[..., 1::2], _means(sums)
    gradient = np.zeros(sums.shape)
    each = np.divide(1.0, samples, out=np.zeros(samples.shape), where=samples > 0)
    gradient[..., 0::2], gradient[..., 1::2] = each, -means * each
    return gradient


@dataclass(frozen=True)
class MeanRecovery:
    """The mean over cells of the share of the base's score that is left, of a sum for each cell.

    The other arm's sum over the base's, or the base's over the other's where lower is better.
    """

    higher_is_better: tuple[bool, ...]
    unseen: int = 2
    linear: bool = False

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return the mean recovery."""
        return np.asarray(_over(*self._fraction(base, other)).mean(axis=-1))

    def gradients(self, base: Floats, other: Floats) -> tuple[Floats, Floats]:
        """Return its derivatives by the base's sums, negated, and by the other's."""
        higher, cells = np.asarray(self.higher_is_better), len(self.higher_is_better)
        top, bottom = self._fraction(base, other)
        by_top = _over(np.ones(top.shape), bottom) / cells
        by_bottom = _over(top, bottom) * by_top
        return (
            np.where(higher, by_bottom, -by_top),
            np.where(higher, by_top, -by_bottom),
        )

    def reach(self, _: Floats, share: float, __: float) -> float:
        """Return 0: nothing bounds it."""
        return 0.0

    def _fraction(self, base: Floats, other: Floats) -> tuple[Floats, Floats]:
        higher = np.asarray(self.higher_is_better)
        return np.where(higher, other, base), np.where(higher, base, other)


def _over(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)


def pooled_loss(cells: Sequence[PooledCell]) -> Units:
    """Return the units of all cells, whose difference is their mean loss in margins.

    Above 0 the other arm is worse. Margins, rather than standard deviations, make losses of
    several metrics comparable, as they say of each how much matters: they are the same before and
    after the arms are swapped, and what is pooled keeps a margin of its own, which is 1.

    :param cells: at least one.
    """
    numbers = _numbered(cells)
    many = 1 + max(int(number.max()) for number in numbers)
    groups: dict[bytes, tuple[Floats, Floats, list[float]]] = {}
    for cell, number in zip(cells, numbers, strict=True):
        counts = np.bincount(number, minlength=many).astype(np.float64)
        losses, _, reaches = groups.setdefault(counts.tobytes(), (np.zeros(many), counts, []))
        weight = cell.weight / len(cells)
        losses += weight * np.bincount(number, cell.other - cell.base, minlength=many)
        reaches.append(abs(weight) * cell.range)
    score = MeanLoss(
        tuple(sum(reaches) for _, _, reaches in groups.values()),
        tuple(float(counts.max() / counts.mean()) for _, counts, _ in groups.values()),
    )
    other = np.stack(
        [column for losses, counts, _ in groups.values() for column in (losses, counts)]
    )
    base = other.copy()
    base[0::2] = 0.0
    return Units(score, base.T.copy(), other.T.copy(), np.ones(many), 0.0)


def pooled_recovery(cells: Sequence[PooledCell]) -> Units:
    """Return the units of all cells, whose difference is their mean recovery.

    :param cells: at least one.
    """
    numbers = _numbered(cells)
    many = 1 + max(int(number.max()) for number in numbers)
    base, other = (
        np.stack(
            [
                np.bincount(number, values, minlength=many).astype(np.float64)
                for number, values in zip(numbers, arm, strict=True)
            ],
            axis=1,
        )
        for arm in ([cell.base for cell in cells], [cell.other for cell in cells])
    )
    score = MeanRecovery(tuple(cell.higher_is_better for cell in cells))
    return Units(score, base, other, np.ones(many), 0.0)


def _numbered(cells: Sequence[PooledCell]) -> list[NDArray[np.int64]]:
    """Return the number of each sample's unit, from 0, equal over all cells."""
    number_of: dict[Hashable, int] = {}
    return [
        np.asarray([number_of.setdefault(label, len(number_of)) for label in cell.units])
        for cell in cells
    ]
