"""The first screen's words and strips: the question, and where each arm's loss lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.arm_summaries import ArmKey, ArmSummary
from qrag_tasks.experiment.statistics import Interval

_NAMED = 6
"""Arms that the question names; of more it tells the number."""
_BASES = 2
_WIDTH = 150
_EDGE = 12
"""Pixels at each end of a strip, for a mark of what goes on beyond it."""
_REACH = 4.0
"""Margins that a strip shows to each side of no difference at most."""


def question(comparison: Comparison, summaries: Sequence[ArmSummary]) -> str:
    """Return what a comparison asks, in one sentence.

    :param summaries: whose order is the arms'.
    """
    cells = comparison.cells
    models = list(dict.fromkeys(cell.other.model for cell in cells))
    others = list(dict.fromkeys(one.key[1] or one.arm for one in summaries))
    bases = list(dict.fromkeys(cell.base.arm or cell.base.label for cell in cells))
    retrieved = " from retrieved documents" if any(cell.kept for cell in cells) else ""
    asked = _any_of(others, "arms")
    instead = "its base" if len(bases) > _BASES else _any_of(bases, "bases")
    if {cell.base.model for cell in cells} == set(models):
        asked = f"{_any_of(models, 'models', ' and ')} run as {asked}"
    else:
        asked = f"{asked} run"
    return f"Can {asked} instead of {instead} without answering worse{retrieved}?"


def _any_of(names: Sequence[str], noun: str, last: str = " or ") -> str:
    if len(names) > _NAMED:
        return f"any of {len(names)} {noun}"
    # An arm that is told from another by its k has that in its name.
    *first, end = (name.replace(", ", " with ", 1) for name in names)
    return f"{', '.join(first)}{last}{end}" if first else end


@dataclass(frozen=True)
class Strip:
    """Where an arm's mean loss over all cells lies, in pixels, gains to the right.

    :ivar margin: from a loss of one margin to a gain of one.
    :ivar reach: ends of the interval.
    :ivar beyond: side on which the loss goes on beyond the strip: ``left``, ``right`` or empty.
    """

    width: int
    zero: float
    margin: tuple[float, float]
    point: float
    reach: tuple[float, float]
    beyond: str


def strips(summaries: Sequence[ArmSummary]) -> dict[ArmKey, Strip]:
    """Return a strip for each arm with an interval over all cells, all to one scale.

    Without one, a point within the margin would look like an all-clear.
    """
    pooled = {
        one.key: (one.pooled.effect, one.pooled.interval)
        for one in summaries
        if one.pooled is not None and one.pooled.interval is not None
    }
    ends = [abs(value) for effect, i in pooled.values() for value in (effect, i.low, i.high)]
    scale = 1.1 * min(_REACH, max([1.0, *ends]))
    return {key: _strip(effect, interval, scale) for key, (effect, interval) in pooled.items()}


def _strip(loss: float, interval: Interval, scale: float) -> Strip:
    def place(effect: float) -> float:
        # A loss stands to the left, as in all figures of the page.
        share = max(-1.0, min(1.0, effect / scale))
        return round(_WIDTH / 2 - share * (_WIDTH / 2 - _EDGE), 1)

    return Strip(
        _WIDTH,
        place(0.0),
        (place(1.0), place(-1.0)),
        place(loss),
        (place(interval.high), place(interval.low)),
        "" if abs(loss) <= scale else "left" if loss > 0 else "right",
    )
