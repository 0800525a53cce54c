"""The first screen's words and strips: the question, and where each arm's loss lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.arm_summaries import ArmKey, ArmSummary

_NAMED = 6
"""Arms that the question names; of more it tells the number."""
_BASES = 2
_WIDTH = 150
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
    """Where an arm's pooled loss lies, in pixels, gains to the right.

    :ivar point: ``None`` without a test over all cells.
    :ivar beyond: whether the loss or its interval goes on beyond the strip's end.
    """

    width: int
    zero: float
    margin: tuple[float, float]
    point: float | None
    low: float | None
    high: float | None
    beyond: bool


def strips(summaries: Sequence[ArmSummary]) -> dict[ArmKey, Strip]:
    """Return a strip for each arm with a test over all cells, all to one scale."""
    pooled = {one.key: one.pooled for one in summaries if one.pooled is not None}
    if not pooled:
        return {}
    ends = [1.0]
    for row in pooled.values():
        ends.append(abs(row.effect))
        if row.interval is not None:
            ends += [abs(row.interval.low), abs(row.interval.high)]
    reach = min(_REACH, max(ends)) * 1.1

    def place(effect: float) -> float:
        # A loss stands to the left, as in all figures of the page.
        return round(_WIDTH / 2 * (1 - max(-1.0, min(1.0, effect / reach))), 1)

    return {
        key: Strip(
            _WIDTH,
            place(0.0),
            (place(1.0), place(-1.0)),
            place(row.effect),
            place(row.interval.high) if row.interval else None,
            place(row.interval.low) if row.interval else None,
            max(
                abs(row.effect),
                *(map(abs, (row.interval.low, row.interval.high)) if row.interval else (0,)),
            )
            > reach,
        )
        for key, row in pooled.items()
    }
