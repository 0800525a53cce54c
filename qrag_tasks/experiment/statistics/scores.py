"""Scores of a cell as functions of sums over its samples, so that resampling is adding up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Contrast(Protocol):
    """What is compared between two arms, as a function of sums over the samples of both.

    :ivar unseen: how many more units its standard error takes to differ than do.
    :ivar linear: whether it is linear in its first part where the others are constant.
    :ivar reach: see :class:`Score`.
    """

    @property
    def unseen(self) -> int: ...  # noqa: D102 -- told above

    @property
    def linear(self) -> bool: ...  # noqa: D102

    @property
    def reach(self) -> Callable[[Floats, float, float], float]: ...  # noqa: D102

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return it for sums of both arms, of shape (..., parts)."""
        ...

    def gradients(self, base: Floats, other: Floats) -> tuple[Floats, Floats]:
        """Return its derivatives by the base's sums, negated, and by the other's."""
        ...


@dataclass(frozen=True)
class Score:
    """A score that depends on its samples through sums alone.

    :ivar parts: values of shape (n,) -> what is summed, of shape (n, parts).
    :ivar of_sums: sums of shape (..., parts) -> scores of shape (...).
    :ivar gradient: sums of shape (..., parts) -> the score's derivatives by them, same shape.
        A score does not change when every sample appears twice, so it is 0 along the sums.
    :ivar unseen: how many more units a difference's standard error takes to differ than do:
        2 as a rule, see :meth:`Units.widened_error`. A root mean square is decided by rare large
        errors that a small sample may lack; 8 is the least of 2, 4, 5, 6, 7, 8 with which
        intervals cover and equivalence tests keep their size in ``benchmarks/coverage.py``.
    :ivar linear: whether it is linear in its first part where the others are constant, so that a
        difference between arms depends on nothing but how they differ.
    :ivar reach: sums of the base arm of shape (parts,), a share of the samples, and the range of
        one sample's values -> the largest difference between two arms of which at most that share
        of the samples differ. Of macro F1 by its gradient, and so nearly.
    """

    parts: Callable[[Floats], Floats]
    of_sums: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]
    reach: Callable[[Floats, float, float], float]
    unseen: int = 2
    linear: bool = False

    def of(self, values: ArrayLike) -> float:
        """Return the score of one arm.

        :param values: of its samples, shape (n,).
        """
        return float(self.of_sums(self.parts(np.asarray(values, dtype=np.float64)).sum(axis=0)))

    def difference(self, base: Floats, other: Floats) -> Floats:
        """Return the other arm's score less the base's, for sums of shape (..., parts)."""
        return np.asarray(self.of_sums(other) - self.of_sums(base))

    def gradients(self, base: Floats, other: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of both scores, the base's first."""
        return self.gradient(base), self.gradient(other)


def _value_and_one(values: Floats) -> Floats:
    return np.stack([values, np.ones_like(values)], axis=-1)


def _mean(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _mean_gradient(sums: Floats) -> Floats:
    return np.stack([1 / sums[..., 1], -_mean(sums) / sums[..., 1]], axis=-1)


def _mean_reach(_: Floats, share: float, span: float) -> float:
    return share * span


def _root_mean(sums: Floats) -> Floats:
    return np.asarray(np.sqrt(_mean(sums)))


def _root_mean_gradient(sums: Floats) -> Floats:
    twice = 2 * _root_mean(sums)[..., None]
    return np.divide(_mean_gradient(sums), twice, out=np.zeros(sums.shape), where=twice > 0)


def _root_mean_reach(sums: Floats, share: float, span: float) -> float:
    square = float(sums[0] / sums[1])
    up = math.sqrt(square + share * span) - math.sqrt(square)
    down = math.sqrt(square) - math.sqrt(max(square - share * span, 0.0))
    return max(up, down)


_NO_LABEL = -1
_LABELS = 1 << 17
"""More than there can be labels: three numbers below it fit the 53 bits of a float's fraction."""


def encode(pairs: Sequence[tuple[int, int, int]]) -> Floats:
    """Return one number a sample for the score ``"macro_f1"``.

    :param pairs: which label was answered (-1 for none), which is right, and how many there are,
        as :data:`~qrag_tasks.tasks.metric.LabelPair` has it.
    """
    return np.asarray(
        [
            ((answered - _NO_LABEL) * _LABELS + gold) * _LABELS + labels
            for answered, gold, labels in pairs
        ],
        dtype=np.float64,
    )


def _matches(values: Floats) -> Floats:
    """Return, a label each, whether it is answered and right, and how often it is either.

    F1 needs no more of a confusion matrix.

    :returns: shape (n, 2 labels + 1); the last is 1.
    """
    codes = values.astype(np.int64)
    labels = int(codes[0] % _LABELS)
    # The first row is that of no label.
    hot = np.eye(labels + 1)[:, 1:]
    answered, gold = hot[codes // _LABELS**2], hot[codes // _LABELS % _LABELS + 1]
    return np.hstack([answered * gold, answered + gold, np.ones((len(codes), 1))])


def _by_label(sums: Floats) -> tuple[Floats, Floats]:
    """Return ``tp`` and ``2 tp + fp + fn`` of every label."""
    labels = sums.shape[-1] // 2
    return sums[..., :labels], sums[..., labels : 2 * labels]


def _macro_f1(sums: Floats) -> Floats:
    """Return the mean F1 over all labels: ``2 tp / (2 tp + fp + fn)``, 0 where nothing is so."""
    right, both = _by_label(sums)
    f1: Any = np.divide(2 * right, both, out=np.zeros(both.shape), where=both > 0)
    return np.asarray(f1.mean(axis=-1))


def _macro_f1_gradient(sums: Floats) -> Floats:
    right, both = _by_label(sums)
    rising = np.divide(2.0, both, out=np.zeros(both.shape), where=both > 0) / both.shape[-1]
    falling = np.divide(-right * rising, both, out=np.zeros(both.shape), where=both > 0)
    return np.concatenate([rising, falling, np.zeros((*sums.shape[:-1], 1))], axis=-1)


def _macro_f1_reach(sums: Floats, share: float, _: float) -> float:
    rising, falling = _by_label(_macro_f1_gradient(sums))
    # What an answer to one sample of a label adds: shape (labels + 1, labels), the first for none.
    pull = np.concatenate([[0.0], falling])[:, None] + falling
    pull[np.arange(len(rising)) + 1, np.arange(len(rising))] += rising
    return float(share * sums[-1] * np.ptp(pull, axis=0).max())


SCORES: Mapping[str, Score] = {
    "mean": Score(_value_and_one, _mean, _mean_gradient, _mean_reach, linear=True),
    "root_mean": Score(_value_and_one, _root_mean, _root_mean_gradient, _root_mean_reach, unseen=8),
    "macro_f1": Score(_matches, _macro_f1, _macro_f1_gradient, _macro_f1_reach),
}
"""Aggregation -> score, as :data:`~qrag_tasks.tasks.metric.Aggregation` names them."""
