"""An arm over all of its cells: one test, one interval and one recovery."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qrag_tasks.experiment.comparison.notes import folded
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import ALL, CellRow, MetricRow, PooledRow
from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.experiment.comparison.verdicts import (
    ALPHA,
    UNDECIDED,
    headline,
    pooled_verdict,
)
from qrag_tasks.experiment.statistics import (
    Bootstrap,
    PooledCell,
    draw_together,
    draws_needed,
    effect_to_show,
    growth_to_settle,
    holm,
    permutation_test,
    pooled_loss,
    pooled_recovery,
)

_NO_MARGIN = (
    "is not in the rows over all cells: no margin is stated for it (--margin METRIC=SIZE), which "
    "would make its losses comparable with others",
    "scores are not in the rows over all cells: no margin is stated for them (--margin "
    "METRIC=SIZE), which would make their losses comparable with others",
)
_NO_MEAN = (
    "is not in the rows over all cells: it is not the mean of the samples' values, or it is not "
    "known which way it is better",
    "scores are not in the rows over all cells: they are not means of the samples' values, or it "
    "is not known which way they are better",
)


@dataclass(frozen=True)
class _Member:
    """A cell that counts: with its headline metric, and its samples."""

    cell: CellRow
    row: MetricRow
    values: Values

    def pooled(self) -> PooledCell:
        base, other = self.values.of(self.row.metric)
        return PooledCell(
            base,
            other,
            self.values.wholes,
            bool(self.row.higher_is_better),
            self.row.margin or 1.0,
            self.values.span(self.row.metric),
        )


def pooled_rows(
    cells: Sequence[CellRow], values: Sequence[Values], options: Options
) -> list[PooledRow]:
    """Return a row for each arm, and one for each retriever where an arm has several.

    :param values: the samples of the cells.
    """
    groups = list(_groups(cells, values))
    tests = Counter(retriever == ALL for (*_, retriever), _ in groups)
    rows = [_row(names, members, options, tests[names[-1] == ALL]) for names, members in groups]
    return [_judged(row) for row in _corrected(rows)]


def not_pooled(cells: Sequence[CellRow], values: Sequence[Values]) -> list[str]:
    """Return notes on the cells that no row over all cells holds."""
    lost: dict[tuple[str, str], list[str]] = {_NO_MARGIN: [], _NO_MEAN: []}
    for cell, own in zip(cells, values, strict=True):
        row = _headline(cell)
        if row is not None and row.units is not None:
            name = f"{cell.task}: {row.metric}"
            if not _is_mean(own, row):
                lost[_NO_MEAN].append(name)
            elif row.margin is None:
                lost[_NO_MARGIN].append(name)
    return [note for (one, many), names in lost.items() for note in folded(names, one, many)]


def _groups(
    cells: Sequence[CellRow], values: Sequence[Values]
) -> Iterator[tuple[tuple[str, str, str, str], list[_Member]]]:
    """Yield what is pooled, by model, arm, base and retriever."""
    arms: dict[tuple[str, str, str], list[_Member]] = {}
    for cell, own in zip(cells, values, strict=True):
        row = _headline(cell)
        if row is not None and row.margin is not None and _is_mean(own, row):
            base = cell.base.arm if cell.base.model == cell.other.model else cell.base.label
            key = (cell.other.model, cell.other.arm, base)
            arms.setdefault(key, []).append(_Member(cell, row, own))
    for key, members in arms.items():
        yield (*key, ALL), members
        by_retriever: dict[str, list[_Member]] = {}
        for member in members:
            if member.cell.retriever not in (None, "none"):
                by_retriever.setdefault(str(member.cell.retriever), []).append(member)
        if len(by_retriever) > 1:
            yield from (((*key, retriever), its) for retriever, its in by_retriever.items())


def _headline(cell: CellRow) -> MetricRow | None:
    name = headline([row.metric for row in cell.metrics])
    return next((row for row in cell.metrics if row.metric == name), None)


def _is_mean(values: Values, row: MetricRow) -> bool:
    aggregation = next(m.aggregation for m in values.metrics if m.name == row.metric)
    return aggregation == "mean" and row.higher_is_better is not None


def _row(
    names: tuple[str, str, str, str], members: Sequence[_Member], options: Options, tests: int
) -> PooledRow:
    model, arm, base, retriever = names
    cells = [member.pooled() for member in members]
    loss = Bootstrap(pooled_loss(cells), options.resamples, options.seed)
    left = Bootstrap(pooled_recovery(cells), options.resamples, options.seed)
    draw_together(one for one in (loss, left) if one.units.measurable)
    test = permutation_test(loss.units, options.resamples, draws_needed(tests, ALPHA), options.seed)
    recovered = all(member.row.recovery is not None for member in members)
    questions = {(m.values.family, key) for m in members for key in m.values.keys}
    users = {unit for cell in cells for unit in cell.units}
    return PooledRow(
        model=model,
        arm=arm,
        base_arm=base,
        retriever=retriever,
        metrics=list(dict.fromkeys(member.row.metric for member in members)),
        cells=len(members),
        samples=len(questions),
        users=None if any(m.values.users is None for m in members) else len(users),
        effect=loss.units.observed(),
        interval=loss.interval(options.level),
        bound=loss.bound(options.level),
        p=None if test is None else test.p,
        p_holm=None,
        equivalence_p=loss.equivalence_p(1.0),
        recovery=left.units.observed() if recovered else None,
        recovery_interval=left.interval(options.level) if recovered else None,
        verdict="",
        smallest_effect=effect_to_show(loss.units),
        samples_needed=_needed(len(questions), growth_to_settle(loss.units, 1.0, tests)),
        noise=_noise(members),
        noise_floor=_noise_floor(members),
    )


def _needed(samples: int, growth: float | None) -> int | None:
    return math.ceil(samples * growth) if growth is not None and growth > 1 else None


def _noise(members: Sequence[_Member]) -> str:
    """Return what is known of the noise of all cells: the least that is of one."""
    states = {member.cell.batch_noise for member in members}
    return next(state for state in ("unknown", "measured", "excluded") if state in states)


def _noise_floor(members: Sequence[_Member]) -> float | None:
    """Return the noise floor of the mean loss: each cell has batches of its own."""
    floors = [0.0 if m.cell.batch_noise == "excluded" else m.row.noise_floor for m in members]
    squares = [
        (floor / (m.row.margin or 1.0)) ** 2
        for floor, m in zip(floors, members, strict=True)
        if floor is not None
    ]
    whole = len(squares) == len(members) and any(squares)
    return math.sqrt(sum(squares)) / len(members) if whole else None


def _corrected(rows: Sequence[PooledRow]) -> list[PooledRow]:
    """Correct p over the rows of all retrievers together, and over those of single ones."""
    families = [[row for row in rows if (row.retriever == ALL) is whole] for whole in (True, False)]
    corrected = {
        id(row): replace(row, p_holm=p)
        for family in families
        for row, p in zip(family, holm([row.p for row in family]), strict=True)
    }
    return [corrected[id(row)] for row in rows]


def _judged(row: PooledRow) -> PooledRow:
    verdict = pooled_verdict(row)
    needed = row.samples_needed if verdict == UNDECIDED else None
    return replace(row, verdict=verdict, samples_needed=needed)
