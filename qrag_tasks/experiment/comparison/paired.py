"""The samples of all that is compared, paired once for whoever needs them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from qrag_tasks.experiment.comparison.agreement import Pair
from qrag_tasks.experiment.comparison.matching import Matched, differ_by_design
from qrag_tasks.experiment.comparison.options import Options, Track
from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.experiment.pairing import pair


class PairedCells:
    """What is compared, how, and its samples, which are read and paired when first asked for.

    :param track: shows how far it is.
    """

    def __init__(
        self, matched: Matched, options: Options, track: Track = lambda members, _: members
    ) -> None:
        self.matched = matched
        self.options = options
        self.track = track

    @cached_property
    def values(self) -> list[Values]:
        """The samples of every cell, in the order of the tables: one per filter.

        :raises DataError: when a log cannot be read.
        :raises ComparisonError: when two arms were given different prompts.
        """
        cells = []
        for base, other in self.track(self.matched.sides, "reading"):
            pairs = pair(
                *(base.task, other.task, base.run, other.run),
                common=self.options.common,
                by_design=differ_by_design(base, other),
            )
            cells += [Values(base, other, name, its) for name, its in _by_filter(pairs).items()]
        return cells


def _by_filter(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    filters: dict[str, list[Pair]] = {}
    for both in pairs:
        filters.setdefault(both[0].filter, []).append(both)
    return filters
