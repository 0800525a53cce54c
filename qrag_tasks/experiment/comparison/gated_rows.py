"""The rows of a comparison as gates are asked of them: cells, and all cells of an arm as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow, PooledRow
from qrag_tasks.experiment.comparison.tables.texts import chosen, p_text, percent_text
from qrag_tasks.experiment.comparison.verdicts import NOT_TESTED, interval_text, verdict

CELLS, POOLED = "cells", "pooled"


@dataclass(frozen=True)
class GatedRow:
    """One row.

    :ivar kind: ``cells`` or ``pooled``.
    :ivar names: what it can be chosen by: ``model``, ``arm``, ``base`` and others.
    :ivar arms: what is compared: ``q15 int4-nf4 against bf16``.
    :ivar where: on what: ``lamp3u, k = 5, bm25``.
    :ivar verdict: in a word; where there are no scores, ``not tested``.
    :ivar figures: name -> value; ``None`` where it is not known.
    :ivar text: its figures in words.
    :ivar repeats: whether it is the row of an arm with one cell, which has a row of its own.
    """

    kind: str
    names: Mapping[str, str]
    arms: str
    where: str
    verdict: str
    figures: Mapping[str, float | None]
    text: str
    repeats: bool = False


def gated_rows(comparison: Comparison, metrics: Sequence[str] = ()) -> list[GatedRow]:
    """Return the rows that tables show: those of cells, then those over all cells of an arm.

    :param metrics: as for :func:`~qrag_tasks.experiment.comparison.tables.texts.records`.
    """
    return [
        *(_of_cell(cell, row) for cell, row in chosen(comparison, metrics)),
        *(_of_pooled(row) for row in comparison.pooled),
    ]


def _of_cell(cell: CellRow, row: MetricRow | None) -> GatedRow:
    base = cell.base.arm if cell.base.model == cell.other.model else cell.base.label
    task = cell.lamp_task or cell.task
    retriever = "" if cell.retriever in (None, "none") else str(cell.retriever)
    parts = [task if cell.filter == "none" else f"{task}, {cell.filter}"]
    parts += [f"k = {cell.k}"] if cell.k else []
    parts += [retriever] if retriever else []
    parts += [cell.order] if cell.order not in (None, "best-first") else []
    same = cell.agreement.same_answer
    return GatedRow(
        CELLS,
        {
            "model": cell.other.model,
            "arm": cell.other.arm,
            "base": base,
            "task": task,
            "k": cell.k or "",
            "retriever": retriever,
            "metric": row.metric if row else "",
        },
        f"{cell.other.label} against {base or 'its base'}",
        ", ".join(parts),
        verdict(row) if row else NOT_TESTED,
        {
            "recovery": row.recovery if row else None,
            "loss": _loss(row) if row else None,
            "same_answers": same,
        },
        _figures(row) if row else f"no scores; {percent_text(same)} same answers",
    )


def _of_pooled(row: PooledRow) -> GatedRow:
    of = "all cells" if row.cells > 1 else "its cell"
    by = "" if row.retriever == "all" else f" of {row.retriever}"
    recovery = "" if row.recovery is None else f", recovery {percent_text(row.recovery)}"
    return GatedRow(
        POOLED,
        {
            "model": row.model,
            "arm": row.arm,
            "base": row.base_arm,
            "retriever": row.retriever,
            "metric": ", ".join(row.metrics),
        },
        f"{row.model} {row.arm} against {row.base_arm or 'its base'}",
        f"{of}{by}",
        row.verdict,
        {"recovery": row.recovery, "loss": row.effect},
        f"{row.verdict}: {row.effect:+.2f} margins, interval {interval_text(row, 2)}"
        f"{_p(row)}{recovery}",
        repeats=row.cells == 1,
    )


def _loss(row: MetricRow) -> float | None:
    if row.higher_is_better is None or row.margin is None:
        return None
    return (-row.difference if row.higher_is_better else row.difference) / row.margin


def _figures(row: MetricRow) -> str:
    recovery = "" if row.recovery is None else f", recovery {percent_text(row.recovery)}"
    return (
        f"{verdict(row)}: {row.metric} {row.base:.4f} to {row.other:.4f} ({row.difference:+.4f}, "
        f"interval {interval_text(row)}{_p(row)}){recovery}"
    )


def _p(row: MetricRow | PooledRow) -> str:
    return f", p (Holm) {p_text(row)}" if row.p_holm is not None else ""
