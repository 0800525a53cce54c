"""Scores of a cell as functions of sums over its samples, so that resampling is adding up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A score that depends on its samples through sums alone.

    :ivar parts: values of shape (n,) -> what is summed, of shape (n, parts).
    :ivar of_sums: sums of shape (..., parts) -> scores of shape (...).
    :ivar gradient: sums of shape (..., parts) -> the score's derivatives by them, same shape.
        A score does not change when every sample is there twice, so it is 0 along the sums.
    :ivar unseen: how many more units a difference's standard error takes to differ than do:
        2 as a rule, see :meth:`Units.widened_error`. A root mean square is decided by rare large
        errors that a small sample may lack; 8 is the least of 2, 4, 5, 6, 7, 8 with which
        intervals cover and equivalence tests keep their size in ``benchmarks/coverage.py``.
    """

    parts: Callable[[Floats], Floats]
    of_sums: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]
    unseen: int = 2

    def of(self, values: ArrayLike) -> float:
        """Return the score of one arm.

        :param values: of its samples, shape (n,).
        """
        return float(self.of_sums(self.parts(np.asarray(values, dtype=np.float64)).sum(axis=0)))


def _value_and_one(values: Floats) -> Floats:
    return np.stack([values, np.ones_like(values)], axis=-1)


def _mean(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _mean_gradient(sums: Floats) -> Floats:
    return np.stack([1 / sums[..., 1], -_mean(sums) / sums[..., 1]], axis=-1)


def _root_mean(sums: Floats) -> Floats:
    return np.asarray(np.sqrt(_mean(sums)))


def _root_mean_gradient(sums: Floats) -> Floats:
    twice = 2 * _root_mean(sums)[..., None]
    return np.divide(_mean_gradient(sums), twice, out=np.zeros(sums.shape), where=twice > 0)


_NO_LABEL = -1


def encode(pairs: Sequence[tuple[int, int, int]]) -> Floats:
    """Return one number a sample for the score ``"macro_f1"``.

    :param pairs: which label was answered (-1 for none), which is right, and how many there are,
        as :data:`~qrag_tasks.benchmark.metrics.LabelPair` has it.
    """
    return np.asarray(
        [
            (answered - _NO_LABEL) * 1_000_000 + gold * 1_000 + labels
            for answered, gold, labels in pairs
        ],
        dtype=np.float64,
    )


def _confusion(values: Floats) -> Floats:
    """Return counts of (answered or none) x right, flattened: shape (n, (labels + 1) * labels)."""
    codes = values.astype(np.int64)
    labels = int(codes[0] % 1_000)
    answered, gold = codes // 1_000_000, codes // 1_000 % 1_000
    return np.asarray(np.eye((labels + 1) * labels)[answered * labels + gold])


def _counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return confusion counts, those on the diagonal, and ``2 tp + fp + fn`` of every label."""
    # (labels + 1) * labels = parts
    labels = int((np.sqrt(1 + 4 * sums.shape[-1]) - 1) / 2)
    counts = sums.reshape(*sums.shape[:-1], labels + 1, labels)
    right = np.diagonal(counts[..., 1:, :], axis1=-2, axis2=-1)
    return counts, right, counts[..., 1:, :].sum(axis=-1) + counts.sum(axis=-2)


def _macro_f1(sums: Floats) -> Floats:
    """Return the mean F1 over all labels: ``2 tp / (2 tp + fp + fn)``, 0 where nothing is so."""
    _, right, both = _counts(sums)
    f1: Any = np.divide(2 * right, both, out=np.zeros(both.shape), where=both > 0)
    return np.asarray(f1.mean(axis=-1))


def _macro_f1_gradient(sums: Floats) -> Floats:
    counts, right, both = _counts(sums)
    labels = both.shape[-1]
    inverse = np.divide(1.0, both, out=np.zeros(both.shape), where=both > 0)
    falling = 2 * right * inverse**2
    found = np.zeros(counts.shape)
    found[..., 1:, :] -= falling[..., :, None]
    found -= falling[..., None, :]
    found[..., np.arange(1, labels + 1), np.arange(labels)] += 2 * inverse
    return np.asarray((found / labels).reshape(sums.shape))


SCORES: Mapping[str, Score] = {
    "mean": Score(_value_and_one, _mean, _mean_gradient),
    "root_mean": Score(_value_and_one, _root_mean, _root_mean_gradient, unseen=8),
    "macro_f1": Score(_confusion, _macro_f1, _macro_f1_gradient),
}
"""Aggregation -> score, as :mod:`qrag_tasks.benchmark.metrics` names aggregations."""


@dataclass(frozen=True)
class Units:
    """Both arms' sums by what is drawn as a whole: a sample, or a user with all samples of theirs.

    :ivar base: shape (units, parts).
    :ivar other: the same of the other arm.
    """

    score: Score
    base: Floats
    other: Floats

    @classmethod
    def of(
        cls,
        base: ArrayLike,
        other: ArrayLike,
        clusters: ArrayLike | None,
        score: Score,
    ) -> Units:
        """Sum by unit.

        :param base: values of the base arm's samples, shape (n,).
        :param other: of the other arm's, in the same order.
        :param clusters: a label a sample; ``None`` for every sample on its own.
        :raises ValueError: for lengths that differ, no samples, or a value that is no number.
        """
        one, two = np.asarray(base, dtype=np.float64), np.asarray(other, dtype=np.float64)
        if one.ndim != 1 or one.shape != two.shape or not len(one):
            raise ValueError(f"values of shapes {one.shape} and {two.shape} are no pairs")
        if not (np.isfinite(one).all() and np.isfinite(two).all()):
            raise ValueError("a value is not finite")
        if clusters is None:
            return cls(score, score.parts(one), score.parts(two))
        labels = np.asarray(clusters)
        if labels.shape != one.shape:
            raise ValueError(f"{labels.shape} labels of clusters for {one.shape} samples")
        _, numbers = np.unique(labels, return_inverse=True)
        return cls(
            score,
            *(_sums_by(numbers, score.parts(values)) for values in (one, two)),
        )

    def __len__(self) -> int:
        return len(self.base)

    @property
    def differing(self) -> NDArray[np.bool_]:
        """Which units have other sums in one arm than in the other: shape (units,)."""
        return np.asarray((self.base != self.other).any(axis=1))

    @property
    def equal(self) -> bool:
        """Whether the two arms have the same sums in every unit."""
        return not self.differing.any()

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return the other arm's score less the base's.

        :param base: sums over some units, shape (..., parts).
        """
        return np.asarray(self.score.of_sums(other) - self.score.of_sums(base))

    def observed(self) -> float:
        """Return the difference over all units."""
        return float(self.difference(self.base.sum(axis=0), self.other.sum(axis=0)))

    def largest(self) -> float:
        """Return about the largest difference that one unit's change could mean, times units.

        The spread of the linearized score over the base arm's units: of a mean of single samples,
        the range of the values.
        """
        pull = self.base @ self.score.gradient(self.base.sum(axis=0))
        return float(len(self) * (pull.max() - pull.min()))

    def resampled(self, times: Floats) -> tuple[Floats, Floats]:
        """Return the difference over drawn units, and its standard error.

        The error is that of the linearized score, ``sum (g' o - h' b)^2`` over units with sums
        ``o`` and ``b`` and gradients ``g`` and ``h``, times ``units / (units - 1)``: for the mean
        of single samples, ``s / sqrt(n)``.

        :param times: how often each unit is drawn, shape (resamples, units).
        """
        base, other = times @ self.base, times @ self.other
        pull = self._pull(base, other)
        many = len(self) / (len(self) - 1)
        return self.difference(base, other), np.sqrt(many * np.sum(times * pull**2, axis=-1))

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

    def _pull(self, base: Floats, other: Floats) -> Floats:
        """Return what each unit adds to the linearized difference: shape (..., units).

        :param base: sums over drawn units, shape (..., parts).
        """
        score = self.score
        return np.asarray(score.gradient(other) @ self.other.T - score.gradient(base) @ self.base.T)


def _sums_by(numbers: NDArray[np.int64], parts: Floats) -> Floats:
    sums = np.zeros((int(numbers.max()) + 1, parts.shape[1]))
    np.add.at(sums, numbers, parts)
    return sums
