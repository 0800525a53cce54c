"""What tells arms, models and retrievers apart in figures: the same thing in all of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle

from qrag_tasks.experiment.comparison.k_series import lines
from qrag_tasks.experiment.comparison.rows import Comparison

COLOURS: Mapping[str, str] = {
    "fp32": "#94a4a2",
    "bf16": "#3f90da",
    "fp16": "#717581",
    "fp8": "#92dadd",
    "int8": "#832db6",
    "int4-nf4": "#e76300",
    "int4-fp4": "#ffa90e",
    "int4-gptq": "#bd1f01",
    "int4-awq": "#a96b59",
}
"""Precision -> colour, in every report. Of Petroff's ten (arXiv 2107.02270), which colour-blind
readers tell apart. There are more precisions than such colours: all others, GGUF files among them,
take those that a report has left."""
_FURTHER = ("#b9ac70",)

_MARKERS = "os^DvPX*<>phd"

Dashes = str | tuple[float, tuple[float, ...]]
"""A line style of matplotlib."""


@dataclass(frozen=True)
class Looks:
    """What is drawn how.

    :ivar colours: arm -> colour.
    :ivar markers: model -> marker.
    :ivar dashes: retriever -> line style.
    """

    colours: Mapping[str, str]
    markers: Mapping[str, str]
    dashes: Mapping[str, Dashes]

    @classmethod
    def of(cls, comparison: Comparison) -> Looks:
        """Return how all figures of a comparison show what is in it."""
        cells = comparison.cells
        retrievers = dict.fromkeys(line[4] for line in lines(cells))
        return cls(
            colours([arm.arm for cell in cells for arm in (cell.base, cell.other)], COLOURS),
            markers(cell.other.model for cell in cells),
            {name: _dashes(n) for n, name in enumerate(retrievers)},
        )


def colours(names: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return a colour for each name, no two the same.

    :param own: name -> the colour that it has wherever it is drawn; others take what is left.
    """
    import matplotlib

    names = list(dict.fromkeys(names))
    known = {name: own[name] for name in names if name in own}
    others = [name for name in names if name not in known]
    free = [one for one in (*_FURTHER, *COLOURS.values()) if one not in known.values()]
    if len(others) > len(free):
        sampled = matplotlib.colormaps["turbo"].resampled(len(others))
        free = [matplotlib.colors.to_hex(sampled(n)) for n in range(len(others))]
    return known | dict(zip(others, free, strict=False))


def markers(names: Iterable[str]) -> dict[str, str]:
    """Return a marker for each name; no two the same, while there are as many."""
    return dict(zip(dict.fromkeys(names), cycle(_MARKERS)))


def _dashes(number: int) -> Dashes:
    """Return the line style of a number: dotted, dashed, dash-dot, dash-dot-dot, and so on."""
    if number < 2:
        return ("-", ":")[number]
    return 0, (5, 2) + (1, 2) * (number - 2)
