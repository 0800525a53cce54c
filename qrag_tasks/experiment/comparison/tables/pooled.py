"""Arms over all of their cells, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.experiment.comparison.rows import Comparison, PooledRow
from qrag_tasks.experiment.comparison.tables.sections import Fits, Section
from qrag_tasks.experiment.comparison.tables.texts import (
    Table,
    interval_heading,
    noise_text,
    p_text,
    percent_text,
)
from qrag_tasks.experiment.comparison.verdicts import interval_text

_ALWAYS = ("Model", "Other", "Base", "Retriever", "Cells", "Samples", "Users")
_LOSS = "Loss in margins"
_BETWEEN = "Recovery interval"
_NEEDED = "Samples to settle"


def pooled_table(comparison: Comparison) -> Table:
    """Return every row over all cells, in all columns; no row where every arm has one cell."""
    rows = [_record(row, comparison.level) for row in _telling(comparison)]
    names = [name for name in _headings(comparison.level) if any(row[name] for row in rows)]
    return Table(tuple(names), [tuple(row[name] for name in names) for row in rows])


def pooled_sections(comparison: Comparison, fits: Fits) -> list[Section]:
    """Return a table for each model and base, of the columns for which there is room.

    Nothing where every arm has one cell, whose own row says it.
    """
    groups: dict[tuple[str, str], list[PooledRow]] = {}
    for row in _telling(comparison):
        groups.setdefault((row.model, row.base_arm), []).append(row)
    interval = interval_heading(comparison.level)
    sections = []
    for (model, base), members in groups.items():
        rows = [_record(row, comparison.level) for row in members]
        title = f"All cells of an arm as one: {model} against {base or 'its base'}"
        shown = ["Other", *(["Retriever"] if len({r.retriever for r in members}) > 1 else [])]
        shown += ["Verdict", _LOSS, interval, "Recovery"]
        for name in (_NEEDED, "p (Holm)", _BETWEEN, "Cells", "Samples", "Noise"):
            wider = [*shown, name]
            texts = [[row[column] for column in wider] for row in rows]
            if any(row[name] for row in rows) and fits(wider, texts):
                shown = wider
        sections.append(Section(title, shown, [[row[name] for name in shown] for row in rows]))
    return sections


def _telling(comparison: Comparison) -> Sequence[PooledRow]:
    return comparison.pooled if any(row.cells > 1 for row in comparison.pooled) else ()


def _headings(level: float) -> tuple[str, ...]:
    return (
        *(*_ALWAYS, "Metrics", "Verdict", _LOSS, interval_heading(level), "p (Holm)"),
        *("Recovery", _BETWEEN, "Smallest loss shown", _NEEDED, "Noise"),
    )


def _record(row: PooledRow, level: float) -> dict[str, str]:
    return {
        "Model": row.model,
        "Other": row.arm,
        "Base": row.base_arm,
        "Retriever": row.retriever,
        "Cells": str(row.cells),
        "Samples": f"{row.samples:,}",
        "Users": "" if row.users is None else f"{row.users:,}",
        "Metrics": ", ".join(row.metrics),
        "Verdict": row.verdict,
        _LOSS: f"{row.effect:+.2f}",
        interval_heading(level): interval_text(row, digits=2),
        "p (Holm)": p_text(row),
        "Recovery": percent_text(row.recovery),
        _BETWEEN: _between(row),
        "Smallest loss shown": "" if row.smallest_effect is None else f"{row.smallest_effect:.2f}",
        _NEEDED: "" if row.samples_needed is None else f"{row.samples_needed:,}",
        "Noise": noise_text(row.noise, row.noise_floor, digits=2),
    }


def _between(row: PooledRow) -> str:
    between = row.recovery_interval
    return f"[{100 * between.low:.1f}, {100 * between.high:.1f}]%" if between else ""
