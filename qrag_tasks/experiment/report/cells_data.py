"""What the page's script knows of every cell: whatever figures, map and filters show of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qrag_tasks.experiment.comparison.rows import AttributeRow, CellRow, Comparison
from qrag_tasks.experiment.comparison.tables.by_attribute import chosen_rows
from qrag_tasks.experiment.comparison.verdicts import attribute_verdict, verdict
from qrag_tasks.experiment.report.answer import headline_row
from qrag_tasks.experiment.report.arm_summaries import ArmSummary, samples_needed
from qrag_tasks.experiment.report.looks import Looks
from qrag_tasks.experiment.report.samples_data import PackedSamples
from qrag_tasks.experiment.report.spending import QUANTITIES, spent
from qrag_tasks.experiment.report.states import STATES, UNSCORED, state_of
from qrag_tasks.logs.runs import Run


def page_data(
    comparison: Comparison,
    runs: Sequence[tuple[Run, Run]],
    summaries: Sequence[ArmSummary],
    samples: PackedSamples,
    attribute: str | None = None,
) -> dict[str, Any]:
    """Return all that the script is given beside the samples' texts.

    :param runs: base and other, of each cell.
    :param summaries: whose order is the arms'.
    :param attribute: of the questions, which is shown first; ``None`` for whichever.
    """
    attributes: dict[int, list[dict[str, Any]]] = {}
    for row in chosen_rows(comparison, None):
        attributes.setdefault(row.cell, []).append(_by_attribute(row))
    return {
        "level": comparison.level,
        "attribute": attribute,
        "states": {
            state.name: {"word": state.word, "sign": state.sign, "meaning": state.meaning}
            for state in (*STATES.values(), UNSCORED)
        },
        "colours": Looks.of(comparison).colours,
        "arms": list(dict.fromkeys(one.key[1] or one.arm for one in summaries)),
        "questions": samples.questions,
        "quantities": {one.name: {"label": one.label, "unit": one.unit} for one in QUANTITIES},
        "cells": [
            {
                **_facts(cell),
                **_figures(cell),
                "fidelity": _fidelity(cell),
                "cost": _cost(pair),
                "attributes": attributes.get(number, []),
                **its,
            }
            for number, (cell, pair, its) in enumerate(
                zip(comparison.cells, runs, samples.records, strict=True)
            )
        ],
    }


def _facts(cell: CellRow) -> dict[str, Any]:
    return {
        "model": cell.other.model,
        "arm": cell.other.arm or cell.other.label,
        "base": cell.base.arm or cell.base.label,
        "task": cell.lamp_task or cell.task,
        "k": cell.k or "",
        "retriever": cell.retriever or "",
        "order": cell.order or "",
        "byDesign": list(cell.by_design),
        "filter": "" if cell.filter == "none" else cell.filter,
        "n": cell.samples,
        "users": cell.users,
        "documents": cell.kept,
        "same": cell.agreement.same_answer,
    }


def _by_attribute(row: AttributeRow) -> dict[str, Any]:
    """Return a cell's headline metric by one attribute."""
    reach, interval = row.reach or 0.0, row.interval
    trend = None
    if row.slope is not None:
        trend = {
            "change": row.slope * reach,
            "low": interval.low * reach if interval else None,
            "high": interval.high * reach if interval else None,
            "p": row.p_holm,
            "verdict": attribute_verdict(row),
        }
    return {
        "name": row.attribute,
        "binned": row.binned,
        "unknown": row.unknown,
        "trend": trend,
        "bins": [
            {
                "label": one.label,
                "mean": one.mean,
                "n": one.samples,
                "users": one.users,
                "state": state_of(one.row).name,
                "verdict": verdict(one.row),
                "base": one.row.base,
                "score": one.row.other,
                "difference": one.row.difference,
                "low": one.row.interval.low if one.row.interval else None,
                "high": one.row.interval.high if one.row.interval else None,
                "p": one.row.p_holm,
            }
            for one in row.bins
        ],
    }


def _figures(cell: CellRow) -> dict[str, Any]:
    row = headline_row(cell)
    state = state_of(row)
    if row is None:
        return {"state": state.name, "verdict": state.word, "metric": "", "up": None}
    interval = row.interval
    return {
        "state": state.name,
        "verdict": verdict(row),
        "metric": row.metric,
        "up": row.higher_is_better,
        "baseScore": row.base,
        "score": row.other,
        "difference": row.difference,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "bound": row.bound,
        "p": row.p_holm,
        "margin": row.margin,
        "recovery": row.recovery,
        "needed": samples_needed(cell, row),
    }


def _cost(pair: tuple[Run, Run]) -> dict[str, list[float]]:
    return {one.quantity.name: [one.base, one.other] for one in spent([pair])}


def _fidelity(cell: CellRow) -> dict[str, Any] | None:
    """Return what was read along the base's own answers."""
    own = cell.fidelity.own if cell.fidelity is not None else None
    if own is None:
        return None
    interval = own.kl.interval
    return {
        "kl": own.kl.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "same": own.same_top.value,
    }
