"""Score and difference against an attribute of the questions: a line for each arm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qrag_tasks.experiment.comparison.rows import (
    AttributeBin,
    AttributeRow,
    CellRow,
    Comparison,
    MetricRow,
)
from qrag_tasks.experiment.comparison.tables.by_attribute import chosen_rows
from qrag_tasks.experiment.report.drawing import (
    BASE,
    FILLED,
    INK,
    Figure,
    add_legend,
    arrow,
    differs,
    panel_grid,
)
from qrag_tasks.experiment.report.looks import Looks
from qrag_tasks.experiment.report.panels import short_name, wrapped

_LONGEST = 18
"""Letters of a class below an axis."""


@dataclass(frozen=True)
class AttributePanel:
    """The arms of one model over one task, k and retriever, by one attribute.

    :ivar lines: of each arm, its cell and its row.
    """

    attribute: str
    lines: Sequence[tuple[CellRow, AttributeRow]]

    @property
    def longest(self) -> AttributeRow:
        """The row with the most bins: others may lack some."""
        return max((row for _, row in self.lines), key=lambda row: len(row.bins))

    @property
    def labels(self) -> list[str]:
        """What the bins are called."""
        return [one.label for one in self.longest.bins]

    @property
    def numeric(self) -> bool:
        """Whether bins stand at the mean of a number."""
        return all(one.mean is not None for one in self.longest.bins)

    def place(self, one: AttributeBin) -> float:
        """Return where a bin stands."""
        if self.numeric and one.mean is not None:
            return one.mean
        return float(self.labels.index(one.label))

    @property
    def title(self) -> str:
        """What it shows, in a line or two."""
        cell = self.lines[0][0]
        asked = [short_name(cell.retriever or "")] if cell.k not in (None, "0") else []
        asked += [f"k = {cell.k}"] if cell.k else []
        task = cell.lamp_task or cell.task
        return wrapped(", ".join(filter(None, [cell.other.model, task, *asked])))


def attribute_panels(comparison: Comparison) -> Iterator[AttributePanel]:
    """Yield a panel for each attribute and each set of cells that differ in their arms alone."""
    panels: dict[tuple[Any, ...], list[tuple[CellRow, AttributeRow]]] = {}
    for row in chosen_rows(comparison, None):
        cell = comparison.cells[row.cell]
        if len(row.bins) > 1:
            which = (cell.lamp_task or cell.task, cell.k, cell.retriever, cell.order, cell.filter)
            key = (row.attribute, cell.other.model, cell.base.label, *which)
            panels.setdefault(key, []).append((cell, row))
    for (attribute, *_), lines in panels.items():
        yield AttributePanel(attribute, lines)


def attribute_figures(comparison: Comparison, looks: Looks, level: str) -> Iterator[Figure]:
    """Yield two figures for each attribute: scores, and differences to the base.

    :param level: of the intervals, in words.
    """
    by_name: dict[str, list[AttributePanel]] = {}
    for panel in attribute_panels(comparison):
        by_name.setdefault(panel.attribute, []).append(panel)
    for name, panels in by_name.items():
        yield _figure(
            f"score-by-{name}",
            f"Score against {name}. The thick line is the base. {FILLED} {_where(panels)}",
            panels,
            looks,
            _scores,
        )
        yield _figure(
            f"gap-by-{name}",
            f"Difference to the base against {name}: a bar is the {level} interval of one bin, by "
            f"users, not corrected for the number of comparisons. {FILLED} {_where(panels)}",
            panels,
            looks,
            _gaps,
        )


def _where(panels: Sequence[AttributePanel]) -> str:
    if not any(panel.numeric for panel in panels):
        return "A place is a class of questions."
    kinds = {
        "quantiles": "bins of about as many questions each",
        "edges": "bins with the edges that were asked for",
        "values": "a bin for each value",
    }
    binned = dict.fromkeys(kinds[panel.longest.binned] for panel in panels)
    return f"A marker stands at the mean of its bin: {', '.join(binned)}."


def _figure(
    name: str,
    caption: str,
    panels: Sequence[AttributePanel],
    looks: Looks,
    draw: Callable[[Any, AttributePanel, Looks], None],
) -> Figure:
    drawn, places = panel_grid(len(panels))
    if not all(panel.numeric for panel in panels):
        # Slanted names below an axis take what the panel would have.
        drawn.set_figheight(1.35 * drawn.get_figheight())
    for axes, panel in zip(places, panels, strict=True):
        draw(axes, panel, looks)
        axes.set_title(panel.title)
        _label(axes, panel)
    bases = dict.fromkeys(cell.base.arm for panel in panels for cell, _ in panel.lines)
    others = dict.fromkeys(cell.other.arm for panel in panels for cell, _ in panel.lines)
    entries: list[tuple[str, dict[str, Any]]] = [
        (f"{arm} (base)", {"color": looks.colours[arm], **BASE})
        for arm in (bases if draw is _scores else ())
    ]
    add_legend(drawn, [*entries, *((arm, {"color": looks.colours[arm]}) for arm in others)])
    return Figure(name, caption, drawn)


def _label(axes: Any, panel: AttributePanel) -> None:
    axes.set_xlabel(panel.attribute)
    if panel.numeric:
        return
    short = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in panel.labels]
    axes.set_xticks(range(len(short)), short, rotation=35, ha="right", rotation_mode="anchor")


def _scores(axes: Any, panel: AttributePanel, looks: Looks) -> None:
    first, metric = panel.lines[0][0], panel.longest.bins[0].row
    # Of classes there is no between: their markers are not joined.
    dashes = "-" if panel.numeric else "none"
    base = {"color": looks.colours[first.base.arm], "label": first.base.arm}
    bins = panel.longest.bins
    axes.plot(
        [panel.place(one) for one in bins],
        [one.row.base for one in bins],
        linestyle=dashes,
        marker="none" if panel.numeric else "_",
        markersize=14,
        markeredgewidth=3,
        **base,
        **BASE,
    )
    for cell, row in panel.lines:
        _marked(axes, panel, cell, row, looks, lambda one: one.other, dashes)
    axes.set_ylabel(metric.metric + arrow(metric))


def _gaps(axes: Any, panel: AttributePanel, looks: Looks) -> None:
    axes.axhline(0, color=INK, linewidth=0.8)
    dashes = "-" if panel.numeric else "none"
    places = sorted({panel.place(one) for one in panel.longest.bins})
    # Beside each other, so that intervals do not hide each other.
    apart = 6 if panel.numeric else 3
    step = min(b - a for a, b in pairwise(places)) / (len(panel.lines) + apart)
    for number, (cell, row) in enumerate(panel.lines):
        shift = step * (number - (len(panel.lines) - 1) / 2)
        colour = looks.colours[cell.other.arm]
        for one in row.bins:
            if one.row.interval is not None:
                ends = (one.row.interval.low, one.row.interval.high)
                axes.vlines(panel.place(one) + shift, *ends, color=colour, linewidth=1.2)
        _marked(axes, panel, cell, row, looks, lambda one: one.difference, dashes, shift)
    axes.set_ylabel(f"{panel.longest.metric}, less {panel.lines[0][0].base.arm}'s")


def _marked(
    axes: Any,
    panel: AttributePanel,
    cell: CellRow,
    row: AttributeRow,
    looks: Looks,
    value: Callable[[MetricRow], float],
    dashes: str,
    shift: float = 0,
) -> None:
    """Draw an arm's line; markers are filled where the difference to the base is significant."""
    style = {
        "color": looks.colours[cell.other.arm],
        "marker": looks.markers[cell.other.model],
        "markersize": 4.5,
    }
    x = [panel.place(one) + shift for one in row.bins]
    y = [value(one.row) for one in row.bins]
    axes.plot(x, y, linestyle=dashes, markerfacecolor="none", label=cell.other.arm, **style)
    marks = zip(x, y, row.bins, strict=True)
    sure = [(place, height) for place, height, one in marks if differs(one.row)]
    if sure:
        axes.plot(*zip(*sure, strict=True), linestyle="none", **style)
