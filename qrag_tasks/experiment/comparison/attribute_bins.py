"""The bins that questions fall into by an attribute: ranges of a number, or classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qrag_tasks.tasks.base import Attribute

QUANTILES = 5
"""Bins of a number, where nobody says how many."""
MOST_CLASSES = 20
"""More classes, or more different values, than this are no bins."""
_FEW_VALUES = 6
"""A number of which so few values occur has a bin for each."""

Binned = Literal["quantiles", "edges", "values"]


@dataclass(frozen=True)
class Bins:
    """How the values of one attribute fall into bins.

    :ivar labels: of the bins, in their order.
    :ivar binned: by what.
    :ivar edges: of numbers: where each bin but the first begins.
    :ivar classes: of texts, and of numbers with a bin each.
    """

    labels: Sequence[str]
    binned: Binned
    edges: Sequence[float] = ()
    classes: Sequence[Attribute] = ()

    def of(self, value: Attribute) -> int:
        """Return the number of the bin that a value is in."""
        if self.classes:
            return self.classes.index(value)
        return int(np.searchsorted(self.edges, float(value), side="right"))


def bins_of(values: Iterable[Attribute], edges: Sequence[float] | None = None) -> Bins | None:
    """Return the bins of an attribute.

    A text is a class. A number has the bins that ``edges`` say; else one for each value, where
    there are six at most; else up to five, of about as many questions each: equal values are never
    parted.

    :param values: of all questions, at least one.
    :param edges: where one bin ends and the next begins, rising; a value at an edge is in the bin
        that begins there.
    :returns: ``None`` where there are more classes than bins make sense for.
    """
    values = list(values)
    if not is_number(values):
        return _classes(values)
    numbers = np.asarray(values, dtype=np.float64)
    if edges is not None:
        return _labelled(numbers, edges, "edges")
    if len(set(values)) <= _FEW_VALUES:
        return _classes(values)
    # Where each bin begins: at the value that a fifth, two fifths, ... of all come before.
    ordered = np.sort(numbers)
    begins = ordered[np.arange(1, QUANTILES) * len(ordered) // QUANTILES]
    rising = [float(begin) for begin in np.unique(begins) if begin > ordered[0]]
    return _labelled(numbers, rising, "quantiles")


def is_number(values: Iterable[Attribute]) -> bool:
    """Whether an attribute is a number in all of its values."""
    return all(isinstance(value, int | float) for value in values)


def number_text(value: float) -> str:
    """Return a number as a label has it: ``12,000``, ``0.25``."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _classes(values: Sequence[Attribute]) -> Bins | None:
    if len(set(values)) > MOST_CLASSES:
        return None
    if is_number(values):
        ordered: list[Attribute] = sorted({float(value) for value in values})
        return Bins([number_text(float(value)) for value in ordered], "values", classes=ordered)
    known = sorted(set(values), key=str)
    return Bins([str(value) for value in known], "values", classes=known)


def _labelled(numbers: np.ndarray, edges: Sequence[float], binned: Binned) -> Bins:
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), numbers, side="right")
    labels = []
    for number in range(len(edges) + 1):
        if binned == "edges":
            labels.append(_between(edges, number))
            continue
        its = numbers[places == number]
        low, high = number_text(its.min()), number_text(its.max())
        labels.append(low if low == high else f"{low} to {high}")
    return Bins(labels, binned, edges=tuple(edges))


def _between(edges: Sequence[float], number: int) -> str:
    if number == 0:
        return f"below {number_text(edges[0])}"
    if number == len(edges):
        return f"{number_text(edges[-1])} and more"
    return f"{number_text(edges[number - 1])} to below {number_text(edges[number])}"
