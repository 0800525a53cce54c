"""Scores of resamples: what is added up of the units that were drawn, and what the sums come to.

To add up is a product of matrices, how often units were drawn by what they hold: it takes hardly
longer for the metrics of many cells than for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from qrag_tasks.experiment.statistics.draws import Counts
from qrag_tasks.experiment.statistics.scores import Floats
from qrag_tasks.experiment.statistics.units import Units

_PARTS_FOR_MOMENTS = 2
_EXACT = 2.0**24
"""Up to here, single precision adds whole numbers without rounding."""


class Resampling:
    """Scores of several metrics over the same resamples.

    :param many: the units of each metric, equal in number.
    """

    def __init__(self, many: Sequence[Units]) -> None:
        # Metrics that hold the same are one, as the official score and ours often are.
        number_of: dict[tuple[object, ...], int] = {}
        self._numbers = [
            number_of.setdefault(
                (units.score, units.base.tobytes(), units.other.tobytes()), len(number_of)
            )
            for units in many
        ]
        firsts = [many[self._numbers.index(number)] for number in range(len(number_of))]
        self._members = [
            _Moments(units) if units.base.shape[1] <= _PARTS_FOR_MOMENTS else _Kinds(units)
            for units in firsts
        ]
        numbers, columns = _numbered(c for member in self._members for c in member.columns)
        ends = np.cumsum([len(member.columns) for member in self._members])
        self._places = np.split(np.asarray(numbers, dtype=np.intp), ends[:-1])
        whole = (columns == np.round(columns)).all(axis=1)
        self._whole = whole & (np.abs(columns).max(axis=1, initial=0) * len(many[0]) < _EXACT)
        self._columns = columns[self._whole].astype(np.float32), columns[~self._whole]

    def scores(self, times: Counts) -> list[tuple[Floats, Floats]]:
        """Return, for each metric, the difference over drawn units, and its standard error.

        The error is what :meth:`Units.standard_error` is over all units. Shape (resamples,) each.

        :param times: how often each unit is drawn, shape (resamples, units).
        """
        sums = np.empty((len(self._whole), len(times)))
        for rows, columns in zip((self._whole, ~self._whole), self._columns, strict=True):
            if len(columns):
                sums[rows] = columns @ times.T.astype(columns.dtype)
        scores = [
            member.scores(sums[places], times)
            for member, places in zip(self._members, self._places, strict=True)
        ]
        return [scores[number] for number in self._numbers]


class _Moments:
    """Sums and products of units, which are all that a score of few parts needs.

    With ``d = o - b``, a unit adds ``g' d + (g - h)' b`` to the linearized difference, so the sum
    of its squares needs the sums of ``d d'``, ``d b'`` and ``b b'`` alone, and no value is the
    small difference of large ones.

    :ivar columns: what is to be added up, once each: shape (columns, units).
    """

    def __init__(self, units: Units) -> None:
        self._score, self._units = units.score, len(units)
        base, moved = units.base, units.other - units.base
        rest = base[:, 1:]
        if units.score.linear and (rest == rest[0]).all() and not moved[:, 1:].any():
            base = np.hstack([np.zeros((len(base), 1)), rest])
        groups = [[*moved.T], [*base.T]]
        for one, two in ((moved, moved), (moved, base), (base, base)):
            groups.append([a * b for a, b in product(one.T, two.T)])
        places, self.columns = _numbered(
            vector for group in groups for vector in group if not _constant(vector)
        )
        place = iter(places)
        # The place of a column, or a sum that is the same in all resamples.
        self._groups = [
            [float(vector.sum()) if _constant(vector) else next(place) for vector in group]
            for group in groups
        ]

    def scores(self, sums: Floats, times: Counts) -> tuple[Floats, Floats]:
        """Return what :meth:`Resampling.scores` does, of one metric.

        :param sums: of the columns, shape (columns, resamples).
        """
        score, resamples = self._score, len(times)
        first, second, *products = (
            [entry if isinstance(entry, float) else sums[entry] for entry in group]
            for group in self._groups
        )
        moved, base = np.zeros((2, len(first), resamples))
        for rows, group in ((moved, first), (base, second)):
            for row, entry in zip(rows, group, strict=True):
                row[:] = entry
        other = base + moved
        falling, gradient = (both.T for both in score.gradients(base.T, other.T))
        turned = gradient - falling
        squares, size = np.zeros((2, resamples))
        both = (1, gradient, gradient), (2, gradient, turned), (1, turned, turned)
        for (factor, one, two), group in zip(both, products, strict=True):
            term = np.zeros(resamples)
            for (a, b), entry in zip(product(one, two), group, strict=True):
                # Most are 0 where all units are of one size.
                if not isinstance(entry, float) or entry:
                    term += factor * entry * a * b
            squares += term
            size += np.abs(term)
        # What rounding leaves of terms that cancel is 0.
        squares = np.where(squares > 1e-12 * size, squares, 0.0)
        return score.difference(base.T, other.T), _error(squares, self._units)


class _Kinds:
    """How often each kind of unit is drawn, for scores of many parts.

    :ivar columns: none: to add up what is sorted by kind takes less than a product.
    """

    def __init__(self, units: Units) -> None:
        self._score, self._units = units.score, len(units)
        kinds, self._both = _numbered(np.hstack([units.base, units.other]))
        self._order = np.argsort(kinds, kind="stable")
        self._starts = np.searchsorted(np.sort(kinds), np.arange(len(self._both)))
        self.columns = np.zeros((0, len(units)))

    def scores(self, sums: Floats, times: Counts) -> tuple[Floats, Floats]:
        """Return what :meth:`Resampling.scores` does, of one metric.

        :param sums: of no columns.
        """
        score = self._score
        sorted_times = times[:, self._order]
        drawn = np.add.reduceat(sorted_times, self._starts, axis=1, dtype=np.intp).astype(float)
        base, other = np.hsplit(drawn @ self._both, 2)
        falling, rising = score.gradients(base, other)
        gradients = np.hstack([-falling, rising])
        pull = gradients @ self._both.T
        squares = np.einsum("rk,rk,rk->r", drawn, pull, pull)
        return score.difference(base, other), _error(squares, self._units)


def _error(squares: Floats, units: int) -> Floats:
    return np.asarray(np.sqrt(units / (units - 1) * squares))


def _constant(vector: Floats) -> bool:
    return bool((vector == vector[0]).all())


def _numbered(vectors: Iterable[Floats]) -> tuple[list[int], Floats]:
    """Return the number of each vector among the different ones, and these, stacked."""
    number_of: dict[bytes, int] = {}
    different: list[Floats] = []
    numbers = []
    for vector in vectors:
        number = number_of.setdefault(vector.tobytes(), len(different))
        if number == len(different):
            different.append(vector)
        numbers.append(number)
    return numbers, np.stack(different) if different else np.zeros((0, 0))
