"""What arms lose along the bits that their weights take: a figure for each quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.precisions import precisions
from qrag_tasks.experiment.comparison.bits import BitsLine, BitsPanel, BitsPoint, bits_panels
from qrag_tasks.experiment.comparison.fidelity_rows import MeanRow
from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.drawing import BASE, FILLED, INK, Figure, add_legend, differs
from qrag_tasks.experiment.report.looks import COLOURS, colours, markers
from qrag_tasks.experiment.report.panels import short_name, wrapped

_TICKS = (1, 2, 3, 4, 6, 8, 16, 32)
_MARGIN = 2**0.15
"""How far the axis goes on beyond its first and last arm, as a factor."""


@dataclass(frozen=True)
class Quantity:
    """What is drawn against bits.

    :ivar name: of the figure's file.
    :ivar caption: what is drawn, and what its bars are; ``{level}`` is that of the intervals.
    :ivar label: of the upright axis, by any point of a panel.
    :ivar of_base: the base's value, by any point of a panel; ``None`` where it has none to draw.
    :ivar of_arm: an arm's value; ``None`` where it has none.
    :ivar bar: the ends of an arm's interval; ``None`` without one.
    :ivar is_filled: whether an arm's marker is.
    :ivar scale: of the upright axis, as matplotlib names it.
    """

    name: str
    caption: str
    label: Callable[[BitsPoint], str]
    of_base: Callable[[BitsPoint], float | None]
    of_arm: Callable[[BitsPoint], float | None]
    bar: Callable[[BitsPoint], tuple[float, float] | None]
    is_filled: Callable[[BitsPoint], bool]
    scale: str = "linear"


def _score_label(point: BitsPoint) -> str:
    if point.row is None:
        return ""
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}
    return point.row.metric + better[point.row.higher_is_better]


def _around_score(point: BitsPoint) -> tuple[float, float] | None:
    row = point.row
    if row is None or row.interval is None:
        return None
    return row.base + row.interval.low, row.base + row.interval.high


def _own_kl(point: BitsPoint) -> MeanRow | None:
    row = point.cell.fidelity
    return None if row is None or row.own is None else row.own.kl


def _kl(point: BitsPoint) -> float | None:
    kl = _own_kl(point)
    return None if kl is None else kl.value


def _around_kl(point: BitsPoint) -> tuple[float, float] | None:
    kl = _own_kl(point)
    return None if kl is None or kl.interval is None else (kl.interval.low, kl.interval.high)


QUANTITIES = (
    Quantity(
        name="score-by-bits",
        caption="Score against the bits that a weight of the blocks' linear layers takes, counted "
        "from the tensors, scales and zeros included. The thick line is the base. A bar is the "
        "{level} interval of an arm's difference to the base, paired by sample and drawn around "
        f"the arm's own score; it is not corrected for the number of comparisons. {FILLED}",
        label=_score_label,
        of_base=lambda point: point.row.base if point.row else None,
        of_arm=lambda point: point.row.other if point.row else None,
        bar=_around_score,
        is_filled=lambda point: point.row is not None and differs(point.row),
    ),
    Quantity(
        name="kl-by-bits",
        caption="Kullback-Leibler divergence of the base from each arm along the base's own "
        "answers, in nats a token, against the bits that a weight of the blocks' linear layers "
        "takes. The upright axis is logarithmic; a bar is the {level} interval, by users. It says "
        f"how far an arm is from its base, not which way. {FILLED}",
        label=lambda _: "KL, nats a token",
        of_base=lambda _: None,
        of_arm=_kl,
        bar=_around_kl,
        is_filled=lambda point: point.row is not None and differs(point.row),
        scale="log",
    ),
)
"""One figure each."""


def bits_figures(comparison: Comparison) -> list[Figure]:
    """Return a figure for each quantity that some panel has; none without an axis of bits.

    A row of panels is one base and one task by one retriever, a column is a k.
    """
    panels = bits_panels(comparison)
    drawn = []
    for quantity in QUANTITIES:
        shown = [panel for panel in panels if _points(panel, quantity)]
        if shown:
            drawn.append(_figure(shown, quantity, percent(comparison.level)))
    return drawn


def _points(panel: BitsPanel, quantity: Quantity) -> list[BitsPoint]:
    points = [point for line in panel.lines for point in line.points]
    return [point for point in points if quantity.of_arm(point) is not None]


def _rows(panels: Sequence[BitsPanel]) -> list[list[BitsPanel]]:
    """Return panels in rows: what has no retriever or no order stands in each of its rows."""
    rows: dict[tuple[str, ...], list[BitsPanel]] = {}
    # What has most of them names the rows.
    for panel in sorted(panels, key=lambda panel: len(_prompts(panel)), reverse=True):
        own = (panel.model, panel.base, panel.task, *_prompts(panel))
        alike = [row for row in rows if row[: len(own)] == own]
        for row in alike or [own]:
            rows.setdefault(row, []).append(panel)
    places = {id(panel): place for place, panel in enumerate(panels)}
    return [sorted(row, key=lambda panel: places[id(panel)]) for row in rows.values()]


def _prompts(panel: BitsPanel) -> tuple[str, ...]:
    """Return retriever and order, as far as there are any."""
    if panel.retriever in ("", "none"):
        return ()
    return (panel.retriever, panel.order) if panel.order else (panel.retriever,)


def _figure(panels: Sequence[BitsPanel], quantity: Quantity, level: str) -> Figure:
    from matplotlib.figure import Figure as Drawn

    rows = _rows(panels)
    columns = max(map(len, rows))
    methods = [line.method for panel in panels for line in panel.lines]
    bases = dict.fromkeys(panel.base for panel in panels)
    looks = _looks(bases, methods)
    drawn = Drawn(figsize=(1.0 + 2.4 * columns, 2.7 * len(rows)))
    axes = drawn.subplots(len(rows), columns, squeeze=False, sharey="row", sharex=True)
    for its_axes, row in zip(axes, rows, strict=True):
        for unused in its_axes[len(row) :]:
            unused.remove()
        for place, (one, panel) in enumerate(zip(its_axes, row, strict=False)):
            _draw(one, panel, quantity, looks)
            one.set_title(_title(panel, row) if place == 0 else _k(panel), loc="left")
            one.xaxis.set_tick_params(labelbottom=True)
        its_axes[0].set_yscale(quantity.scale)
        its_axes[0].set_ylabel(quantity.label(_points(row[0], quantity)[0]))
    _bits_axis(axes, panels)
    points = [point for panel in panels for point in _points(panel, quantity)]
    has_bases = any(quantity.of_base(point) is not None for point in points)
    entries = [(f"{base} (base)", looks[base]) for base in bases if has_bases]
    add_legend(drawn, [*entries, *((name, looks[name]) for name in dict.fromkeys(methods))])
    unknown = dict.fromkeys(arm for panel in panels for arm in panel.unknown)
    left_out = f" Left out, as no results say their bits: {', '.join(unknown)}." if unknown else ""
    return Figure(quantity.name, quantity.caption.format(level=level) + left_out, drawn)


def _looks(bases: Iterable[str], methods: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return how each base and the line of each method is drawn.

    A method has the colour of its arms, where these have one of their own.
    """
    rows = precisions()
    own = {
        rows[name].line: colour
        for name, colour in COLOURS.items()
        if name in rows and rows[name].quantized
    }
    chosen, marks = colours([*bases, *methods], {**own, **COLOURS}), markers(methods)
    return {
        **{base: {"color": chosen[base], **BASE} for base in bases},
        **{name: {"color": chosen[name], "marker": marks[name]} for name in marks},
    }


