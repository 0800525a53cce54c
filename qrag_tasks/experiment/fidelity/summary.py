"""The fidelity of every cell of a grid, and how it changes with the number of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from qrag_tasks.experiment.fidelity.figures import Fidelity, Figures, by_place, drawn_together
from qrag_tasks.experiment.fidelity.run import CellReadings
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.plan.planned_fidelity import KINDS
from qrag_tasks.experiment.statistics import Trend, holm, trend


@dataclass(frozen=True)
class CellFidelity:
    """One cell's figures.

    :ivar kind: whose answers were read: ``own``, the base arm's, or ``gold``.
    :ivar places: answers that have a token there, mean KL and share of the same likeliest token, by
        the token's place in the answer.
    """

    cell: Cell
    base: str
    kind: str
    figures: Fidelity
    places: Sequence[tuple[int, float, float]]
    base_itself: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        cell = self.cell
        return {
            "model": cell.arm.model,
            "arm": cell.arm.called,
            "base": self.base.partition("/")[2],
            "task": cell.task,
            "k": cell.k,
            "retriever": cell.retriever,
            "order": cell.order,
            "answers": self.kind,
            "base_itself": None if np.isnan(self.base_itself) else self.base_itself,
            "by_place": [list(row) for row in self.places],
            **asdict(self.figures),
        }


@dataclass(frozen=True)
class FidelityTrend:
    """How the KL of an arm changes with a document more, by the samples that all k have.

    :ivar trend: slope of KL a token over documents in the prompt, and its p.
    :ivar p_holm: the p by Holm (1979) over all trends, own and right answers apart; ``None`` where
        there is none.
    """

    arm: str
    task: str
    retriever: str
    kind: str
    k: Sequence[str]
    samples: int
    trend: Trend
    p_holm: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summarize(read: Iterable[CellReadings]) -> tuple[list[CellFidelity], list[FidelityTrend]]:
    """Return the figures of every cell, and the trends over k."""
    read = list(read)
    drawn = drawn_together(Figures(each.read, _labels(each.users, each.keys)) for each in read)
    cells = [
        CellFidelity(
            *(each.cell, each.base, each.kind, figures, by_place(each.read), each.base_itself)
        )
        for each, figures in zip(read, drawn, strict=True)
    ]
    return cells, _trends(read)


def _labels(users: Sequence[str | None], keys: Sequence[str]) -> list[str]:
    """Return whose each sample is; one without a user is its own."""
    return [
        f"sample {key}" if user is None else f"user {user}"
        for user, key in zip(users, keys, strict=True)
    ]


def _trends(read: Sequence[CellReadings]) -> list[FidelityTrend]:
    lines: dict[tuple[str, str, str, str], list[CellReadings]] = {}
    for each in read:
        if each.documents is not None and each.cell.k != "0" and each.cell.retriever:
            line = (each.cell.arm.name, each.cell.task, each.cell.retriever, each.kind)
            lines.setdefault(line, []).append(each)
    for (arm, task, _, kind), members in lines.items():
        members += [
            each
            for each in read
            if (each.cell.arm.name, each.cell.task, each.kind) == (arm, task, kind)
            and each.cell.k == "0"
            and each.documents is not None
        ]
    found = []
    for (arm, task, retriever, kind), members in lines.items():
        members.sort(key=lambda each: each.documents or 0.0)
        documents = [each.documents or 0.0 for each in members]
        by_key = [
            dict(zip(each.keys, each.read.means(each.read.places.kl), strict=True))
            for each in members
        ]
        shared = [key for key in members[0].keys if all(key in keys for keys in by_key)]
        if len(set(documents)) < 2 or not shared:
            continue
        values = np.array([[keys[key] for keys in by_key] for key in shared])
        labels = dict(zip(members[0].keys, _labels(members[0].users, members[0].keys), strict=True))
        slope = trend(
            documents,
            values,
            clusters=[labels[key] for key in shared],
        )
        names = [each.cell.k for each in members]
        found.append(FidelityTrend(arm, task, retriever, kind, names, len(shared), slope))
    adjusted = {
        kind: iter(holm([each.trend.p for each in found if each.kind == kind])) for kind in KINDS
    }
    return [replace(each, p_holm=next(adjusted[each.kind])) for each in found]
