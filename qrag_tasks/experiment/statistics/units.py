"""What is resampled as a whole: a sample, or a user with all samples of theirs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.scores import Contrast, Floats, Score

FEWEST = 6
"""With fewer units, or fewer that differ, there is no interval and no test.

Five units that differ, all in one direction, have an exact p of 2 in 32: no test of theirs can be
below 0.05. In ``benchmarks/coverage.py --fewest`` the intervals of two units miss the true
difference in up to 100 %, those of three in up to 10 %, and where a single unit differs,
equivalence tests err in up to 23 %; with six both keep to 5 %.
"""


@dataclass(frozen=True)
class Units:
    """Both arms' sums by unit.

    :ivar base: shape (units, parts).
    :ivar other: the same of the other arm.
    :ivar sizes: how many samples a unit has, shape (units,).
    :ivar span: the range of one sample's values: as stated, else as it was seen in both arms.
    """

    score: Contrast
    base: Floats
    other: Floats
    sizes: Floats
    span: float

    @classmethod
    def of(
        cls,
        base: ArrayLike,
        other: ArrayLike,
        clusters: ArrayLike | None,
        score: Score,
        span: float | None = None,
    ) -> Units:
        """Sum by unit.

        :param base: values of the base arm's samples, shape (n,).
        :param other: of the other arm's, in the same order.
        :param clusters: a label a sample; ``None`` for every sample on its own.
        :param span: how far apart two values can be, where that is known.
        :raises ValueError: for lengths that differ, no samples, or a value that is not finite.
        """
        one, two = np.asarray(base, dtype=np.float64), np.asarray(other, dtype=np.float64)
        if one.ndim != 1 or one.shape != two.shape or not len(one):
            raise ValueError(f"values of shapes {one.shape} and {two.shape} are no pairs")
        if not (np.isfinite(one).all() and np.isfinite(two).all()):
            raise ValueError("a value is not finite")
        seen = float(max(one.max(), two.max()) - min(one.min(), two.min()))
        span = max(seen, span or 0.0)
        if clusters is None:
            return cls(score, score.parts(one), score.parts(two), np.ones(len(one)), span)
        labels = np.asarray(clusters)
        if labels.shape != one.shape:
            raise ValueError(f"{labels.shape} labels of clusters for {one.shape} samples")
        _, numbers = np.unique(labels, return_inverse=True)
        sums, others = (_sums_by(numbers, score.parts(values)) for values in (one, two))
        return cls(score, sums, others, np.bincount(numbers).astype(np.float64), span)

    def __len__(self) -> int:
        return len(self.base)

    @cached_property
    def differing(self) -> NDArray[np.bool_]:
        """Which units have other sums in one arm than in the other: shape (units,)."""
        return np.asarray((self.base != self.other).any(axis=1))

    @cached_property
    def deviating(self) -> int:
        """How many units differ otherwise than most units do.

        As a rule most do not differ, and these are the units that differ. Where all differ by the
        same amount there are none, and nothing is known of the spread either.
        """
        moved = (self.other - self.base) / self.sizes[:, None]
        scale = float(np.abs(moved).max())
        if scale == 0:
            return 0
        # Whole numbers, for differences that are equal except for rounding.
        rows = np.round(moved / scale * 1e9).astype(np.int64)
        alike = max(Counter(row.tobytes() for row in rows).values())
        return len(self) - (alike if alike > 1 else 0)

    @property
    def testable(self) -> bool:
        """Whether a test of the difference can be made: enough units, of which enough differ."""
        differ = int(self.differing.sum())
        return len(self) >= FEWEST and (differ == 0 or differ >= FEWEST)

    @property
    def measurable(self) -> bool:
        """Whether the units tell how much the difference spreads."""
        return len(self) >= FEWEST and self.deviating >= FEWEST

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return the other arm's score less the base's.

        :param base: sums over some units, shape (..., parts).
        """
        return self.score.difference(base, other)

    def observed(self) -> float:
        """Return the difference over all units."""
        return float(self.difference(self.base.sum(axis=0), self.other.sum(axis=0)))

    def reach(self, share: float) -> float:
        """Return the largest difference that a share of differing units can come to.

        A unit that differs is taken to do so in all its samples by the whole range of their
        values, and to be of the largest size.

        :param share: of the units, 0 to 1.
        """
        samples = min(1.0, share * float(self.sizes.max() / self.sizes.mean()))
        return self.score.reach(self.base.sum(axis=0), samples, self.span)

    def standard_error(self) -> float:
        """Return the standard error of the difference over all units, which are at least two.

        That of the linearized score, ``sum (g' o - h' b)^2`` over units with sums ``o`` and ``b``
        and gradients ``g`` and ``h``, times ``units / (units - 1)``: for the mean of single
        samples, ``s / sqrt(n)``.
        """
        return self._error(float(self._pulls().sum()))

    def widened_error(self) -> float:
        """Return the standard error over all units and :attr:`Score.unseen` more, which differ.

        Half of them in each direction, by the root of the mean squared pull of those that do
        differ: with m of these, the error grows by about ``sqrt(1 + unseen / m)``. With two, for
        pairs of right and wrong answers, it is what Bonett and Price (2012) add, one pair that
        differs each way.

        Not for arms that are equal throughout.
        """
        squares = self._pulls()
        return self._error(
            float(squares.sum() + self.score.unseen * squares[self.differing].mean())
        )

    def _error(self, squares: float) -> float:
        return math.sqrt(len(self) / (len(self) - 1) * squares)

    def _pulls(self) -> Floats:
        """Return the squares of what each unit adds to the linearized difference."""
        falling, rising = self.score.gradients(self.base.sum(axis=0), self.other.sum(axis=0))
        return np.asarray((self.other @ rising - self.base @ falling) ** 2)


def _sums_by(numbers: NDArray[np.int64], parts: Floats) -> Floats:
    sums = np.zeros((int(numbers.max()) + 1, parts.shape[1]))
    np.add.at(sums, numbers, parts)
    return sums
