"""Finds the tasks that arms have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.arm_names import told_apart
from qrag_tasks.experiment.comparison.notes import folded
from qrag_tasks.logs.runs import Run, TaskRun
from qrag_tasks.tasks.base import DEPTHS

PromptsKey = tuple[str, str | None, str | None]
"""Task, retriever and order; ``None`` where the task is not ours, or has no order."""


@dataclass(frozen=True)
class Side:
    """One task of one run."""

    run: Run
    task: TaskRun

    @property
    def prompts(self) -> PromptsKey:
        """What tells the prompts of this task from those of another."""
        task, prompts = self.task.task, self.task.prompts
        return (task, None, None) if prompts is None else (task, prompts.retriever, prompts.order)

    @property
    def called(self) -> str:
        """The task, and of ours who ranked for it."""
        return ", ".join(part for part in self.prompts if part is not None)


def differ_by_design(base: Side, other: Side) -> list[str]:
    """Return in what the prompts of two sides differ because they were matched so.

    Of ``k``, ``retriever`` and ``order``: nothing where arms are compared on the same prompts, as
    these have all of them in common.
    """
    return [name for name, (one, two) in _designs(base, other).items() if one != two]


def varied_by_design(base: Side, other: Side) -> list[str]:
    """Return those of :func:`differ_by_design` that both sides have.

    Without documents there is no retriever, and with one at most no order: these differ with k.
    """
    designs = _designs(base, other)
    return [name for name in differ_by_design(base, other) if not {None, "none"} & {*designs[name]}]


def _designs(base: Side, other: Side) -> dict[str, tuple[str | None, str | None]]:
    (_, *one), (_, *two) = base.prompts, other.prompts
    return {
        "k": (base.task.k, other.task.k),
        "retriever": (one[0], two[0]),
        "order": (one[1], two[1]),
    }


@dataclass(frozen=True)
class Matched:
    """What is to be compared.

    :ivar sides: base and other, over the same task, as they stand in tables.
    :ivar notes: what is left out, and why.
    """

    sides: Sequence[tuple[Side, Side]]
    notes: Sequence[str]


def match_runs(base: Sequence[Run], others: Sequence[Sequence[Run]]) -> Matched:
    """Find every task of the other arms in the base arm.

    :param base: runs of one arm.
    :param others: runs of further arms.
    :raises ComparisonError: when the base is more than one arm, or there is no task in common.
    :raises SettingsError: when two arms were given the same name.
    """
    base, *others = told_apart([base, *others])
    bases: dict[PromptsKey, Side] = {}
    for side in _sides(base):
        if side.prompts in bases:
            raise ComparisonError(
                f"{side.task.task} is in {bases[side.prompts].run.path} and in {side.run.path}, "
                f"both of the base: name the folder of one arm's one run"
            )
        bases[side.prompts] = side
    notes: list[str] = []
    matched, same_task = [], []
    for runs in others:
        sides = list(_sides(runs))
        alone = [side for side in sides if side.prompts not in bases]
        matched += [(bases[side.prompts], side) for side in sides if side.prompts in bases]
        seen = {side.prompts for side in sides}
        missing = [side for key, side in bases.items() if key not in seen]
        notes += _only_in(alone, "the base")
        notes += _only_in(missing, runs[0].label if runs else "the other")
        same_task += [
            (one, two) for one in missing for two in alone if one.task.task == two.task.task
        ]
    if not matched:
        raise ComparisonError(_why_none(same_task, notes))
    return Matched(in_table_order(matched), notes)


def _only_in(sides: Sequence[Side], where: str) -> Iterator[str]:
    """Note the tasks of one side that the other lacks, by arm."""
    arms: dict[str, list[str]] = {}
    for side in sides:
        arms.setdefault(side.run.label, []).append(side.called)
    for label, called in arms.items():
        lines = folded(called, f"is not in {where}", f"tasks are not in {where}")
        yield from (f"{label}: {line}" for line in lines)


def _why_none(same_task: Sequence[tuple[Side, Side]], notes: Sequence[str]) -> str:
    """Say why no task of one side is a task of the other."""
    for one, two in same_task:
        for name, ours, theirs in zip(
            ("retriever", "order"), one.prompts[1:], two.prompts[1:], strict=True
        ):
            if ours != theirs:
                return (
                    f"{one.task.task}: {one.run.path} and {two.run.path} cannot be compared: they "
                    f"differ in {name}: {ours!r} and {theirs!r}"
                )
    reasons = "; ".join(notes or ["there is no other run to compare with"])
    return f"the runs have no task in common: {reasons}"


def in_table_order(sides: Sequence[tuple[Side, Side]]) -> list[tuple[Side, Side]]:
    """Return pairs of arms by task, model, arm, retriever, order and k."""
    return sorted(sides, key=_place)


def _place(both: tuple[Side, Side]) -> tuple[Any, ...]:
    base, other = both
    task = base.task
    _, retriever, order = base.prompts
    known = [*map(str, DEPTHS)]
    return (
        task.lamp_task or task.task,
        other.run.name,
        other.run.arm,
        # What has no retriever comes first: k = 0.
        retriever != "none",
        retriever or "",
        order or "",
        known.index(task.k) if task.k in known else 0,
        task.task,
    )


def _sides(runs: Sequence[Run]) -> Iterator[Side]:
    for run in runs:
        for task in run.tasks.values():
            yield Side(run, task)
