"""What a score is: its name, its direction, and how the values of all samples become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Aggregation = Literal["mean", "root_mean", "macro_f1"]
LabelPair = tuple[int, int, int]
"""Which label was answered (-1 for none) and which is right, of how many: for ``macro_f1``."""
Value: TypeAlias = "float | LabelPair"


@dataclass(frozen=True)
class Metric:
    """One score of a task.

    ``aggregation`` is ``"mean"``, ``"root_mean"`` for per-sample values that are squares, or
    ``"macro_f1"`` for :data:`LabelPair`.
    """

    name: str
    higher_is_better: bool
    summary: str
    aggregation: Aggregation = "mean"


VALID_RATE = Metric("valid_rate", True, "share of answers that hold what was asked for")
RUNAWAY_RATE = Metric("runaway_rate", False, "share of answers that hit their length limit")
UNFINISHED_THOUGHT_RATE = Metric(
    "unfinished_thought_rate", False, "share of answers that are a thought without an end"
)
