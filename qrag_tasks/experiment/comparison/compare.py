"""Compares arms, sample by sample: what differs, by how much, and is that more than chance?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from qrag_tasks.experiment.comparison.agreement import agreement
from qrag_tasks.experiment.comparison.attributes import by_attribute
from qrag_tasks.experiment.comparison.batch_noise import batch_noise, measured_noise
from qrag_tasks.experiment.comparison.bits import weights_of
from qrag_tasks.experiment.comparison.caveats import caveats
from qrag_tasks.experiment.comparison.k_series import corrected, trends
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.matching import (
    Matched,
    Side,
    match_runs,
    varied_by_design,
)
from qrag_tasks.experiment.comparison.metric_rows import Drawn, bootstraps, metric_rows
from qrag_tasks.experiment.comparison.options import Options, Track
from qrag_tasks.experiment.comparison.paired import PairedCells
from qrag_tasks.experiment.comparison.pooled import not_pooled, pooled_rows
from qrag_tasks.experiment.comparison.readings import with_readings
from qrag_tasks.experiment.comparison.rows import (
    ArmFacts,
    CellRow,
    Comparison,
    MetricRow,
)
from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.experiment.statistics import draw_together, holm
from qrag_tasks.logs.runs import Run
from qrag_tasks.logs.schema import LoggedArm


def compare_runs(
    base: Sequence[Run], others: Sequence[Sequence[Run]], options: Options | None = None
) -> Comparison:
    """Compare every task of the other arms with the same task of the base arm.

    :raises ComparisonError: as :func:`match_runs`, and when two were given different prompts.
    """
    return compare_matched(match_runs(base, others), options)


def compare_matched(
    matched: Matched,
    options: Options | None = None,
    kept: KeptComparisons | None = None,
    track: Track = lambda members, _: members,
) -> Comparison:
    """Compare pairs of arms over the same task.

    :param kept: as for :func:`compare_cells`.
    :param track: shows how far it is.
    :raises ComparisonError: when two were given different prompts.
    """
    return compare_cells(PairedCells(matched, options or Options(), track), kept)


def compare_cells(paired: PairedCells, kept: KeptComparisons | None = None) -> Comparison:
    """Compare what was paired, or is to be.

    :param kept: where the comparison is taken from if it was made before, and put otherwise.
    :raises ComparisonError: when two were given different prompts.
    """
    if kept is None:
        return _compared(paired)
    key = kept.key(paired.matched, paired.options, paired.track)
    comparison = kept.read(key)
    if comparison is None:
        comparison = _compared(paired)
        kept.write(key, comparison)
    return comparison


def _compared(paired: PairedCells) -> Comparison:
    values, options = paired.values, paired.options
    tests = Counter(metric.name for cell in values for metric in cell.metrics)
    resampled = _resampled(paired.track(values, "comparing"), options)
    cells = _corrected([_cell(cell, drawn, options, tests) for cell, drawn in resampled])
    trend_rows = corrected(list(trends(cells, values, options.level)))
    read = with_readings(cells, values, options)
    notes = [
        *paired.matched.notes,
        *read.notes,
        *caveats(values, cells),
        *not_pooled(cells, values),
    ]
    return Comparison(
        read.cells,
        trend_rows,
        notes,
        options.level,
        options.seed,
        pooled=pooled_rows(cells, values, options),
        fidelity_trends=read.trends,
        attributes=by_attribute(cells, values, options),
    )


_TOGETHER = 16
"""Cells that are resampled at once: enough of them for one product of matrices."""
_DRAWS_TOGETHER = 2_000_000
"""Resamples of so many cells at once at most, as each holds what was drawn for it."""


def _resampled(values: Iterable[Values], options: Options) -> Iterator[tuple[Values, Drawn]]:
    """Yield every cell with what was drawn for its metrics."""
    every = iter(values)
    together = max(1, min(_TOGETHER, _DRAWS_TOGETHER // options.resamples))
    while batch := list(islice(every, together)):
        drawn = [bootstraps(cell, options) for cell in batch]
        draw_together(b for its in drawn for b in its.values() if b.units.measurable)
        yield from zip(batch, drawn, strict=True)


def _cell(
    values: Values,
    drawn: Drawn,
    options: Options,
    tests: Mapping[str, int],
) -> CellRow:
    base, other = values.base, values.other
    ours = base.task.answer
    by_design = varied_by_design(base, other)
    # Where their prompts are not the same, the other's are what the row is about.
    asked = other.task if by_design else base.task
    kept = [both[1 if by_design else 0].kept for both in values.pairs]
    known = [number for number in kept if number is not None]
    return CellRow(
        task=asked.task,
        filter=values.filter,
        facts=asked.facts,
        kept=float(np.mean(known)) if known and len(known) == len(kept) else None,
        samples=len(values.pairs),
        users=None if values.users is None else int(values.users.max()) + 1,
        base=_arm(base, [one for one, _ in values.pairs]),
        other=_arm(other, [two for _, two in values.pairs]),
        agreement=agreement(values.pairs, ours.read if ours else str.strip),
        cost=cost_ratios(base.run, other.run),
        noise=measured_noise(base, options),
        batch_noise=batch_noise(base, other, options),
        by_design=by_design,
        metrics=metric_rows(values, drawn, options, tests),
    )


def _arm(side: Side, samples: Sequence[Any]) -> ArmFacts:
    def rate(name: str) -> float | None:
        rates = [sample.scores.get(name) for sample in samples]
        known = all(isinstance(value, int | float) and math.isfinite(value) for value in rates)
        return float(np.mean(rates)) if known else None

    tokens = [sample.prompt_tokens for sample in samples]
    return ArmFacts(
        side.run.label,
        side.run.name,
        side.run.arm,
        side.run.precision,
        str(side.run.path),
        side.run.logged.identity,
        valid_rate=rate("valid_rate"),
        runaway_rate=rate("runaway_rate"),
        unfinished_thought_rate=rate("unfinished_thought_rate"),
        engine=side.run.logged.engine_name,
        evidence=side.run.logged.evidence,
        weights=weights_of(side.run),
        kv_cache=side.run.kv_cache,
        cache_bytes_per_token=_measured(side.run.logged, "cache_bytes_per_token"),
        prompt_tokens=float(np.mean(tokens)) if all(n is not None for n in tokens) else None,
    )


def cost_ratios(base: Run, other: Run) -> dict[str, float]:
    """Return what both runs measured: name -> the other's over the base's."""
    ratios = {}
    for name in (
        *("weight_bytes", "peak_device_bytes", "peak_rss_bytes", "run_seconds"),
        *("prefill_tokens_per_second", "decode_tokens_per_second", "energy_joules"),
    ):
        one, two = (_measured(run.logged, name) for run in (base, other))
        if one and two:
            ratios[name] = two / one
    return ratios


def _measured(arm: LoggedArm, name: str) -> float | None:
    value = arm.weight_bytes if name == "weight_bytes" else (arm.cost or {}).get(name)
    return value if isinstance(value, int | float) else None


# ---------------------------------------------------------------------- many cells
def _corrected(cells: Sequence[CellRow]) -> list[CellRow]:
    """Correct the p of each metric over all cells."""
    families: dict[str, list[MetricRow]] = {}
    for cell in cells:
        for row in cell.metrics:
            families.setdefault(row.metric, []).append(row)
    corrected = {}
    for rows in families.values():
        for row, p in zip(rows, holm([row.p for row in rows]), strict=True):
            corrected[id(row)] = replace(row, p_holm=p)
    return [replace(cell, metrics=[corrected[id(row)] for row in cell.metrics]) for cell in cells]
