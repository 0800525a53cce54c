"""The smallest effect that a planned grid will show, and the samples that an effect needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.errors import QragError, SettingsError, did_you_mean
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.verdicts import ALPHA, headline
from qrag_tasks.experiment.plan import Arm, Plan
from qrag_tasks.experiment.plan.estimates import Estimate
from qrag_tasks.experiment.power.spreads import CHANGES, Measured, Spread, Stated
from qrag_tasks.experiment.statistics import FEWEST, errors_to_show, units_to_show
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.catalog import TASKS

LOSS = "loss"
"""The metric of all cells of an arm: their mean loss, in margins."""


@dataclass(frozen=True)
class ForecastRow:
    """What can be shown with a power of 0.8, by tests that are corrected for their number.

    :ivar task: LaMP's name of it; empty for all cells of an arm as one.
    :ivar arm: empty for every arm.
    :ivar samples: of the task; of all tasks, for all cells as one.
    :ivar differing: share of samples that score otherwise.
    :ivar tests: for which Holm's correction may have to account.
    :ivar smallest: the smallest true difference that will be shown; ``None`` where the number of
        samples is not known.
    :ivar effect: a difference to be shown: as asked for, else the margin.
    :ivar needed: samples that it takes; ``None`` where no effect is known.
    :ivar too_few: whether fewer units are expected to differ than a test needs.
    """

    task: str
    metric: str
    arm: str
    samples: int | None
    differing: float | None
    tests: int
    smallest: float | None
    effect: float | None
    needed: int | None
    too_few: bool = False


@dataclass(frozen=True)
class Forecast:
    """All of it.

    :ivar notes: what was assumed, and what is not known.
    """

    rows: Sequence[ForecastRow]
    notes: Sequence[str]


@dataclass(frozen=True)
class _Group:
    """Cells of one arm over one task, which differ in k, retriever and order."""

    metric: str
    cells: int
    samples: int | None
    spread: Spread
    margin: float | None


def forecast(
    plan: Plan, estimated: Estimate, spreads: Stated | Measured, effects: Mapping[str, float]
) -> Forecast:
    """Tell what a grid will be able to show.

    :param estimated: of the plan; it has the numbers of samples.
    :param effects: metric -> difference to be shown, in place of its margin; ``loss`` for all cells
        of an arm, in margins.
    :raises SettingsError: for an effect on a metric that no task has.
    """
    margins = Options(plan.margins)
    described = {task: _described(plan, task) for task in plan.tasks}
    metrics = {task: _metrics(plan, row) for task, row in described.items()}
    known = list(dict.fromkeys([*(name for names in metrics.values() for name in names), LOSS]))
    for name in effects:
        if name not in known:
            raise SettingsError(
                f"--effect {name}: no task of the plan has that score (they have "
                f"{', '.join(known)}).{did_you_mean(name, known)}"
            )
    samples = {row.cell.task: row.prompts for row in estimated.cells}
    compared = _compared(plan)
    cells = [(arm, cell) for arm in compared for cell in plan.cells() if cell.arm == arm]
    tests = Counter(name for _, cell in cells for name in metrics[cell.task])
    rows: list[ForecastRow] = []
    unknown: dict[str, None] = {}
    groups: dict[Arm, list[_Group]] = {arm: [] for arm in compared}
    for task in plan.tasks:
        first = headline(metrics[task])
        wanted = [name for name in metrics[task] if name == first or name in effects]
        # Results call a task as its data do, people as the plan does.
        called = task if isinstance(spreads, Stated) else described[task].name
        for name in wanted:
            by_arm = {arm: spreads.spread(called, name, arm.called) for arm in compared}
            for arm, spread in by_arm.items():
                if spread is None:
                    unknown[f"{task}: {name}"] = None
                elif name == first:
                    count = sum(a == arm and cell.task == task for a, cell in cells)
                    margin = margins.margin(name)
                    groups[arm].append(_Group(name, count, samples[task], spread, margin))
            rows += [
                _row(task, name, arm_called, samples[task], spread, tests[name], effect)
                for effect in [effects.get(name, margins.margin(name))]
                for arm_called, spread in _told(by_arm, spreads.arms(called))
            ]
    pooled = [
        _pooled(arm, its, len(compared), effects.get(LOSS, 1.0)) for arm, its in groups.items()
    ]
    rows += _alike([row for row in pooled if row is not None], compared)
    return Forecast(rows, _notes(spreads, unknown, compared, list(described.values())))


def _compared(plan: Plan) -> list[Arm]:
    """Return the arms that are compared with a base."""
    bases = {model.name: plan.base_arm(model) for model in plan.models}
    return [arm for arm in plan.arms() if arm != bases[arm.model]]


def _described(plan: Plan, task: str) -> Task:
    try:
        return TASKS[task].described(plan.data)
    except QragError:  # the data are not here, which the plan says
        return TASKS[task]


def _metrics(plan: Plan, task: Task) -> list[str]:
    if plan.answer == "likelihood":
        return [metric.name for metric in task.answer.likelihood_metrics]
    names = [metric.name for metric in task.answer.metrics if not metric.name.endswith("_rate")]
    return [name for name in names if task.metrics is None or name in task.metrics]


def _told(by_arm: Mapping[Arm, Spread | None], measured: Sequence[str]) -> list[tuple[str, Spread]]:
    """Return the spreads by arm; once, under no name, where they are not of single arms."""
    known = {arm.called: spread for arm, spread in by_arm.items() if spread is not None}
    if not measured:
        return [("", spread) for spread in list(known.values())[:1]]
    return list(known.items())


def _row(
    task: str,
    metric: str,
    arm: str,
    samples: int | None,
    spread: Spread,
    tests: int,
    effect: float | None,
) -> ForecastRow:
    alpha = ALPHA / max(tests, 1)
    units = None if samples is None else round(samples * spread.units_per_sample)
    too_few = units is not None and units * spread.units_differing < FEWEST
    smallest = None
    if units is not None and not too_few:
        smallest = errors_to_show(units, alpha) * spread.deviation / math.sqrt(units)
    needed = None
    if effect is not None and spread.units_differing > 0:
        enough = max(
            units_to_show(effect, spread.deviation, alpha), FEWEST / spread.units_differing
        )
        needed = math.ceil(enough / spread.units_per_sample)
    return ForecastRow(
        task, metric, arm, samples, spread.differing, tests, smallest, effect, needed, too_few
    )


def _pooled(arm: Arm, groups: Sequence[_Group], arms: int, effect: float) -> ForecastRow | None:
    """Return the row of all cells of an arm: tasks are independent, cells of one task are not."""
    counted = [group for group in groups if group.margin is not None]
    if not counted or any(group.samples is None for group in counted):
        return None
    cells = sum(group.cells for group in counted)
    units, samples, variance, differing = 0.0, 0, 0.0, 0.0
    for group in counted:
        its_units = (group.samples or 0) * group.spread.units_per_sample
        deviation = group.spread.deviation / (group.margin or 1.0)
        alike = 1 + (group.cells - 1) * group.spread.correlation
        variance += group.cells * max(alike, 0.0) * deviation**2 / its_units
        units, samples = units + its_units, samples + (group.samples or 0)
        # In one of the cells at least, if they did not hang together.
        differing += its_units * (1 - (1 - group.spread.units_differing) ** group.cells)
    if not differing:
        return None
    error, too_few = math.sqrt(variance) / cells, differing < FEWEST
    alpha = ALPHA / arms
    smallest = None if too_few else errors_to_show(round(units), alpha) * error
    # As many more of each task.
    enough = max(units_to_show(effect, error * math.sqrt(units), alpha), FEWEST * units / differing)
    needed = math.ceil(samples * enough / units)
    return ForecastRow("", LOSS, arm.called, samples, None, arms, smallest, effect, needed, too_few)


def _alike(rows: Sequence[ForecastRow], arms: Sequence[Arm]) -> list[ForecastRow]:
    """Return one row for every arm where all say the same."""
    figures = {(row.samples, row.smallest, row.needed) for row in rows}
    if len(figures) == 1 and len(rows) == len(arms):
        first = rows[0]
        return [ForecastRow(**{**vars(first), "arm": ""})]
    return list(rows)


def _notes(
    spreads: Stated | Measured,
    unknown: Mapping[str, None],
    compared: Sequence[Arm],
    described: Sequence[Task],
) -> list[str]:
    notes = []
    if isinstance(spreads, Stated):
        notes.append(
            f"Scores that differ are as stated. A rating that differs is taken to do so by "
            f"{CHANGES['mae']:g} stars, a ROUGE by {CHANGES['rougeL']:g}; samples are taken for "
            f"independent of each other, and the same samples at two k for correlated by 0.25. "
            f"--measured takes all of that from an earlier grid."
        )
    else:
        notes.append(f"How much arms differ is taken from {spreads.root}.")
        missing = [
            arm.called
            for arm in compared
            if any(spreads.arms(task.name) for task in described)
            and not any(arm.called in spreads.arms(task.name) for task in described)
        ]
        if missing:
            notes.append(
                f"{', '.join(dict.fromkeys(missing))}: not in that grid, and so taken for the arm "
                f"of it that differs most."
            )
    if unknown:
        where = "that grid" if isinstance(spreads, Measured) else "any rate"
        notes.append(f"Not known from {where}: {', '.join(unknown)}.")
    return notes
