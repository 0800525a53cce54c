"""Figures of a comparison: scores along k, retrievers, and what bits and memory cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.answer import headline_row, loss
from qrag_tasks.experiment.report.attribute_figure import attribute_figures
from qrag_tasks.experiment.report.bits_figure import bits_figures
from qrag_tasks.experiment.report.cache_figure import cache_figures
from qrag_tasks.experiment.report.drawing import (
    BASE,
    FILLED,
    INK,
    Figure,
    add_legend,
    arrow,
    differs,
    page_style,
    panel_grid,
)
from qrag_tasks.experiment.report.fidelity_figure import fidelity_figure
from qrag_tasks.experiment.report.looks import Looks
from qrag_tasks.experiment.report.panels import Line, Panel, panels_of, short_name, wrapped


def figures(comparison: Comparison) -> list[Figure]:
    """Return the figures that a comparison has the cells for.

    Score against k, the difference against k, retrievers compared, KL against k, score and
    difference against each attribute of the questions, score and KL against bits a weight, score
    against the memory of keys and values, and loss against memory saved. In those along k and
    memory a colour is an arm, a marker a model and a line style a retriever; along bits a colour
    and a marker are a method.
    """
    with page_style():
        panels = list(panels_of(comparison))
        looks, level = Looks.of(comparison), percent(comparison.level)
        drawn = []
        if panels:
            drawn.append(_scores(panels, looks, level))
            drawn.append(_gaps(panels, looks, level))
            if len({panel.retriever for panel in panels}) > 1:
                drawn.append(_retrievers(panels, looks))
            if of_kl := fidelity_figure(panels, looks, level, _ticks, _SQUARE_ROOT):
                drawn.append(of_kl)
        drawn += attribute_figures(comparison, looks, level)
        drawn += bits_figures(comparison)
        drawn += cache_figures(panels, looks)
        if saved := _savings(comparison, looks):
            drawn.append(saved)
    return drawn


def memory_figures(comparison: Comparison) -> list[Figure]:
    """Return those figures that a page does not draw itself: along bits, and along the cache."""
    with page_style():
        looks = Looks.of(comparison)
        return [
            *bits_figures(comparison),
            *cache_figures(list(panels_of(comparison)), looks),
        ]


def save_figures(comparison: Comparison, folder: Path) -> None:
    """Write the figures of a comparison as SVG and PDF.

    :raises StoreError: when one cannot be written.
    """
    for figure in figures(comparison):
        figure.save(folder)


_SQUARE_ROOT = "k stands at the square root of the mean number of documents."
_BANDED = 3
"""Arms beside the base in a panel: the bands of more would hide each other."""


def _ticks(axes: Any, panel: Panel) -> None:
    axes.set_xticks(panel.longest.places, panel.longest.k)
    axes.set_xlabel("k")


def _arms(panels: Sequence[Panel], looks: Looks) -> dict[str, Mapping[str, Any]]:
    arms = dict.fromkeys(line.arm for panel in panels for line in panel.lines)
    return {arm: {"color": looks.colours[arm]} for arm in arms}


def _scores(panels: Sequence[Panel], looks: Looks, level: str) -> Figure:
    drawn, places = panel_grid(len(panels))
    banded = all(len(panel.lines) <= _BANDED for panel in panels)
    for axes, panel in zip(places, panels, strict=True):
        dashes = looks.dashes[panel.retriever]
        first = panel.longest
        colour = looks.colours[panel.base]
        scores = [row.base for row in first.rows]
        axes.plot(first.places, scores, linestyle=dashes, color=colour, label=panel.base, **BASE)
        for line in panel.lines:
            others = [row.other for row in line.rows]
            _marked(axes, line, others, looks, panel)
            if banded and all(row.interval for row in line.rows):
                # Of the difference, added to the base's score, whose own spread is none of it.
                low = [row.base + row.interval.low for row in line.rows if row.interval]
                high = [row.base + row.interval.high for row in line.rows if row.interval]
                colour = looks.colours[line.arm]
                axes.fill_between(line.places, low, high, color=colour, alpha=0.15, linewidth=0)
        _ticks(axes, panel)
        axes.set_ylabel(panel.metric.metric + arrow(panel.metric))
        axes.set_title(panel.title)
    bases = dict.fromkeys(panel.base for panel in panels)
    base_entries = [(f"{arm} (base)", {"color": looks.colours[arm], **BASE}) for arm in bases]
    add_legend(drawn, [*base_entries, *_arms(panels, looks).items()])
    bands = (
        f"A band is the {level} interval of an arm's difference to the base, paired by sample and "
        f"drawn around the arm's own score; it is not corrected for the number of comparisons. "
    )
    return Figure(
        "score-by-k",
        f"Score against k. The thick line is the base. {bands if banded else ''}{FILLED} "
        f"{_SQUARE_ROOT}",
        drawn,
    )


def _marked(
    axes: Any, line: Line, values: Sequence[float], looks: Looks, panel: Panel, shift: float = 0
) -> None:
    """Draw an arm's line: markers are filled where the difference to the base is significant."""
    colour, marker = looks.colours[line.arm], looks.markers[panel.model]
    x = [place + shift for place in line.places]
    style = {"color": colour, "marker": marker, "markersize": 4.5}
    dashes = looks.dashes[panel.retriever]
    axes.plot(x, values, linestyle=dashes, markerfacecolor="none", label=line.arm, **style)
    sure = [
        both
        for both, row in zip(zip(x, values, strict=True), line.rows, strict=True)
        if differs(row)
    ]
    if sure:
        axes.plot(*zip(*sure, strict=True), linestyle="none", **style)