def _draw(
    axes: Any, panel: BitsPanel, quantity: Quantity, looks: Mapping[str, Mapping[str, Any]]
) -> None:
    base = quantity.of_base(_points(panel, quantity)[0])
    if base is not None:
        axes.axhline(base, label=panel.base, zorder=1, **looks[panel.base])
        if panel.base_bits is not None:
            # Its own place on the axis.
            axes.plot([panel.base_bits], [base], marker="|", markersize=12, color=INK)
    for line in panel.lines:
        _draw_line(axes, line, quantity, looks[line.method])


def _draw_line(axes: Any, line: BitsLine, quantity: Quantity, look: Mapping[str, Any]) -> None:
    known = [(point, quantity.of_arm(point)) for point in line.points]
    shown = [(point, value) for point, value in known if value is not None]
    axes.plot(
        [point.bits for point, _ in shown],
        [value for _, value in shown],
        markerfacecolor="none",
        markersize=5,
        linewidth=1.2,
        label=line.method,
        **look,
    )
    for point, value in shown:
        if (ends := quantity.bar(point)) is not None:
            axes.vlines(point.bits, *ends, color=look["color"], linewidth=1.2, alpha=0.8)
        if quantity.is_filled(point):
            axes.plot([point.bits], [value], linestyle="none", markersize=5, **look)


def _bits_axis(axes: Any, panels: Sequence[BitsPanel]) -> None:
    """Give all panels one axis: halves as far apart as doubles."""
    bits = [point.bits for panel in panels for line in panel.lines for point in line.points]
    bits += [panel.base_bits for panel in panels if panel.base_bits is not None]
    low, high = min(bits) / _MARGIN, max(bits) * _MARGIN
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    for one in axes.flat:
        if one.figure is None:
            continue
        one.set_xscale("log", base=2)
        one.set_xlim(low, high)
        one.set_xticks(ticks, [str(tick) for tick in ticks])
        one.minorticks_off()
        one.set_xlabel("bits a weight")


def _title(panel: BitsPanel, row: Sequence[BitsPanel]) -> str:
    named = next((one for one in reversed(row) if one.retriever not in ("", "none")), panel)
    order = "" if named.order in ("", "best-first") else f", {named.order}"
    by = "" if named.retriever in ("", "none") else f", {short_name(named.retriever)}"
    k = f"\n{_k(panel)}" if panel.k else ""
    return wrapped(f"{panel.model}, {panel.task}{by}{order}") + k


def _k(panel: BitsPanel) -> str:
    return f"k = {panel.k}" if panel.k else ""
