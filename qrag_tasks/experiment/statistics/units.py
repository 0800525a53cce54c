"""What is resampled as a whole: a sample, or a user with all samples of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qrag_tasks.experiment.statistics.scores import Floats, Score

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

    score: Score
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
        # Whole numbers, for differences that are equal but for rounding.
        rows = np.round(moved / scale * 1e9).astype(np.int64)
        _, counts = np.unique(rows, axis=0, return_counts=True)
        alike = int(counts.max())
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
        return np.asarray(self.score.of_sums(other) - self.score.of_sums(base))

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

    def resampled(self, times: Floats) -> tuple[Floats, Floats]:
        """Return what :func:`resampled_together` does, of these units alone."""
        (found,) = resampled_together([self], times)
        return found

    def standard_error(self) -> float:
        """Return the standard error of the difference over all units."""
        return float(self.resampled(np.ones((1, len(self))))[1][0])

    def widened_error(self) -> float:
        """Return the standard error over all units and :attr:`Score.unseen` more, which differ.

        Half of them in each direction, by the root of the mean squared pull of those that do
        differ: with m of these, the error grows by about ``sqrt(1 + unseen / m)``. With two, for
        pairs of right and wrong answers, it is what Bonett and Price (2012) add, one pair that
        differs each way.

        Not for arms that are equal throughout.
        """
        squares = self._pull(self.base.sum(axis=0), self.other.sum(axis=0)) ** 2
        mean = squares[self.differing].mean()
        many = len(self) / (len(self) - 1)
        return float(np.sqrt(many * (squares.sum() + self.score.unseen * mean)))

    @cached_property
    def _used(self) -> NDArray[np.bool_]:
        """Which parts are not 0 throughout: those of labels that nobody answers are."""
        return np.asarray((self.base != 0).any(axis=0) | (self.other != 0).any(axis=0))

    def _pull(self, base: Floats, other: Floats) -> Floats:
        """Return what each unit adds to the linearized difference: shape (..., units).

        :param base: sums over drawn units, shape (..., parts).
        """
        score, used = self.score, self._used
        gradients = [score.gradient(other)[..., used], -score.gradient(base)[..., used]]
        return np.asarray(
            np.concatenate(gradients, axis=-1)
            @ np.hstack([self.other[:, used], self.base[:, used]]).T
        )

    @cached_property
    def moments(self) -> tuple[Floats, NDArray[np.intp]] | None:
        """Sums and products of each unit, with which a resample is one product of matrices.

        With ``d = o - b``, a unit's pull is ``g' d + (g - h)' b``, so the sum of its squares needs
        the sums of ``d d'``, ``d b'`` and ``b b'`` alone, and no value is the small difference of
        large ones. ``None`` for scores of many parts, whose products are too many.

        :returns: the columns that differ, shape (units, columns), and which of them each of the
            2 parts + 3 parts^2 columns is: products are symmetric, and some parts constant.
        """
        units, parts = self.base.shape
        if parts > _PARTS_FOR_MOMENTS:
            return None
        moved = self.other - self.base
        products = (
            np.einsum("ui,uj->uij", one, two).reshape(units, parts**2)
            for one, two in ((moved, moved), (moved, self.base), (self.base, self.base))
        )
        columns = np.hstack([moved, self.base, *products]).T
        numbers: dict[bytes, int] = {}
        places = [numbers.setdefault(column.tobytes(), len(numbers)) for column in columns]
        first = [places.index(number) for number in range(len(numbers))]
        return columns[first].T, np.asarray(places)

    def by_moments(self, sums: Floats) -> tuple[Floats, Floats]:
        """Return what :func:`resampled_together` does, by the sums of all columns of moments."""
        parts = self.base.shape[1]
        moved, base, *products = np.split(
            sums, [parts, 2 * parts, 2 * parts + parts**2, 2 * parts + 2 * parts**2], axis=1
        )
        other = base + moved
        gradient = self.score.gradient(other)
        turned = gradient - self.score.gradient(base)
        both = (gradient, gradient), (gradient, turned), (turned, turned)
        terms = np.stack(
            [
                factor * np.einsum("ri,rij,rj->r", one, of.reshape(-1, parts, parts), two)
                for factor, of, (one, two) in zip((1, 2, 1), products, both, strict=True)
            ]
        )
        squares = terms.sum(axis=0)
        # What rounding leaves of terms that cancel is 0.
        squares = np.where(squares > 1e-12 * np.abs(terms).sum(axis=0), squares, 0.0)
        return self._with_error(base, other, squares)

    def by_pulls(self, times: Floats) -> tuple[Floats, Floats]:
        """Return what :func:`resampled_together` does, by the pull of each unit."""
        sums = np.zeros((2, len(times), self.base.shape[1]))
        used = self._used
        sums[0][:, used] = times @ self.base[:, used]
        sums[1][:, used] = times @ self.other[:, used]
        base, other = sums
        pull = self._pull(base, other)
        return self._with_error(base, other, np.einsum("ru,ru,ru->r", times, pull, pull))

    def _with_error(self, base: Floats, other: Floats, squares: Floats) -> tuple[Floats, Floats]:
        many = len(self) / (len(self) - 1)
        return self.difference(base, other), np.sqrt(many * squares)


def resampled_together(many: Sequence[Units], times: Floats) -> list[tuple[Floats, Floats]]:
    """Return the difference over drawn units, and its standard error, for each of several scores.

    The error is that of the linearized score, ``sum (g' o - h' b)^2`` over units with sums ``o``
    and ``b`` and gradients ``g`` and ``h``, times ``units / (units - 1)``: for the mean of single
    samples, ``s / sqrt(n)``. To go through the draws takes longer than to add up, so that several
    scores take hardly longer than one.

    :param many: all with as many units.
    :param times: how often each unit is drawn, shape (resamples, units).
    """
    moments = [units.moments for units in many]
    columns = [found[0] for found in moments if found is not None]
    sums = iter(
        np.split(times @ np.hstack(columns), np.cumsum([c.shape[1] for c in columns])[:-1], axis=1)
        if columns
        else ()
    )
    return [
        units.by_pulls(times) if found is None else units.by_moments(next(sums)[:, found[1]])
        for units, found in zip(many, moments, strict=True)
    ]


_PARTS_FOR_MOMENTS = 2


def _sums_by(numbers: NDArray[np.int64], parts: Floats) -> Floats:
    sums = np.zeros((int(numbers.max()) + 1, parts.shape[1]))
    np.add.at(sums, numbers, parts)
    return sums
