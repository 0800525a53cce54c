"""Figures of a comparison, as SVG that takes the page's colours, and as files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.lines import lines
from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow
from qrag_tasks.experiment.report.answer import headline_row, loss

# Okabe and Ito's colours: told apart by colour-blind readers, on white and on black.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_INK = "#010203"
"""Stands for the page's own text colour until the SVG is written."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    :ivar name: for a file.
    :ivar caption: what it shows.
    :ivar drawn: matplotlib's.
    """

    name: str
    caption: str
    drawn: Any

    def svg(self) -> str:
        """Return it for a page: text as text, in the page's colour."""
        out = io.StringIO()
        import matplotlib

        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "qrag"}):
            self.drawn.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        text = out.getvalue()
        return text[text.index("<svg") :].replace(_INK, "currentColor")

    def save(self, folder: Path) -> list[Path]:
        """Write it as SVG and PDF, black on white.

        :raises StoreError: when it cannot be written.
        """
        import matplotlib

        paths = [folder / f"{self.name}.{form}" for form in ("svg", "pdf")]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # TrueType: publishers refuse the Type 3 fonts that are matplotlib's default.
            with matplotlib.rc_context({"pdf.fonttype": 42}):
                for path in paths:
                    self.drawn.savefig(path, metadata={} if path.suffix == ".svg" else None)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
        return paths


def figures(comparison: Comparison) -> list[Figure]:
    """Return the figures that a comparison has the cells for.

    Score against k, the difference against k, retrievers compared, and loss against memory saved.
    """
    import matplotlib
    from cycler import cycler

    settings = {
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), _INK),
        **dict.fromkeys(("xtick.color", "ytick.color", "axes.titlecolor"), _INK),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9.0,
        "legend.frameon": False,
        "axes.titlesize": 9.0,
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=_COLOURS),
    }
    with matplotlib.rc_context(settings):
        panels = list(_panels(comparison))
        found = []
        if panels:
            found.append(_scores(panels))
            found.append(_gaps(panels))
            if len({panel.retriever for panel in panels}) > 1:
                found.append(_retrievers(panels))
        if saved := _savings(comparison):
            found.append(saved)
    return found


@dataclass(frozen=True)
class _Line:
    arm: str
    cells: Sequence[tuple[CellRow, MetricRow]]

    def k(self) -> list[str]:
        return [str(cell.facts["k"]) for cell, _ in self.cells]

    def documents(self) -> list[float]:
        return [cell.kept or 0.0 for cell, _ in self.cells]


@dataclass(frozen=True)
class _Panel:
    """One model and task by one retriever: a line for each precision."""

    model: str
    task: str
    retriever: str
    order: str
    base: str
    lines: Sequence[_Line]

    @property
    def longest(self) -> _Line:
        """The line that tells the most of the base: others may lack cells."""
        return max(self.lines, key=lambda line: len(line.cells))

    @property
    def metric(self) -> MetricRow:
        return self.lines[0].cells[0][1]

    @property
    def title(self) -> str:
        order = "" if self.order in ("", "best-first") else f", {self.order}"
        return f"{self.model}, {self.task}, {_short(self.retriever)}{order}"


def _short(retriever: str) -> str:
    """Leave of long options their end: two titles stand side by side."""
    name, _, options = retriever.partition(":")
    return f"{name}:…{options[-12:]}" if len(retriever) > 22 and options else retriever


def _colours(panels: Sequence[_Panel]) -> dict[str, str]:
    """Return precision -> colour, the same in every figure; the bases come first."""
    bases = dict.fromkeys(panel.base for panel in panels)
    others = dict.fromkeys(line.arm for panel in panels for line in panel.lines)
    return dict(zip({**bases, **others}, cycle(_COLOURS), strict=False))


def _panels(comparison: Comparison) -> Iterator[_Panel]:
    cells = comparison.cells
    found: dict[tuple[str, ...], list[_Line]] = {}
    for (model, other, base, task, retriever, order), members in lines(cells).items():
        shown = [(cells[i], row) for i in members if (row := headline_row(cells[i])) is not None]
        if len(shown) > 1:
            key = (model, task, retriever, order, base)
            found.setdefault(key, []).append(_Line(other, shown))
    for (model, task, retriever, order, base), found_lines in found.items():
        yield _Panel(model, task, retriever, order, base, found_lines)


def _grid(panels: Sequence[_Panel]) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure as Drawn

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    drawn = Drawn(figsize=(3.6 * columns, 2.6 * rows))
    axes = drawn.subplots(rows, columns, squeeze=False)
    for unused in list(axes.flat)[len(panels) :]:
        unused.remove()
    return drawn, list(axes.flat)[: len(panels)]


def _arrow(row: MetricRow) -> str:
    return {True: " (higher is better)", False: " (lower is better)", None: ""}[
        row.higher_is_better
    ]


