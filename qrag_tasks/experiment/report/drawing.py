"""How figures are drawn: for a page, which gives them its colours, and as files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.rows import MetricRow
from qrag_tasks.experiment.comparison.verdicts import ALPHA, BETTER, DIFFERENT, WORSE, verdict

INK = "#010203"
"""Stands for the page's own text colour until the SVG is written."""


FILLED = (
    "A filled marker is a score that is worse or better by more than chance explains "
    f"(p < {ALPHA}, corrected by Holm)."
)
BASE = {"linewidth": 3.0}
"""How the line of a base is drawn."""
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_LETTERS = 13
"""Letters of a legend that an inch holds."""
_LINE = 0.2
"""Inches that a line of a legend takes."""


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
        """Return it for a page: text as text, in the page's colour, without styles of its own.

        A style element in a page would hold for all of it; what it says stands in the page's.
        """
        out = io.StringIO()
        import matplotlib

        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "qrag"}):
            self.drawn.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        text = out.getvalue()
        text = _STYLE.sub("", text[text.index("<svg") :])
        return text.replace(INK, "currentColor")

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


def page_style() -> AbstractContextManager[None]:
    """Return the settings of matplotlib under which all figures are made."""
    import matplotlib

    settings = {
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
        **dict.fromkeys(("xtick.color", "ytick.color", "axes.titlecolor"), INK),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9.0,
        "legend.frameon": False,
        "axes.titlesize": 9.0,
        "figure.constrained_layout.use": True,
    }
    style: AbstractContextManager[None] = matplotlib.rc_context(settings)
    return style


def add_legend(drawn: Any, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Add one legend above all panels, in as many columns as there is room for.

    It begins at the left, where a narrow screen begins to show the figure.
    """
    from matplotlib.lines import Line2D

    shown = list(entries)
    handles = [Line2D([], [], label=label, **style) for label, style in shown]
    widest = max(len(label) for label, _ in shown)
    room = max(1, int(drawn.get_figwidth() * _LETTERS / (widest + 6)))
    rows = -(-len(handles) // room)
    drawn.set_figheight(drawn.get_figheight() + rows * _LINE)
    drawn.legend(handles=handles, loc="outside upper left", ncols=-(-len(handles) // rows))


def differs(row: MetricRow) -> bool:
    """Tell whether a score is shown to differ from the base's, whichever way."""
    return not {WORSE, BETTER, DIFFERENT}.isdisjoint(verdict(row).split(", "))


def panel_grid(count: int) -> tuple[Any, list[Any]]:
    """Return an empty figure of some panels, two in a row, and their axes."""
    from matplotlib.figure import Figure as Drawn

    columns = min(2, count)
    rows = -(-count // columns)
    drawn = Drawn(figsize=(3.6 * columns, 2.6 * rows))
    axes = drawn.subplots(rows, columns, squeeze=False)
    for unused in list(axes.flat)[count:]:
        unused.remove()
    return drawn, list(axes.flat)[:count]


def arrow(row: MetricRow) -> str:
    """Say which direction of a metric is better; nothing where that is not known."""
    return {True: " (higher is better)", False: " (lower is better)", None: ""}[
        row.higher_is_better
    ]
