"""What arms read of answers, token by token, beside the scores of their cells. No model is loaded.

Readings lie beside results (:mod:`qrag_tasks.experiment.fidelity`). They are taken where both arms
read the same answers, and these are the ones that are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.experiment.comparison.agreement import text_of
from qrag_tasks.experiment.comparison.fidelity_rows import (
    AnswersRead,
    Direction,
    FidelityRow,
    FidelityTrendRow,
    MeanRow,
)
from qrag_tasks.experiment.comparison.k_series import lines
from qrag_tasks.experiment.comparison.matching import Matched, differ_by_design
from qrag_tasks.experiment.comparison.notes import folded
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import CellRow
from qrag_tasks.experiment.comparison.sample_arrays import Values, one_by_one
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.divergence import Floats, ReadAnswers, divergence
from qrag_tasks.experiment.fidelity.figures import (
    Fidelity,
    Figures,
    Mean,
    drawn_together,
    samples_to_show,
)
from qrag_tasks.experiment.fidelity.places import readings_file, source_of
from qrag_tasks.experiment.plan.planned_fidelity import KINDS
from qrag_tasks.experiment.statistics import holm, trend


@dataclass(frozen=True)
class WithReadings:
    """Cells with what was read of them.

    :ivar notes: readings that were not taken, and why; and those that another arm made.
    """

    cells: list[CellRow]
    trends: list[FidelityTrendRow]
    notes: list[str]


@dataclass(frozen=True)
class _Read:
    """What was read of a cell's answers of one kind.

    :ivar chosen: the numbers of the samples that were read, among those that are compared.
    :ivar answers: of these, in the same order.
    """

    chosen: NDArray[np.int64]
    answers: ReadAnswers


def with_readings(
    cells: Sequence[CellRow], values: Sequence[Values], options: Options
) -> WithReadings:
    """Add to cells what was read of them, where something was.

    :param values: of the cells, in the same order.
    :raises StoreError: when readings are damaged.
    """
    stale: list[str] = []
    others: list[str] = []
    kl_of: list[dict[str, dict[str, float]]] = [{} for _ in cells]
    rows: list[dict[str, AnswersRead]] = [{} for _ in cells]
    drawn: list[tuple[int, str]] = []

    def prepared() -> Iterator[Figures]:
        """Yield what was read, cell by cell, so that not all of it is held at once."""
        for number, of_cell in enumerate(values):
            for kind in KINDS:
                read = _read(of_cell, kind, stale, others)
                if read is not None:
                    drawn.append((number, kind))
                    kl_of[number][kind] = _kl(of_cell, read)
                    yield _figures_of(of_cell, read, options)

    for place, figures in enumerate(drawn_together(prepared(), options.level)):
        number, kind = drawn[place]
        rows[number][kind] = _figures(figures)
    added = [
        replace(cell, fidelity=FidelityRow(**row, directions=list(_directions(cell, its))))
        if row
        else cell
        for cell, its, row in zip(cells, values, rows, strict=True)
    ]
    notes = [
        *folded(
            stale,
            "was read when other answers stood there: `qrag fidelity` reads it again",
            "cells were read when other answers stood there: `qrag fidelity` reads them again",
        ),
        *folded(
            others,
            "was read by another arm than answered it: a machine or a package has changed",
            "cells were read by other arms than answered them: a machine or a package has changed",
        ),
    ]
    return WithReadings(added, _corrected(_trends(added, values, kl_of, options.level)), notes)


def readings_files(matched: Matched) -> set[Path]:
    """Return the files of readings that a comparison looks at."""
    files = {
        readings_file(side.run.path.parent, kind)
        for both in matched.sides
        for side in both
        for kind in KINDS
    }
    return {file for file in files if file.exists()}


# ---------------------------------------------------------------------- one cell
def _read(values: Values, kind: str, stale: list[str], others: list[str]) -> _Read | None:
    files = [readings_file(side.run.path.parent, kind) for side in (values.base, values.other)]
    if files[0] == files[1] or differ_by_design(values.base, values.other):
        return None
    origins = [store.origin(file) for file in files]
    one, two = origins
    # Where the base is another arm's other, both read a third arm's answers.
    if one is None or two is None or one.base is not None:
        return None
    name = f"{values.other.run.label}, {values.other.called}, {kind} answers"
    log = values.base.task.log.path
    if (
        one.source != source_of(log, kind, one.top)
        or two.source != source_of(log, kind, two.top)
        or two.base != one.kept
        or any(
            origin.answered_by != side.run.logged.identity
            for origin, side in ((one, values.base), (two, values.other))
        )
    ):
        stale.append(name)
        return None
    if any(origin.arm != origin.answered_by for origin in (one, two)):
        others.append(name)
    base, other = store.read(files[0]), store.read(files[1])
    if base is None or other is None:
        return None
    read = ReadAnswers(divergence(base.places, other.places), base.lengths)
    place = {key: number for number, key in enumerate(base.keys)}
    chosen = [number for number, key in enumerate(values.keys) if key in place]
    if not chosen:
        return None
    rows = [place[values.keys[number]] for number in chosen]
    if rows != list(range(len(base.keys))):
        read = read.some(rows)
    return _Read(np.array(chosen, np.int64), read)


def _figures_of(values: Values, read: _Read, options: Options) -> Figures:
    return Figures(
        read.answers,
        None if values.users is None else values.users[read.chosen],
        resamples=options.resamples,
        seed=options.seed,
    )


def _figures(figures: Fidelity) -> AnswersRead:
    return AnswersRead(
        samples=figures.samples,
        places=figures.places,
        kl=_mean(figures.kl),
        kl_short=figures.kl_short,
        kl_percentiles={f"{name:g}": value for name, value in figures.kl_percentiles.items()},
        same_top=_mean(figures.same),
        given=_mean(figures.given),
        given_rms=figures.given_rms,
        perplexity_ratio=_mean(figures.perplexity_ratio),
        samples_needed=figures.samples_needed,
    )


def _mean(mean: Mean) -> MeanRow:
    return MeanRow(mean.value, mean.interval)


def _directions(cell: CellRow, values: Values) -> Iterator[Direction]:
    changed = np.array([text_of(one) != text_of(two) for one, two in values.pairs])
    rows = {row.metric: row for row in cell.metrics}
    for metric in values.metrics:
        row = rows.get(metric.name)
        if row is None or row.higher_is_better is None or not one_by_one(metric):
            continue
        base, other = values.of(metric.name)
        gain = (other - base if row.higher_is_better else base - other)[changed]
        yield Direction(
            metric.name,
            int(changed.sum()),
            int((gain > 0).sum()),
            int((gain < 0).sum()),
            samples_to_show(row.difference, row.smallest_effect, cell.samples),
        )


# ---------------------------------------------------------------------- many cells
def _kl(values: Values, read: _Read) -> dict[str, float]:
    """Return the KL a token of each sample, by its key."""
    means: Floats = read.answers.means(read.answers.places.kl)
    return {values.keys[number]: float(kl) for number, kl in zip(read.chosen, means, strict=True)}


def _trends(
    cells: Sequence[CellRow],
    values: Sequence[Values],
    kl_of: Sequence[Mapping[str, Mapping[str, float]]],
    level: float,
) -> Iterator[FidelityTrendRow]:
    for named, of_line in lines(cells).items():
        for kind in KINDS:
            members = [number for number in of_line if kind in kl_of[number]]
            documents = [cells[number].kept or 0.0 for number in members]
            if len(set(documents)) < 2:
                continue
            first = values[members[0]]
            by_key = [kl_of[number][kind] for number in members]
            rows = [n for n, key in enumerate(first.keys) if all(key in kl for kl in by_key)]
            if not rows:
                continue
            line = trend(
                documents,
                np.array([[kl[first.keys[row]] for kl in by_key] for row in rows]),
                clusters=None if first.users is None else first.users[rows],
                level=level,
            )
            yield FidelityTrendRow(
                *named,
                answers=kind,
                k=[cells[number].k or "" for number in members],
                documents=documents,
                samples=len(rows),
                slope=line.slope,
                interval=line.interval,
                p=line.p,
                p_holm=None,
            )


def _corrected(rows: Iterator[FidelityTrendRow]) -> list[FidelityTrendRow]:
    """Correct the p of all trends of one kind of answer."""
    by_kind: dict[str, list[FidelityTrendRow]] = {}
    for row in rows:
        by_kind.setdefault(row.answers, []).append(row)
    return [
        replace(row, p_holm=p)
        for members in by_kind.values()
        for row, p in zip(members, holm([row.p for row in members]), strict=True)
    ]
