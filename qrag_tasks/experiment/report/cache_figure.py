"""At equal memory, more documents or more bits? Scores against the bytes of keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.experiment.comparison.rows import ArmFacts, MetricRow
from qrag_tasks.experiment.report.drawing import (
    BASE,
    FILLED,
    Figure,
    add_legend,
    arrow,
    differs,
    panel_grid,
)
from qrag_tasks.experiment.report.looks import Looks
from qrag_tasks.experiment.report.panels import Panel


@dataclass(frozen=True)
class _Point:
    """An arm at one k.

    :ivar megabytes: of the keys and values of a prompt, the mean of the prompts.
    """

    k: str
    megabytes: float
    score: float
    row: MetricRow


def cache_figures(panels: Sequence[Panel], looks: Looks) -> list[Figure]:
    """Return the figure, where a panel has arms that keep keys and values in different ways."""
    shown = [panel for panel in panels if _has_caches(panel)]
    return [_figure(shown, looks)] if shown else []


def _has_caches(panel: Panel) -> bool:
    cells = [cell for line in panel.lines for cell, _ in line.cells]
    differ = any(cell.base.kv_cache != cell.other.kv_cache for cell in cells)
    return differ and any(len(points) > 1 for _, points in _lines(panel))


def _lines(panel: Panel) -> Iterator[tuple[str, list[_Point]]]:
    """Yield the base and every other arm, each with its points of which the memory is known."""
    of_base = ((cell.base, cell.k, row.base, row) for cell, row in panel.longest.cells)
    yield panel.base, list(_points(of_base))
    for line in panel.lines:
        of_arm = ((cell.other, cell.k, row.other, row) for cell, row in line.cells)
        yield line.arm, list(_points(of_arm))


def _points(cells: Iterator[tuple[ArmFacts, str | None, float, MetricRow]]) -> Iterator[_Point]:
    for arm, k, score, row in cells:
        if arm.cache_bytes_per_token and arm.prompt_tokens:
            megabytes = arm.cache_bytes_per_token * arm.prompt_tokens / 1e6
            yield _Point(k or "", megabytes, score, row)


def _figure(panels: Sequence[Panel], looks: Looks) -> Figure:
    drawn, places = panel_grid(len(panels))
    arms: dict[str, None] = {}
    for axes, panel in zip(places, panels, strict=True):
        for number, (arm, points) in enumerate(_lines(panel)):
            if points:
                _draw(axes, arm, points, looks, panel, is_base=number == 0)
                arms[arm] = None
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("MB of keys and values a prompt")
        axes.set_ylabel(panel.metric.metric + arrow(panel.metric))
        axes.set_title(panel.title)
    bases = {panel.base for panel in panels}
    add_legend(
        drawn,
        (
            (f"{arm} (base)", {"color": looks.colours[arm], **BASE})
            if arm in bases
            else (arm, {"color": looks.colours[arm]})
            for arm in arms
        ),
    )
    return Figure(
        "score-by-cache",
        "At equal memory, more documents or more bits? Score against the bytes that the keys and "
        "values of a prompt take: its tokens, the mean of all prompts, by the bytes a token that "
        "were read off each arm's cache. A number at a point is its k; the thick line is the base. "
        f"{FILLED}",
        drawn,
    )


def _draw(
    axes: Any, arm: str, points: Sequence[_Point], looks: Looks, panel: Panel, *, is_base: bool
) -> None:
    colour, marker = looks.colours[arm], looks.markers[panel.model]
    x, y = [point.megabytes for point in points], [point.score for point in points]
    style = {"color": colour, "marker": marker, "markersize": 4.5}
    line = {"label": arm, "linestyle": looks.dashes[panel.retriever], **(BASE if is_base else {})}
    axes.plot(x, y, markerfacecolor="none", **style, **line)
    for point in points:
        at = (point.megabytes, point.score)
        if not is_base and differs(point.row):
            axes.plot(*at, linestyle="none", **style)
        axes.annotate(
            point.k, at, xytext=(3, 4), textcoords="offset points", fontsize=7, color=colour
        )
