"""What a decision about each arm needs: a verdict with its reason, its price, what is unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import (
    ALL,
    CellRow,
    Comparison,
    MetricRow,
    PooledRow,
)
from qrag_tasks.experiment.comparison.verdicts import (
    BETTER,
    DIFFERENT,
    EQUIVALENT,
    NOT_TESTED,
    TOO_FEW,
    UNDECIDED,
    WITHIN_NOISE,
    WORSE,
)
from qrag_tasks.experiment.report.answer import headline_row, loss, where
from qrag_tasks.experiment.report.spending import Spent, spent
from qrag_tasks.experiment.report.states import STATES, UNSCORED, State, state_of, state_of_verdict
from qrag_tasks.logs.runs import Run
from qrag_tasks.wording import counted

ArmKey = tuple[str, str, str]
"""Model, arm, base."""


@dataclass(frozen=True)
class ArmSummary:
    """One arm against its base, over all cells.

    :ivar arm: what the arm is called; with its model where there are several.
    :ivar state: the verdict.
    :ivar reason: why it is that one.
    :ivar counts: state's name -> how many cells have it.
    :ivar pooled: over all cells together, where that was tested.
    :ivar spent: what both arms spent on the same prompts.
    :ivar quality: how much of the scores, answers and distributions of the base is left, a line
        each.
    :ivar unknown: what was not settled, and what would settle it; empty where nothing is left.
    """

    key: ArmKey
    arm: str
    base: str
    state: State
    reason: str
    counts: Mapping[str, int]
    pooled: PooledRow | None
    spent: Sequence[Spent]
    quality: Sequence[str]
    unknown: str


def arm_summaries(comparison: Comparison, runs: Sequence[tuple[Run, Run]]) -> list[ArmSummary]:
    """Return a summary of every arm, the largest weights first, else in the order of the tables.

    :param runs: base and other, of each cell.
    """
    cells: dict[ArmKey, list[int]] = {}
    for number, cell in enumerate(comparison.cells):
        cells.setdefault(arm_key(cell), []).append(number)
    pooled = {
        (row.model, row.arm, row.base_arm): row for row in comparison.pooled if row.retriever == ALL
    }
    several = len({model for model, _, _ in cells}) > 1
    summaries = [
        _summary(
            key,
            [comparison.cells[n] for n in numbers],
            pooled.get(key),
            spent([runs[n] for n in numbers]),
            several,
        )
        for key, numbers in cells.items()
    ]
    return sorted(summaries, key=_lightness)


def _lightness(summary: ArmSummary) -> float:
    ratios = [one.ratio for one in summary.spent if one.quantity.name == "weight_bytes"]
    return -ratios[0] if ratios else 0.0


def arm_key(cell: CellRow) -> ArmKey:
    """Return which arm a cell is of, as the rows over all cells have it."""
    base = cell.base.arm if cell.base.model == cell.other.model else cell.base.label
    return (cell.other.model, cell.other.arm, base)


def _summary(
    key: ArmKey,
    cells: Sequence[CellRow],
    pooled: PooledRow | None,
    costs: Sequence[Spent],
    several: bool,
) -> ArmSummary:
    scored = [(cell, row) for cell in cells if (row := headline_row(cell)) is not None]
    counts = Counter(state_of(headline_row(cell)).name for cell in cells)
    first = cells[0]
    state = _state(scored, pooled)
    return ArmSummary(
        key,
        first.other.label if several or not first.other.arm else first.other.arm,
        first.base.label if several or not first.base.arm else first.base.arm,
        state,
        " ".join(_reason(cells, scored, pooled)),
        counts,
        pooled,
        costs,
        list(_quality(cells, scored, pooled)),
        _unknown(scored, pooled),
    )


def _state(scored: Sequence[tuple[CellRow, MetricRow]], pooled: PooledRow | None) -> State:
    """Return the verdict over an arm.

    One loss that is shown is enough: p is corrected for the number of cells. Beyond that the test
    over all cells decides, where there is one; else all cells have to be of one mind.
    """
    if not scored:
        return UNSCORED
    words = [state_of(row).word for _, row in scored]
    if WORSE in words:
        return state_of_verdict(WORSE)
    if pooled is not None:
        return state_of_verdict(pooled.verdict)
    for word in (DIFFERENT, EQUIVALENT, WITHIN_NOISE, TOO_FEW, NOT_TESTED):
        if word == DIFFERENT and word in words:
            return state_of_verdict(word)
        if all(one == word for one in words):
            return state_of_verdict(word)
    if BETTER in words and set(words) <= {BETTER, EQUIVALENT}:
        return state_of_verdict(BETTER)
    return state_of_verdict(UNDECIDED)


_TOGETHER = {
    WORSE: "Over all cells it loses more than chance explains",
    BETTER: "Over all cells it gains more than chance explains",
    EQUIVALENT: "Over all cells the loss is within a margin",
    UNDECIDED: "Over all cells neither a loss nor equivalence is shown",
    TOO_FEW: "Over all cells too few samples differ for a test",
    WITHIN_NOISE: "Over all cells it differs by no more than other batches would",
}


def _reason(
    cells: Sequence[CellRow],
    scored: Sequence[tuple[CellRow, MetricRow]],
    pooled: PooledRow | None,
) -> Iterator[str]:
    if not scored:
        least = min(cells, key=lambda cell: cell.agreement.same_answer)
        yield (
            f"Without golds, agreement is what there is: at least "
            f"{least.agreement.same_answer:.1%} same answers ({where(least)})."
        )
        return
    words = Counter(state_of(row).word for _, row in scored)
    together = state_of_verdict(pooled.verdict).word if pooled is not None else ""
    if pooled is not None and {WORSE, BETTER} & {*pooled.verdict.split(", ")[:-1]}:
        way = "loss" if pooled.effect > 0 else "gain"
        yield f"Over all cells the {way} is more than chance, and within a margin{_p(pooled)}."
    elif pooled is not None and together in _TOGETHER and len(scored) > 1:
        yield f"{_TOGETHER[together]}{_p(pooled)}."
    parts = [f"{words[word]} {word}" for word in STATES if words[word]]
    if len(scored) > 1:
        yield f"Of {counted(len(scored), 'cell')}: {', '.join(parts)}."
    worst = max(scored, key=_relative_loss)
    if words[TOO_FEW] + words[NOT_TESTED] == len(scored):
        yield f"Nothing was shown in either direction (n = {_span([c.samples for c in cells], 0)})."
    elif loss(worst[1]) > 0:
        kind = "difference" if worst[1].higher_is_better is None else "loss"
        yield f"Largest {kind}: {_shown(*worst)}."
    elif {*words} <= {BETTER, EQUIVALENT}:
        # Of what is undecided it would sound like an all-clear.
        yield "No cell scores lower than the base's."


def _pooled_line(pooled: PooledRow) -> str:
    """Say how large the loss over all cells is, with its interval; nothing without a test."""
    if pooled.p is None:
        return ""
    line = f"{'loses' if pooled.effect > 0 else 'gains'} {abs(pooled.effect):.2f} margins"
    if pooled.interval is None:
        return line
    # A gain's interval is a gain's: the ends change places.
    ends = (pooled.interval.low, pooled.interval.high)
    low, high = ends if pooled.effect > 0 else (-ends[1], -ends[0])
    return f"{line} [{low:.2f}, {high:.2f}]"


def _p(pooled: PooledRow) -> str:
    """Return the p of what is said: of equivalence where that is."""
    equivalent = EQUIVALENT in pooled.verdict.split(", ")
    p = pooled.equivalence_p if equivalent else pooled.p_holm
    if p is None:
        return ""
    return " (p < 0.001)" if p < 0.0005 else f" (p {p:.3f})"


def _relative_loss(both: tuple[CellRow, MetricRow]) -> float:
    _, row = both
    return loss(row) / (row.margin or abs(row.base) or 1.0)


def _shown(cell: CellRow, row: MetricRow) -> str:
    interval = (
        "" if row.interval is None else (f" [{row.interval.low:+.3f}, {row.interval.high:+.3f}]")
    )
    return (
        f"{row.metric} {row.base:.3f} to {row.other:.3f} on {where(cell)} "
        f"({row.difference:+.3f}{interval})"
    )


def _quality(
    cells: Sequence[CellRow],
    scored: Sequence[tuple[CellRow, MetricRow]],
    pooled: PooledRow | None,
) -> Iterator[str]:
    """Say what an arm loses of scores, answers and distributions, a line each."""
    if pooled is not None and (line := _pooled_line(pooled)):
        yield line
    kept = [row.recovery for _, row in scored if row.recovery is not None]
    if kept and len(kept) == len(scored):
        yield f"{_span([100 * share for share in kept], 0)} % of the score left"
    yield f"{_span([100 * cell.agreement.same_answer for cell in cells], 0)} % same answers"
    flips = [row.flips for _, row in scored if row.flips is not None]
    if flips:
        worse, better = (sum(getattr(one, way) for one in flips) for way in ("worse", "better"))
        yield f"{worse:,} answers worse, {better:,} better"
    read = [cell.fidelity.own for cell in cells if cell.fidelity is not None and cell.fidelity.own]
    if read:
        divergences = [one.kl.value for one in read]
        low, high = (f"{value:.2g}" for value in (min(divergences), max(divergences)))
        same = _span([100 * one.same_top.value for one in read], 0)
        yield f"KL {low if low == high else f'{low} to {high}'} nats a token, {same} % same top"


def _span(values: Sequence[float], digits: int) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _unknown(scored: Sequence[tuple[CellRow, MetricRow]], pooled: PooledRow | None) -> str:
    """Say what is left open, and how many samples would settle it."""
    if not scored:
        return "Whether an answer is better or worse: the golds are not known."
    undecided = [(cell, row) for cell, row in scored if state_of(row).word == UNDECIDED]
    few = sum(state_of(row).word == TOO_FEW for _, row in scored)
    parts = []
    if pooled is not None and pooled.samples_needed is not None and len(scored) > 1:
        parts.append(
            f"All cells together are undecided; about {_rounded([pooled.samples_needed])} "
            f"samples would settle them (here: {pooled.samples:,})."
        )
    if undecided:
        text = f"{counted(len(undecided), 'cell')} undecided"
        needed = [
            n
            for cell, row in undecided
            if (n := samples_needed(cell, row)) is not None and n > cell.samples
        ]
        if needed:
            here = max(cell.samples for cell, _ in undecided)
            text += f"; each alone needs about {_rounded(needed)} samples (here: {here:,})"
        parts.append(f"{text}.")
    if few:
        parts.append(
            f"{counted(few, 'cell')} with too few samples, or too few that differ: nothing was "
            f"shown there, in either direction."
        )
    return " ".join(parts)


def samples_needed(cell: CellRow, row: MetricRow) -> int | None:
    """Return how many samples would show a loss of the margin with a power of 0.8.

    The standard error falls with the square root of the number; ``None`` where no margin was
    stated, or too few units differ to tell the spread.
    """
    if row.margin is None or row.smallest_effect is None:
        return None
    return round(cell.samples * max(1.0, row.smallest_effect / row.margin) ** 2)


def _rounded(numbers: Sequence[int]) -> str:
    """Return the range of some numbers, two digits each: they are no better known."""
    low, high = (int(float(f"{n:.2g}")) for n in (min(numbers), max(numbers)))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
