"""Arms along the bits that their weights take, and down to how few a score is not worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.arms.formats.facts import PLAIN
from qrag_tasks.arms.precisions import precisions
from qrag_tasks.experiment.comparison.rows import ArmWeights, CellRow, Comparison, MetricRow
from qrag_tasks.experiment.comparison.verdicts import (
    EQUIVALENT,
    NOT_TESTED,
    TOO_FEW,
    WORSE,
    headline,
    verdict,
)
from qrag_tasks.experiment.statistics import FEWEST
from qrag_tasks.logs.runs import Run
from qrag_tasks.logs.schema import LoggedArm

_LEAST = 3
"""Values of bits, scales aside, from which on there is an axis to see."""


@dataclass(frozen=True)
class BitsPoint:
    """One arm at its bits.

    :ivar row: of the metric that is shown; ``None`` without golds.
    """

    bits: float
    cell: CellRow
    row: MetricRow | None


@dataclass(frozen=True)
class BitsLine:
    """Arms that one method made, by their bits: the fewest first."""

    method: str
    points: Sequence[BitsPoint]


@dataclass(frozen=True)
class BitsPanel:
    """The arms that are compared with one base on the same prompts.

    :ivar task: LaMP's name of it, or lm_eval's.
    :ivar base_bits: that a weight of the base takes; ``None`` where its results do not say.
    :ivar unknown: arms whose results do not say their bits, and which no line holds.
    """

    model: str
    base: str
    task: str
    retriever: str
    order: str
    k: str
    base_bits: float | None
    lines: Sequence[BitsLine]
    unknown: Sequence[str]

    @property
    def cell(self) -> CellRow:
        """One of its cells: all have the same base and the same prompts."""
        return self.lines[0].points[0].cell


@dataclass(frozen=True)
class Knee:
    """What the verdicts of one line say of its bits.

    Bits count as one or the other only where all arms with as many or more do.

    :ivar tried: bits of its arms, the most first.
    :ivar no_loss_shown: the fewest bits down to which no score is shown to be worse, though some
        may be undecided; ``None`` where the most are worse, or could not be tested.
    :ivar equivalent: the fewest bits down to which every score is equivalent within the margin.
    :ivar worse: the most bits at which a score is shown to be worse; ``None`` where none is.
    """

    method: str
    tried: Sequence[float]
    no_loss_shown: float | None
    equivalent: float | None
    worse: float | None


def weights_of(run: Run) -> ArmWeights:
    """Return what the results of a run say of its weights."""
    arm = run.logged
    return ArmWeights(
        _method(run.precision, arm),
        arm.linear_bits_per_weight,
        arm.bits_per_weight,
        arm.weight_bytes,
        arm.shares,
    )


def _method(precision: str | None, arm: LoggedArm) -> str | None:
    row = precisions().get(precision or "")
    if row is not None:
        return row.line if row.quantized else PLAIN
    # A plugin's precision, and the plugin is not here: its results say who quantized the layers.
    layers = (arm.arm or {}).get("layers")
    methods = {str(kind.get("method")) for kind in layers or () if isinstance(kind, dict)}
    quantized = methods - {PLAIN}
    return quantized.pop() if len(quantized) == 1 else precision


def bits_panels(comparison: Comparison, metrics: Sequence[str] = ()) -> list[BitsPanel]:
    """Return the panels whose arms, the base among them, have at least three values of bits.

    Values are told apart by their whole bits, as scales come on top.

    :param metrics: the one to show is the first of them that a cell has; by default its headline.
    """
    groups: dict[tuple[str, ...], list[CellRow]] = {}
    for cell in comparison.cells:
        if cell.base.kv_cache != cell.other.kv_cache:
            continue  # What it loses is not due to its weights alone.
        key = (cell.base.model, cell.base.arm, _task(cell), cell.retriever or "", cell.order or "")
        groups.setdefault((*key, cell.k or ""), []).append(cell)
    panels = [_panel(key, cells, metrics) for key, cells in groups.items()]
    return [panel for panel in panels if panel.lines and len(_values(panel)) >= _LEAST]


def _panel(key: tuple[str, ...], cells: Sequence[CellRow], metrics: Sequence[str]) -> BitsPanel:
    model, base, task, retriever, order, k = key
    points: dict[tuple[str, str], list[BitsPoint]] = {}
    for cell in cells:
        bits = cell.other.weights.bits
        if bits is not None:
            name = (cell.other.weights.method or cell.other.arm, cell.other.engine or "")
            points.setdefault(name, []).append(BitsPoint(bits, cell, _row(cell, metrics)))
    lines = [
        BitsLine(_called(name, points), sorted(members, key=lambda point: point.bits))
        for name, members in points.items()
    ]
    unknown = [cell.other.arm or cell.other.label for cell in cells if not _known(cell)]
    base_bits = cells[0].base.weights.bits
    return BitsPanel(model, base, task, retriever, order, k, base_bits, lines, unknown)


def _called(name: tuple[str, str], others: Mapping[tuple[str, str], object]) -> str:
    """Return a method, with its engine where several ran it."""
    method, engine = name
    shown = "not quantized" if method == PLAIN else method
    several = sum(other == method for other, _ in others) > 1
    return f"{shown} ({engine})" if several and engine else shown


def _known(cell: CellRow) -> bool:
    return cell.other.weights.bits is not None


def _task(cell: CellRow) -> str:
    return (cell.lamp_task or cell.task) + ("" if cell.filter == "none" else f", {cell.filter}")


def _row(cell: CellRow, metrics: Sequence[str]) -> MetricRow | None:
    rows = {row.metric: row for row in cell.metrics}
    name = next((name for name in metrics if name in rows), None) or headline(list(rows))
    return rows.get(name or "")


def _values(panel: BitsPanel) -> set[int]:
    bits = [point.bits for line in panel.lines for point in line.points]
    # Scales come on top of whole bits: 4.5 is of 4 bits.
    return {int(one) for one in (*bits, panel.base_bits) if one is not None}


def knees(panel: BitsPanel) -> list[Knee]:
    """Return what the verdicts of a panel's lines say; nothing of a line without scores."""
    return [_knee(line) for line in panel.lines if all(point.row for point in line.points)]


def _knee(line: BitsLine) -> Knee:
    """Walk from the most bits to the fewest; arms of equal bits count together."""
    rows: dict[float, list[MetricRow]] = {}
    for point in reversed(line.points):
        if point.row is not None:
            rows.setdefault(point.bits, []).append(point.row)
    return Knee(
        line.method,
        list(rows),
        no_loss_shown=_down_to(rows, lambda row: not _is(row, WORSE) and _could_be_shown(row)),
        equivalent=_down_to(rows, lambda row: _is(row, EQUIVALENT)),
        worse=next((bits for bits, its in rows.items() if any(_is(r, WORSE) for r in its)), None),
    )


def _down_to(
    rows: Mapping[float, Sequence[MetricRow]], holds: Callable[[MetricRow], bool]
) -> float | None:
    """Return the last bits before something does not hold; ``None`` where that is the first."""
    reached = None
    for bits, its_rows in rows.items():
        if not all(map(holds, its_rows)):
            break
        reached = bits
    return reached


def _is(row: MetricRow, word: str) -> bool:
    return word in verdict(row).split(", ")


def _could_be_shown(row: MetricRow) -> bool:
    """Tell whether a loss could be seen: not with too few units, but where few of enough differ."""
    return not _is(row, NOT_TESTED) and (not _is(row, TOO_FEW) or (row.units or 0) >= FEWEST)
