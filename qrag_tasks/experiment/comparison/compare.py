"""Compares arms, sample by sample: what differs, by how much, and is that more than chance?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.benchmark.tasks import LAMP_TASKS
from qrag_tasks.catalog import K_VALUES
from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.agreement import Pair, agreement, flips
from qrag_tasks.experiment.comparison.rows import (
    ArmFacts,
    CellRow,
    Comparison,
    MetricRow,
    TrendRow,
)
from qrag_tasks.experiment.pairing import pair
from qrag_tasks.experiment.runs import Metric, Run, TaskRun
from qrag_tasks.experiment.statistics import (
    SCORES,
    difference_interval,
    encode,
    equivalence_p,
    holm,
    permutation_p,
    smallest_effect,
    trend,
)

MARGINS: Mapping[str, float] = {
    "accuracy": 0.02,
    "f1": 0.02,
    "acc": 0.02,
    "acc_norm": 0.02,
    "exact_match": 0.02,
    "mae": 0.05,
    "rmse": 0.05,
    "rouge1": 0.01,
    "rougeL": 0.01,
}
"""Metric -> difference below which two arms are taken for equally good, where none is stated."""

_RATES = ("valid_rate", "runaway_rate")


@dataclass(frozen=True)
class Options:
    """How to compare.

    :ivar margins: metric -> equivalence margin, beside and above :data:`MARGINS`.
    :ivar common: compare the samples that both arms have, where one has more.
    :ivar noise: what ``qrag noise --out`` wrote, one mapping a file.
    :ivar level: of the intervals.
    """

    margins: Mapping[str, float] = field(default_factory=dict)
    common: bool = False
    noise: Sequence[Mapping[str, Any]] = ()
    level: float = 0.95
    resamples: int = 9999
    seed: int = 0

    def margin(self, metric: str) -> float | None:
        """Return the equivalence margin of a metric, if one is stated."""
        named = metric.removesuffix("_lamp")
        return self.margins.get(metric, MARGINS.get(metric, MARGINS.get(named)))


@dataclass(frozen=True)
class Side:
    """One task of one run."""

    run: Run
    task: TaskRun

    @property
    def prompts(self) -> tuple[str, ...]:
        """What tells the prompts of this task from those of another."""
        facts = self.task.retrieval or {}
        return (self.task.task, *(str(facts.get(name)) for name in ("retriever", "order")))


def compare_runs(
    base: Sequence[Run], others: Sequence[Sequence[Run]], options: Options | None = None
) -> Comparison:
    """Compare every task of the other arms with the same task of the base arm.

    :param base: runs of one arm.
    :param others: runs of further arms.
    :raises ComparisonError: when the base is more than one arm, two arms were given different
        prompts, or there is no task that two arms share.
    """
    bases: dict[tuple[str, ...], Side] = {}
    for side in _sides(base):
        if side.prompts in bases:
            raise ComparisonError(
                f"{side.task.task} is in {bases[side.prompts].run.path} and in {side.run.path}, "
                f"both of the base: name the folder of one arm's one run"
            )
        bases[side.prompts] = side
    matched, notes = [], []
    for runs in others:
        found = list(_sides(runs))
        for side in found:
            if side.prompts in bases:
                matched.append((bases[side.prompts], side))
            else:
                notes.append(f"{side.run.label}: {side.task.task} is not in the base")
        seen = {side.prompts for side in found}
        notes += [
            f"{side.run.label}: {side.task.task} is not in {runs[0].label}"
            for key, side in bases.items()
            if key not in seen
        ]
    if not matched:
        raise ComparisonError(
            "the runs have no task in common: "
            + "; ".join(notes or ["there is no other run to compare with"])
        )
    return compare_sides(matched, options, notes)


def compare_sides(
    matched: Sequence[tuple[Side, Side]],
    options: Options | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare pairs of arms over the same task.

    :param matched: base and other.
    :raises ComparisonError: when two were given different prompts.
    """
    options = options or Options()
    said = list(notes)
    cells, values = [], []
    for base, other in sorted(matched, key=_place):
        pairs = pair(base.task, other.task, base.run, other.run, common=options.common)
        for name, members in _by_filter(pairs).items():
            found = _Values(base, other, name, members, options)
            cells.append(_cell(found, options, said))
            values.append(found)
    trends = list(_trends(cells, values, options))
    return Comparison(
        _corrected(cells, lambda row: row.metric),
        _corrected_trends(trends),
        said,
        options.level,
        options.seed,
    )


def _place(both: tuple[Side, Side]) -> tuple[Any, ...]:
    """Return where two arms stand in tables: by task, model, arm, retriever, order and k."""
    base, other = both
    facts = base.task.retrieval or {}
    known = [str(k) for k in K_VALUES]
    k = str(facts.get("k"))
    return (
        str(facts.get("lamp_task", base.task.task)),
        other.run.name,
        other.run.precision,
        "" if k == "0" else str(facts.get("retriever", "")),
        "" if k in ("0", "1") else str(facts.get("order", "")),
        known.index(k) if k in known else 0,
        base.task.task,
    )