def _gaps(panels: Sequence[Panel], looks: Looks, level: str) -> Figure:
    drawn, places = panel_grid(len(panels))
    for axes, panel in zip(places, panels, strict=True):
        axes.axhline(0, color=INK, linewidth=0.8)
        step = _closest(panel.longest.places) / (len(panel.lines) + 1)
        for number, line in enumerate(panel.lines):
            shift = step * (number - (len(panel.lines) - 1) / 2)
            _bars(axes, line, looks.colours[line.arm], shift)
            _marked(axes, line, [row.difference for row in line.rows], looks, panel, shift)
        _ticks(axes, panel)
        axes.set_ylabel(f"{panel.metric.metric}, less {panel.base}'s")
        axes.set_title(panel.title)
    add_legend(drawn, _arms(panels, looks).items())
    return Figure(
        "gap-by-k",
        f"Difference to the base against k: does the gap grow with the documents? A bar is the "
        f"{level} interval of one difference, not corrected for the number of comparisons. "
        f"{FILLED} {_SQUARE_ROOT}",
        drawn,
    )


def _closest(places: Sequence[float]) -> float:
    """Return the smallest distance between two k."""
    ordered = sorted(set(places))
    return min((b - a for a, b in pairwise(ordered)), default=1.0)


def _bars(axes: Any, line: Line, colour: str, shift: float) -> None:
    # A bar of no length would read as certainty: where there is no interval, there is no bar.
    for place, row in zip(line.places, line.rows, strict=True):
        if row.interval is not None:
            ends = (row.interval.low, row.interval.high)
            axes.vlines(place + shift, *ends, color=colour, linewidth=1.2)


def _retrievers(panels: Sequence[Panel], looks: Looks) -> Figure:
    groups: dict[tuple[str, str, str], list[Panel]] = {}
    for panel in panels:
        groups.setdefault((panel.model, panel.task, panel.order), []).append(panel)
    chosen = [members for members in groups.values() if len(members) > 1] or list(groups.values())
    drawn, places = panel_grid(len(chosen))
    shown: dict[str, Mapping[str, Any]] = {}
    for axes, members in zip(places, chosen, strict=True):
        for panel in members:
            line = panel.longest
            dashes = looks.dashes[panel.retriever]
            shown[panel.retriever] = {"linestyle": dashes, "color": INK}
            axes.plot(
                line.places,
                [row.base for row in line.rows],
                linestyle=dashes,
                marker=looks.markers[panel.model],
                markersize=4.5,
                color=looks.colours[panel.base],
                label=short_name(panel.retriever),
            )
        _ticks(axes, members[0])
        metric = members[0].metric
        axes.set_ylabel(metric.metric + arrow(metric))
        axes.set_title(wrapped(f"{members[0].model}, {members[0].task}, {members[0].base}"))
    add_legend(drawn, ((short_name(retriever), style) for retriever, style in shown.items()))
    return Figure(
        "retrievers",
        f"Retrievers compared, by the scores of the base. {_SQUARE_ROOT}",
        drawn,
    )


def _savings(comparison: Comparison, looks: Looks) -> Figure | None:
    from matplotlib.figure import Figure as Drawn

    points: dict[tuple[str, str], list[tuple[float, float, bool]]] = {}
    for cell in comparison.cells:
        row = headline_row(cell)
        share = cell.cost.get("weight_bytes")
        if cell.base.kv_cache != cell.other.kv_cache:
            continue  # The loss is not that of its weights.
        if row is not None and share is not None and row.base:
            lost = 100 * loss(row) / abs(row.base)
            its_points = points.setdefault((cell.other.model, cell.other.arm), [])
            its_points.append((100 * (1 - share), lost, differs(row)))
    if not points:
        return None
    drawn = Drawn(figsize=(5.4, 3.4))
    axes = drawn.subplots()
    axes.axhline(0, color=INK, linewidth=0.8)
    arms: dict[str, dict[str, Any]] = {}
    models = list(dict.fromkeys(model for model, _ in points))
    for (model, arm), members in points.items():
        colour, marker = looks.colours[arm], looks.markers[model]
        style: dict[str, Any] = {"linestyle": "none", "marker": marker, "color": colour}
        arms[arm] = {**style, "marker": "s"}
        for sure, face in ((False, "none"), (True, colour)):
            those = [(x, y) for x, y, differs in members if differs is sure]
            if those:
                x, y = zip(*those, strict=True)
                axes.plot(x, y, markerfacecolor=face, label=f"{model} {arm}", **style)
    marks = [
        (model, {"linestyle": "none", "marker": looks.markers[model], "color": INK})
        for model in models
    ]
    axes.set_xlabel("bytes of weights saved, % of the base's")
    axes.set_ylabel("loss of score, % of the base's")
    add_legend(drawn, [*arms.items(), *(marks if len(marks) > 1 else ())])
    return Figure(
        "loss-by-memory",
        f"Loss against memory saved: a point for each task, retriever and k. {FILLED}",
        drawn,
    )