def _ticks(axes: Any, line: _Line) -> None:
    axes.set_xticks(line.documents(), line.k())
    axes.set_xlabel("k, placed at the mean number of documents")


def _scores(panels: Sequence[_Panel]) -> Figure:
    drawn, places = _grid(panels)
    colours = _colours(panels)
    for axes, panel in zip(places, panels, strict=True):
        first = panel.longest
        scores = [row.base for _, row in first.cells]
        axes.plot(first.documents(), scores, "o-", color=colours[panel.base], label=panel.base)
        for line in panel.lines:
            x, colour = line.documents(), colours[line.arm]
            rows = [row for _, row in line.cells]
            others = [row.other for row in rows]
            axes.plot(x, others, "s--", color=colour, label=line.arm)
            if all(row.interval for row in rows):
                # Of the difference, around the base: the arms are paired.
                low = [row.base + row.interval.low for row in rows if row.interval]
                high = [row.base + row.interval.high for row in rows if row.interval]
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        _ticks(axes, first)
        axes.set_ylabel(panel.metric.metric + _arrow(panel.metric))
        axes.set_title(panel.title)
        axes.legend()
    return Figure(
        "score-by-k",
        "Score against k. The bands are 95 % intervals of the paired difference to the base, drawn "
        "around the base: where the base's line lies outside of a band, the arms differ.",
        drawn,
    )


def _gaps(panels: Sequence[_Panel]) -> Figure:
    drawn, places = _grid(panels)
    colours = _colours(panels)
    for axes, panel in zip(places, panels, strict=True):
        axes.axhline(0, color=_INK, linewidth=0.8)
        for number, line in enumerate(panel.lines):
            _with_intervals(axes, line, colours[line.arm], shift=0.06 * number)
        _ticks(axes, panel.longest)
        axes.set_ylabel(f"{panel.metric.metric}, less {panel.base}'s")
        axes.set_title(panel.title)
        axes.legend()
    return Figure(
        "gap-by-k",
        "Difference to the base against k, with 95 % intervals: does the gap grow with the "
        "documents?",
        drawn,
    )


def _with_intervals(axes: Any, line: _Line, colour: str, shift: float) -> None:
    rows = [row for _, row in line.cells]
    # A bar of no length would read as certainty: where there is no interval, there is no bar.
    reach = [
        [row.difference - row.interval.low if row.interval else math.nan for row in rows],
        [row.interval.high - row.difference if row.interval else math.nan for row in rows],
    ]
    places = [x + shift for x in line.documents()]
    differences = [row.difference for row in rows]
    style = {"fmt": "o-", "capsize": 2, "color": colour, "label": line.arm}
    axes.errorbar(places, differences, yerr=reach, **style)


def _retrievers(panels: Sequence[_Panel]) -> Figure:
    groups: dict[tuple[str, str, str], list[_Panel]] = {}
    for panel in panels:
        groups.setdefault((panel.model, panel.task, panel.order), []).append(panel)
    chosen = [members for members in groups.values() if len(members) > 1] or list(groups.values())
    drawn, places = _grid([members[0] for members in chosen])
    for axes, members in zip(places, chosen, strict=True):
        for panel in members:
            line = panel.longest
            scores = [row.base for _, row in line.cells]
            axes.plot(line.documents(), scores, "o-", label=_short(panel.retriever))
        _ticks(axes, members[0].longest)
        metric = members[0].metric
        axes.set_ylabel(metric.metric + _arrow(metric))
        axes.set_title(f"{members[0].model}, {members[0].task}, {members[0].base}")
        axes.legend()
    return Figure("retrievers", "Retrievers compared, in the base precision.", drawn)


def _savings(comparison: Comparison) -> Figure | None:
    from matplotlib.figure import Figure as Drawn

    points: dict[str, list[tuple[float, float]]] = {}
    for cell in comparison.cells:
        row = headline_row(cell)
        share = cell.cost.get("weight_bytes")
        if row is not None and share is not None and row.base:
            saved = 100 * (1 - share)
            points.setdefault(f"{cell.other.label}", []).append(
                (saved, 100 * loss(row) / abs(row.base))
            )
    if not points:
        return None
    drawn = Drawn(figsize=(5.4, 3.2))
    axes = drawn.subplots()
    axes.axhline(0, color=_INK, linewidth=0.8)
    for label, members in points.items():
        axes.plot(*zip(*members, strict=True), "o", alpha=0.7, label=label)
    axes.set_xlabel("bytes of weights saved, % of the base's")
    axes.set_ylabel("loss of score, % of the base's")
    axes.legend()
    return Figure(
        "loss-by-memory",
        "Loss against memory saved: a point for each task, retriever and k.",
        drawn,
    )
