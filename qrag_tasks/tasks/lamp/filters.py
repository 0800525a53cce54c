"""The questions and profile items that arXiv 2406.10251 left out (``filter=yazan2024``).

In this order, lengths in words between single spaces (``split(" ")``: of two spaces in a row, each
ends a word, and no other white space does):

1. questions whose query is longer than the 0.995 quantile of all queries;
2. profile items whose long field (review, abstract) is longer than the 0.995 quantile of those of
   all the questions that are left, a profile counted once for every question;
3. profile items that say "No abstract available".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from qrag_tasks.tasks.base import DataSet, Item, Sample

QUANTILE = 0.995
"""Interpolated linearly, numpy's and pandas' default."""
NO_ABSTRACT = "No abstract available"


def yazan2024_filter(data: DataSet) -> DataSet:
    """Return the data set without what arXiv 2406.10251 left out.

    Its notes say how much that is, and its fingerprint is another.
    """
    task, samples = data.task, data.samples
    field = task.prompt.long_field
    queries, items_of = [], []
    for sample in samples:
        queries.append(_words(task.query(sample.input)))
        items_of.append([_words(item[field]) for item in sample.profile])
    longest_query = float(np.quantile(queries, QUANTILE))
    left = [index for index, words in enumerate(queries) if words <= longest_query]
    items = [words for index in left for words in items_of[index]]
    longest_item = float(np.quantile(items, QUANTILE)) if items else 0.0
    kept = FilteredSamples(samples, left, field, longest_item)
    too_long = sum(words > longest_item for words in items)
    # In the words of earlier releases: what they kept of the data that are left stays good.
    key = f"{data.fingerprint}:filter=paper, words between single spaces"
    return replace(
        data,
        samples=kept,
        ids=tuple(data.ids[index] for index in left),
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        notes=(
            *data.notes,
            f"{task.name}, filter=yazan2024: {len(samples) - len(left)} of {len(samples)} "
            f"questions left out, longer than {longest_query:.6g} words; {too_long} of "
            f"{len(items)} profile items, longer than {longest_item:.6g} words, and those that say "
            f'"{NO_ABSTRACT}"',
        ),
    )


class FilteredSamples(Sequence[Sample]):
    """Some samples of a data set, each without the profile items that are left out.

    :param indices: the samples that are left, in the data's order.
    :param field: the long field of a profile item.
    :param longest: the most words that it may have.
    """

    def __init__(
        self, samples: Sequence[Sample], indices: Sequence[int], field: str, longest: float
    ) -> None:
        self._samples = samples
        self._indices = indices
        self._field = field
        self._longest = longest

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            chosen = self._indices[index]
            return FilteredSamples(self._samples, chosen, self._field, self._longest)
        sample = self._samples[self._indices[index]]
        return replace(sample, profile=tuple(filter(self._keeps, sample.profile)))

    def _keeps(self, item: Item) -> bool:
        return _words(item[self._field]) <= self._longest and not any(
            NO_ABSTRACT in text for text in item.values()
        )


def _words(text: str) -> int:
    return len(text.split(" "))
