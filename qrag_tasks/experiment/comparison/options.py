"""How to compare: margins, samples, noise, resampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Track = Callable[[Sequence[Any], str], Iterable[Any]]
"""Goes through a sequence and shows how far it is: by what text is the second parameter."""

MARGINS: Mapping[str, float] = {
    "accuracy": 0.02,
    "f1": 0.02,
    "acc": 0.02,
    "acc_norm": 0.02,
    "exact_match": 0.02,
    "mae": 0.05,
    "rmse": 0.05,
    "rouge1": 0.01,
    "rougeL": 0.01,
}
"""Metric -> difference below which two arms are taken for equally good, where none is stated."""


@dataclass(frozen=True)
class Options:
    """How to compare.

    :ivar margins: metric -> equivalence margin, beside and above :data:`MARGINS`.
    :ivar common: compare the samples that both arms have, where one has more.
    :ivar noise: what ``qrag noise --out`` wrote, one mapping a file.
    :ivar attributes: attributes of the questions that scores are asked for by -> where one bin
        ends and the next begins, of numbers; ``None`` for bins of about as many questions each.
    :ivar level: of the intervals.
    """

    margins: Mapping[str, float] = field(default_factory=dict)
    common: bool = False
    noise: Sequence[Mapping[str, Any]] = ()
    attributes: Mapping[str, Sequence[float] | None] = field(default_factory=dict)
    level: float = 0.95
    resamples: int = 9999
    seed: int = 0

    def margin(self, metric: str) -> float | None:
        """Return the equivalence margin of a metric, if one is stated."""
        named = metric.removesuffix("_lamp")
        return self.margins.get(metric, MARGINS.get(metric, MARGINS.get(named)))
