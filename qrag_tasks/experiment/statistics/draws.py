"""Random draws for resampling, a batch at a time, so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.experiment.statistics.scores import Floats

_BATCH = 4_000_000
_HELD = 256_000_000
"""Draws that are kept for the next metric: a quarter of a gigabyte."""

Counts = NDArray[np.unsignedinteger[Any]]


def times_drawn(units: int, resamples: int, seed: int) -> Iterator[Counts]:
    """Yield how often each unit is drawn, of as many draws as there are units.

    Equal arguments give equal draws: every metric of every cell with as many units has the same,
    and they are drawn once.

    :returns: batches of shape (some resamples, units).
    """
    if units * resamples <= _HELD:
        yield from _held(units, resamples, seed)
    else:
        yield from _drawn(units, resamples, seed)


@lru_cache(maxsize=1)
def _held(units: int, resamples: int, seed: int) -> list[Counts]:
    return list(_drawn(units, resamples, seed))


def _drawn(units: int, resamples: int, seed: int) -> Iterator[Counts]:
    rng = np.random.default_rng(seed)
    rows = max(1, _BATCH // units)
    for start in range(0, resamples, rows):
        many = min(rows, resamples - start)
        numbers = rng.integers(0, units, (many, units)) + units * np.arange(many)[:, None]
        counts = np.bincount(numbers.ravel(), minlength=many * units).reshape(many, units)
        yield counts.astype(np.min_scalar_type(counts.max()))


class SignedSums:
    """Sums of rows, each of them in or out: in all ways, or by chance.

    Eight rows at a time are looked up in a table of their 256 sums.

    :param rows: shape (rows, parts).
    """

    def __init__(self, rows: Floats) -> None:
        self._count = len(rows)
        padded = np.zeros((-(-len(rows) // 8) * 8, rows.shape[1]))
        padded[: len(rows)] = rows
        bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
        self._tables = np.einsum("ne,tep->tnp", bits, padded.reshape(-1, 8, rows.shape[1]))

    def all(self) -> Iterator[Floats]:
        """Yield the sums of all choices of rows without the last: its choices mirror these."""
        ways = 1 << (self._count - 1)
        for start in range(0, ways, _BATCH // 8):
            numbers = np.arange(start, min(ways, start + _BATCH // 8), dtype="<u8")
            octets = numbers.view(np.uint8).reshape(-1, 8)
            yield self._sums(octets.T)

    def random(self, draws: int, rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the sums of random choices, each row in with probability 1/2."""
        octets = len(self._tables)
        many = max(1, min(draws, 2 * _BATCH // octets))
        for start in range(0, draws, many):
            rows = min(many, draws - start)
            yield self._sums(rng.integers(0, 256, (octets, rows), dtype=np.uint8))

    def _sums(self, octets: NDArray[np.uint8]) -> Floats:
        """:param octets: shape (at least an eighth of the rows, choices)."""
        sums = np.zeros((octets.shape[1], self._tables.shape[2]))
        for table, numbers in zip(self._tables, octets, strict=False):
            sums += table.take(numbers, axis=0)
        return sums
