"""Scores and differences by an attribute of the questions: their topic, the distance to the answer.

Where a task's samples have attributes (:attr:`qrag_tasks.tasks.base.Sample.attributes`), each cell
is cut into the bins of each attribute, and every bin is compared as a cell is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.experiment.comparison.attribute_bins import (
    MOST_CLASSES,
    Bins,
    bins_of,
    is_number,
)
from qrag_tasks.experiment.comparison.metric_rows import bootstraps, metric_rows
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import AttributeBin, AttributeRow, CellRow
from qrag_tasks.experiment.comparison.sample_arrays import RATES, Values, one_by_one
from qrag_tasks.experiment.comparison.verdicts import headline
from qrag_tasks.experiment.statistics import draw_together, holm, trend_among
from qrag_tasks.tasks.base import Attribute

Known = Mapping[str, Mapping[str, Attribute]]
"""Attribute -> key of a question -> its value."""


def by_attribute(
    cells: Sequence[CellRow], values: Sequence[Values], options: Options
) -> list[AttributeRow]:
    """Return a row for each attribute of each cell: of its headline metric, or of all.

    Bins are the same for all cells of a task. All metrics are shown by those attributes that
    ``options`` ask for. Of tasks that are not ours any field of a doc may be one: those alone that
    are asked for are.

    :param values: of the cells, in the same order.
    :raises SettingsError: for an attribute that is asked for and that no question has, or that
        cannot be cut into such bins.
    """
    families: dict[str, dict[str, dict[str, Attribute]]] = {}
    names: dict[str, None] = {}
    for its in values:
        known = families.setdefault(its.family, {})
        ours = its.base.task.prompts is not None
        for key, (sample, _) in zip(its.keys, its.pairs, strict=True):
            names |= dict.fromkeys(sample.attributes)
            for name, value in sample.attributes.items():
                if ours or name in options.attributes:
                    known.setdefault(name, {})[key] = value
    _check_names(options, list(names))
    bins = {family: _bins(family, known, options) for family, known in families.items()}
    cut = [
        (number, name, its_bins, metrics)
        for number, (cell, its) in enumerate(zip(cells, values, strict=True))
        for name, its_bins in bins[its.family].items()
        if (metrics := _metrics(cell, its, name in options.attributes))
    ]
    # Each p is corrected for all bins of its attribute.
    tests = Counter(
        {
            name: sum(len(one.labels) for _, other, one, _ in cut if other == name)
            for name in {name for _, name, _, _ in cut}
        }
    )
    rows = [
        row
        for number, name, its_bins, metrics in cut
        for row in _rows(
            number,
            values[number],
            (name, families[values[number].family][name], its_bins),
            Counter(dict.fromkeys(metrics, tests[name])),
            options,
        )
    ]
    return _corrected(rows)


def _check_names(options: Options, known: Sequence[str]) -> None:
    for name in options.attributes:
        if name not in known:
            have = ", ".join(dict.fromkeys(known))
            state = f"they have {have}" if have else "they have no attributes"
            raise SettingsError(
                f"--by-attribute {name}: no question has it; {state}.{did_you_mean(name, known)}"
            )


def _bins(family: str, known: Known, options: Options) -> dict[str, Bins]:
    """Return the bins of each attribute that can be cut into some; those asked for must."""
    bins = {}
    for name, values in known.items():
        edges = options.attributes.get(name)
        where = f"--by-attribute {name}: in {family}"
        if edges is not None and not is_number(values.values()):
            raise SettingsError(f"{where} it is not a number: leave the edges out")
        its = bins_of(values.values(), edges)
        if its is not None:
            bins[name] = its
        elif name in options.attributes:
            count = len(set(values.values()))
            raise SettingsError(
                f"{where} it has {count:,} classes: give an attribute of {MOST_CLASSES} at most, "
                f"or a number"
            )
    return bins


def _metrics(cell: CellRow, values: Values, every: bool) -> list[str]:
    """Return the metrics that are shown by an attribute."""
    by_sample = [m.name for m in values.metrics if one_by_one(m) and m.name not in RATES]
    if every:
        return by_sample
    name = headline([row.metric for row in cell.metrics])
    return [name] if name in by_sample else []


def _rows(
    number: int,
    values: Values,
    attribute: tuple[str, Mapping[str, Attribute], Bins],
    tests: Counter[str],
    options: Options,
) -> Iterator[AttributeRow]:
    """Yield a row for each metric of one cell by one attribute.

    :param tests: metric -> for how many tests its p will be corrected.
    """
    name, known, bins = attribute
    here = [row for row, key in enumerate(values.keys) if key in known]
    places = np.array([bins.of(known[values.keys[row]]) for row in here])
    parts: list[tuple[int, Values]] = []
    for place in range(len(bins.labels)):
        chosen = [here[n] for n in np.flatnonzero(places == place)]
        if chosen:
            pairs = [values.pairs[row] for row in chosen]
            parts.append((place, Values(values.base, values.other, values.filter, pairs)))
    drawn = [
        {metric: one for metric, one in bootstraps(part, options).items() if metric in tests}
        for _, part in parts
    ]
    draw_together(one for its in drawn for one in its.values() if one.units.measurable)
    by_metric: dict[str, list[AttributeBin]] = {}
    for (place, part), its in zip(parts, drawn, strict=True):
        numbers = [value for key in part.keys if isinstance(value := known[key], int | float)]
        for row in metric_rows(part, its, options, tests):
            if row.metric in its:
                by_metric.setdefault(row.metric, []).append(
                    AttributeBin(
                        label=bins.labels[place],
                        mean=float(np.mean(numbers)) if len(numbers) == len(part.keys) else None,
                        samples=len(part.pairs),
                        users=None if part.users is None else int(part.users.max()) + 1,
                        row=row,
                    )
                )
    better = {metric.name: metric.higher_is_better for metric in values.metrics}
    for metric, shown in by_metric.items():
        yield _with_trend(
            AttributeRow(
                cell=number,
                attribute=name,
                metric=metric,
                higher_is_better=better[metric],
                binned=bins.binned,
                bins=shown,
                unknown=len(values.keys) - len(here),
                samples=len(here),
            ),
            values,
            here,
            [known[values.keys[row]] for row in here],
            options.level,
        )


def _with_trend(
    row: AttributeRow,
    values: Values,
    here: Sequence[int],
    known: Sequence[Attribute],
    level: float,
) -> AttributeRow:
    """Add the slope of the difference, where the attribute is a number of several values."""
    if not is_number(known) or len(set(known)) < 2:
        return row
    numbers = np.asarray(known, dtype=np.float64)
    base, other = values.of(row.metric)
    line = trend_among(
        numbers,
        (other - base)[list(here)],
        clusters=None if values.users is None else values.users[list(here)],
        level=level,
    )
    return replace(
        row,
        reach=float(numbers.max() - numbers.min()),
        slope=line.slope,
        interval=line.interval,
        p=line.p,
    )


def _corrected(rows: Sequence[AttributeRow]) -> list[AttributeRow]:
    """Correct the p of all bins, and those of all trends, of one attribute and metric."""
    families: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        families.setdefault((row.attribute, row.metric), []).append(number)
    corrected = list(rows)
    for members in families.values():
        of_trends = holm([rows[number].p for number in members])
        of_bins = iter(holm([one.row.p for number in members for one in rows[number].bins]))
        for number, p in zip(members, of_trends, strict=True):
            bins = [
                replace(one, row=replace(one.row, p_holm=next(of_bins)))
                for one in rows[number].bins
            ]
            corrected[number] = replace(rows[number], p_holm=p, bins=bins)
    return corrected
