"""How far arms are from their base along k, as its own answers are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from qrag_tasks.experiment.report.drawing import Figure, add_legend, panel_grid
from qrag_tasks.experiment.report.looks import Looks
from qrag_tasks.experiment.report.panels import Panel


def fidelity_figure(
    panels: Sequence[Panel],
    looks: Looks,
    level: str,
    ticks: Callable[[Any, Panel], None],
    about_k: str,
) -> Figure | None:
    """Return KL against k; ``None`` where no panel has it at two k.

    :param level: of the intervals, in words.
    :param ticks: writes k below the axes of a panel.
    :param about_k: what a caption says of where k stands.
    """
    shown = [panel for panel in map(_read, panels) if panel.lines]
    if not shown:
        return None
    drawn, places = panel_grid(len(shown))
    arms = dict.fromkeys(line.arm for panel in shown for line in panel.lines)
    for axes, panel in zip(places, shown, strict=True):
        for line in panel.lines:
            colour = looks.colours[line.arm]
            # Cells without readings were left out.
            read = [cell.fidelity.own for cell, _ in line.cells if cell.fidelity]
            means = [own.kl for own in read if own is not None]
            axes.plot(
                line.places,
                [kl.value for kl in means],
                linestyle=looks.dashes[panel.retriever],
                marker=looks.markers[panel.model],
                markersize=4.5,
                color=colour,
                label=line.arm,
            )
            for place, kl in zip(line.places, means, strict=True):
                if kl.interval is not None:
                    ends = (max(kl.interval.low, 0.0), kl.interval.high)
                    axes.vlines(place, *ends, color=colour, linewidth=1.2)
        ticks(axes, panel)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("KL, nats a token")
        axes.set_title(panel.title)
    add_legend(drawn, [(arm, {"color": looks.colours[arm]}) for arm in arms])
    return Figure(
        "kl-by-k",
        f"Kullback-Leibler divergence of the base from each arm along the base's own answers, in "
        f"nats a token, against k: how far an arm is from its base, not which way. A bar is the "
        f"{level} interval, by users. {about_k}",
        drawn,
    )


def _read(panel: Panel) -> Panel:
    """Return a panel with what was read of it: lines of two cells or more."""
    lines = [
        replace(
            line, cells=[each for each in line.cells if each[0].fidelity and each[0].fidelity.own]
        )
        for line in panel.lines
    ]
    return replace(panel, lines=[line for line in lines if len(line.cells) > 1])