def _sides(runs: Sequence[Run]) -> Iterator[Side]:
    for run in runs:
        for task in run.tasks.values():
            yield Side(run, task)


def _by_filter(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for members in pairs:
        found.setdefault(members[0].filter, []).append(members)
    return found


class _Values:
    """The samples of a cell as arrays."""

    def __init__(
        self, base: Side, other: Side, name: str, pairs: Sequence[Pair], options: Options
    ) -> None:
        self.base, self.other, self.filter, self.pairs = base, other, name, pairs
        self.options = options
        users = [one.user for one, _ in pairs]
        self.users = np.asarray(users) if all(user is not None for user in users) else None
        self.keys = [one.key for one, _ in pairs]

    def metrics(self) -> list[Metric]:
        """Return the metrics that both arms have for every sample."""
        theirs = self.other.task.metrics
        return [
            metric
            for key, metric in self.base.task.metrics.items()
            if metric.filter == self.filter
            and key in theirs
            and all(metric.name in sample.scores for both in self.pairs for sample in both)
        ]

    def of(self, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a metric's value for every sample: of the base arm, and of the other."""
        return (
            _numbers([one.scores[metric] for one, _ in self.pairs]),
            _numbers([two.scores[metric] for _, two in self.pairs]),
        )


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    if isinstance(values[0], list):
        return encode([(*value,) for value in values])
    return np.asarray(values, dtype=np.float64)


def _cell(values: _Values, options: Options, notes: list[str]) -> CellRow:
    base, other = values.base, values.other
    facts = dict(base.task.retrieval or {})
    lamp = LAMP_TASKS.get(str(facts.get("lamp_task")))
    kept = [one.kept for one, _ in values.pairs]
    known = [number for number in kept if number is not None]
    return CellRow(
        task=base.task.task,
        filter=values.filter,
        facts=facts,
        kept=float(np.mean(known)) if known and len(known) == len(kept) else None,
        samples=len(values.pairs),
        users=None if values.users is None else len(np.unique(values.users)),
        base=_arm(base, [one for one, _ in values.pairs]),
        other=_arm(other, [two for _, two in values.pairs]),
        agreement=agreement(values.pairs, lamp.read_answer if lamp else str.strip),
        cost=cost_ratios(base.run, other.run),
        noise=_noise(base, options),
        metrics=[
            _metric(values, metric, options, notes)
            for metric in values.metrics()
            if metric.name not in _RATES
        ],
    )


def _arm(side: Side, samples: Sequence[Any]) -> ArmFacts:
    def rate(name: str) -> float | None:
        found = [sample.scores[name] for sample in samples if name in sample.scores]
        return float(np.mean(found)) if found and len(found) == len(samples) else None

    return ArmFacts(
        side.run.label,
        side.run.name,
        side.run.precision,
        str(side.run.path),
        side.run.identity,
        *(rate(name) for name in _RATES),
    )


def _metric(values: _Values, metric: Metric, options: Options, notes: list[str]) -> MetricRow:
    better = metric.higher_is_better
    score = SCORES.get(metric.aggregation)
    if score is None:
        notes.append(
            f"{values.base.task.task}: {metric.name} is no known function of the samples' values, "
            f"so there is no interval for it"
        )
        theirs = values.other.task.metrics[metric.name, values.filter]
        one, two = metric.reported, theirs.reported
        return MetricRow(metric.name, better, one, two, two - one, recovery(one, two, better))
    base, other = values.of(metric.name)
    one, two = score.of(base), score.of(other)
    units: dict[str, Any] = {"clusters": values.users, "score": score}
    resampling = {**units, "resamples": options.resamples, "seed": options.seed}
    margin = options.margin(metric.name)
    directed = better is not None and _one_by_one(metric)
    return MetricRow(
        metric.name,
        better,
        one,
        two,
        two - one,
        recovery(one, two, better),
        interval=difference_interval(base, other, level=options.level, **resampling),
        p=permutation_p(base, other, **resampling),
        margin=margin,
        equivalence_p=None if margin is None else equivalence_p(base, other, margin, **resampling),
        smallest_effect=smallest_effect(base, other, **units),
        flips=flips(base, other, bool(better)) if directed else None,
    )


def _one_by_one(metric: Metric) -> bool:
    """Whether a sample's value says how good its answer is."""
    return metric.aggregation in ("mean", "root_mean")


def recovery(base: float, other: float, higher_is_better: bool | None) -> float | None:
    """Return the share of the base's score that the other arm has left.

    ``other / base``, or ``base / other`` where lower is better; ``None`` where that says nothing:
    below zero, by zero, or with no known direction.
    """
    if higher_is_better is None:
        return None
    top, bottom = (other, base) if higher_is_better else (base, other)
    return top / bottom if top >= 0 and bottom > 0 else None


def cost_ratios(base: Run, other: Run) -> dict[str, float]:
    """Return what both runs measured: name -> the other's over the base's."""
    ratios = {}
    if base.weight_bytes and other.weight_bytes:
        ratios["weight_bytes"] = other.weight_bytes / base.weight_bytes
    for name in (
        *("peak_device_bytes", "peak_rss_bytes", "run_seconds"),
        *("prefill_tokens_per_second", "decode_tokens_per_second", "energy_joules"),
    ):
        one, two = (base.cost or {}).get(name), (other.cost or {}).get(name)
        if one and two:
            ratios[name] = two / one
    return ratios


def _noise(side: Side, options: Options) -> Mapping[str, Any] | None:
    for measured in options.noise:
        if measured.get("identity") == side.run.identity:
            for task in measured.get("tasks", ()):
                if task["task"] == side.task.task:
                    return dict(task)
    return None


# ---------------------------------------------------------------------- many cells
def _corrected(cells: Sequence[CellRow], family: Callable[[MetricRow], str]) -> list[CellRow]:
    """Correct the p of each metric over all cells."""
    families: dict[str, list[MetricRow]] = {}
    for cell in cells:
        for row in cell.metrics:
            families.setdefault(family(row), []).append(row)
    corrected = {}
    for rows in families.values():
        for row, p in zip(rows, holm([row.p for row in rows]), strict=True):
            corrected[id(row)] = replace(row, p_holm=p)
    return [replace(cell, metrics=[corrected[id(row)] for row in cell.metrics]) for cell in cells]


def _corrected_trends(rows: Sequence[TrendRow]) -> list[TrendRow]:
    found: dict[str, list[TrendRow]] = {}
    for row in rows:
        found.setdefault(row.metric, []).append(row)
    return [
        replace(row, p_holm=p)
        for members in found.values()
        for row, p in zip(members, holm([row.p for row in members]), strict=True)
    ]


_Line = tuple[str, str, str, str, str, str]
"""Model, precision, base precision, LaMP task, retriever, order."""


def _trends(
    cells: Sequence[CellRow], values: Sequence[_Values], options: Options
) -> Iterator[TrendRow]:
    """Yield a trend for every metric of every arm whose k go beyond one."""
    for named, members in _lines(cells).items():
        if len(members) > 1:
            yield from _trend_of(
                named, [cells[i] for i in members], [values[i] for i in members], options
            )


def _lines(cells: Sequence[CellRow]) -> dict[_Line, list[int]]:
    """Return the cells that differ in k alone, by number.

    What has no retriever, k = 0, belongs to all of them; what has no order, k = 1, likewise.
    """
    found: dict[_Line, list[int]] = {}
    for cell in cells:
        facts = cell.facts
        if facts.get("k") not in (None, "0") and cell.kept is not None:
            found.setdefault(_line(cell), [])
    # One document alone makes no line of its own where there are orders.
    orders = {line[:-1] for line in found if line[-1]}
    found = {line: [] for line in found if line[-1] or line[:-1] not in orders}
    for number, cell in enumerate(cells):
        if cell.kept is None or cell.facts.get("k") is None:
            continue
        own = _line(cell)
        for line, members in found.items():
            reach = 4 if cell.facts["k"] == "0" else 5 if cell.facts["k"] == "1" else 6
            if own[:reach] == line[:reach]:
                members.append(number)
    return found


def _line(cell: CellRow) -> _Line:
    facts = cell.facts
    return (
        cell.other.model,
        cell.other.precision,
        cell.base.precision,
        str(facts["lamp_task"]),
        str(facts["retriever"]),
        "" if facts["k"] == "1" else str(facts["order"]),
    )


def _trend_of(
    named: _Line,
    cells: Sequence[CellRow],
    values: Sequence[_Values],
    options: Options,
) -> Iterator[TrendRow]:
    places = [{key: place for place, key in enumerate(found.keys)} for found in values]
    shared = [key for key in values[0].keys if all(key in place for place in places)]
    if not shared:
        return
    users = values[0].users
    for metric in values[0].metrics():
        if metric.name in _RATES or not _one_by_one(metric):
            continue
        if any(metric.name not in {m.name for m in found.metrics()} for found in values):
            continue
        columns = []
        for found, place in zip(values, places, strict=True):
            base, other = found.of(metric.name)
            columns.append((other - base)[[place[key] for key in shared]])
        documents = [cell.kept or 0.0 for cell in cells]
        if len(set(documents)) < 2:
            continue
        rows = [places[0][key] for key in shared]
        line = trend(
            documents,
            np.stack(columns, axis=1),
            clusters=None if users is None else users[rows],
            level=options.level,
        )
        yield TrendRow(
            *named,
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            k=[str(cell.facts["k"]) for cell in cells],
            documents=documents,
            samples=len(shared),
            slope=line.slope,
            interval=line.interval,
            p=line.p,
            p_holm=None,
        )
