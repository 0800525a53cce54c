"""The answer in three sentences, with its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from qrag_tasks.experiment.comparison.rows import (
    AttributeRow,
    CellRow,
    Comparison,
    MetricRow,
    TrendRow,
)
from qrag_tasks.experiment.comparison.tables.by_attribute import chosen_rows
from qrag_tasks.experiment.comparison.tables.texts import chosen_trends
from qrag_tasks.experiment.comparison.verdicts import (
    ALPHA,
    BETTER,
    EQUIVALENT,
    NOT_TESTED,
    TOO_FEW,
    UNDECIDED,
    WITHIN_NOISE,
    WORSE,
    attribute_verdict,
    headline,
    verdict,
)
from qrag_tasks.wording import counted


def sentences(comparison: Comparison) -> list[str]:
    """Return what a comparison found: how many cells differ, the largest loss, the trend over k.

    The trend is left out where no task has a k. Every cell counts by its headline metric alone. A
    sentence for each attribute of the questions with which a loss grows stands last.
    """
    shown = [(cell, row) for cell in comparison.cells if (row := headline_row(cell)) is not None]
    if not shown:
        return [_alike(comparison.cells)]
    answer = [_counts(shown), _largest(shown)]
    # Where k itself is compared, there is no series of them.
    if comparison.trends or any(cell.k is not None and not cell.by_design for cell, _ in shown):
        answer.append(_trend(chosen_trends(comparison)))
    return [*answer, *_by_attribute(comparison)]


def headline_row(cell: CellRow) -> MetricRow | None:
    """Return the row of a cell's headline metric; ``None`` without golds."""
    name = headline([row.metric for row in cell.metrics])
    return next((row for row in cell.metrics if row.metric == name), None)


def loss(row: MetricRow) -> float:
    """Return by how much the other arm is worse: below zero where it is better.

    Where nobody says which way is better, by how much it differs.
    """
    if row.higher_is_better is None:
        return abs(row.difference)
    return -row.difference if row.higher_is_better else row.difference


def _counts(shown: Sequence[tuple[CellRow, MetricRow]]) -> str:
    counts = Counter(word for _, row in shown for word in verdict(row).split(", "))
    others = ", ".join(sorted({cell.other.arm or cell.other.label for cell, _ in shown}))
    bases = ", ".join(sorted({cell.base.arm or cell.base.label for cell, _ in shown}))
    if any(cell.by_design for cell, _ in shown):
        between = "on the same questions"
    else:
        between = f"of {others} with {bases} on identical prompts"
    sentence = (
        f"Of {counted(len(shown), 'comparison')} {between}, "
        f"{counts[WORSE]} {_are(counts[WORSE])} worse by more than chance explains (Holm-"
        f"corrected p < {ALPHA}), {counts[BETTER]} better, {counts[EQUIVALENT]} equivalent "
        f"within the stated margins, and {counts[UNDECIDED]} undecided"
    )
    if counts[WITHIN_NOISE]:
        sentence += f"; in {counts[WITHIN_NOISE]} other batches alone would differ as much"
    if counts[TOO_FEW]:
        sentence += (
            f"; in {counts[TOO_FEW]} too few samples or users, or too few that differ, allow no "
            f"test"
        )
    if counts[NOT_TESTED]:
        sentence += f"; {counts[NOT_TESTED]} could not be tested"
    return f"{sentence}."


def _largest(shown: Sequence[tuple[CellRow, MetricRow]]) -> str:
    cell, row = max(
        shown, key=lambda both: loss(both[1]) / abs(both[1].base) if both[1].base else 0.0
    )
    if loss(row) <= 0:
        return "In none of them does an arm score lower than its base."
    kind = "difference" if row.higher_is_better is None else "loss"
    return (
        f"The largest relative {kind} is {cell.other.label} on "
        f"{where(cell)}: {row.metric} {row.base:.3f} to {row.other:.3f} "
        f"({row.difference:+.3f}{_interval(row)})."
    )


def _interval(row: MetricRow) -> str:
    if row.interval is not None:
        level, low, high = row.interval.level, row.interval.low, row.interval.high
        return f", {100 * level:g}% interval {low:+.3f} to {high:+.3f}"
    if row.bound is not None:
        return (
            f"; {row.differing} of {row.units} {'differs' if row.differing == 1 else 'differ'}, so "
            f"that it can be ±{row.bound:.3f} at most"
        )
    if row.p is None and row.units is not None:
        return "; too few samples or users for an interval"
    return "; no interval is known"


def _trend(rows: Sequence[TrendRow]) -> str:
    if not rows:
        return "There are too few k to tell whether the difference grows with the documents."
    tested = [row for row in rows if row.p_holm is not None]
    if not tested:
        return (
            "Whether the difference grows with the documents cannot be tested: there are too few "
            "samples or users, or too few that differ."
        )
    growing = [row for row in tested if (row.p_holm or 0) < ALPHA and _harm(row) > 0]
    rest = len(rows) - len(tested)
    untested = f"; too few samples or users tell in {rest}" if rest else ""
    if not growing:
        steepest = max(tested, key=_harm)
        return (
            f"The loss grows with the number of documents in none of {len(tested)} series "
            f"(steepest: {steepest.metric} {steepest.slope:+.4f} per document, {steepest.model} "
            f"{steepest.arm}, p {steepest.p_holm:.2f}){untested}."
        )
    steepest = max(growing, key=_harm)
    return (
        f"The loss grows with the number of documents in {len(growing)} of {len(tested)} series, "
        f"most in {steepest.model} {steepest.arm} on {steepest.lamp_task} with "
        f"{steepest.retriever}: {steepest.metric} {steepest.slope:+.4f} per document{untested}."
    )


def _harm(row: TrendRow) -> float:
    return -row.slope if row.higher_is_better else row.slope


def _by_attribute(comparison: Comparison) -> Iterator[str]:
    """Say with which attributes of the questions losses grow, or shrink."""
    by_name: dict[str, list[AttributeRow]] = {}
    for row in chosen_rows(comparison, None):
        if row.slope is not None:
            by_name.setdefault(row.attribute, []).append(row)
    for name, rows in by_name.items():
        for word, verb in ((WORSE, "grows"), (BETTER, "shrinks")):
            found = [row for row in rows if attribute_verdict(row) == word]
            if not found:
                continue
            most = max(found, key=lambda row: abs((row.slope or 0.0) * (row.reach or 0.0)))
            cell, change = comparison.cells[most.cell], (most.slope or 0.0) * (most.reach or 0.0)
            yield (
                f"The loss {verb} with {name} in {len(found)} of "
                f"{counted(len(rows), 'comparison')}, most in {cell.other.label} on {where(cell)}: "
                f"{most.metric} {change:+.3f} from its lowest value to its highest."
            )


def _alike(cells: Sequence[CellRow]) -> str:
    least = min(cells, key=lambda cell: cell.agreement.same_answer)
    return (
        f"Without golds, agreement is what there is: in {counted(len(cells), 'comparison')} the "
        f"two arms give the same answer to at least {least.agreement.same_answer:.1%} of the "
        f"samples ({least.other.label} on {where(least)})."
    )


def where(cell: CellRow) -> str:
    """Return which cell it is, in words."""
    if not cell.lamp_task:
        return cell.task
    at = f" at k = {cell.k}" if cell.k else ""
    by = "" if cell.retriever in (None, "none") else f" with {cell.retriever}"
    return f"{cell.lamp_task}{at}{by}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
