"""What is known of each score under both arms: of all samples of a cell, or of some of them."""

from __future__ import annotations

from collections.abc import Mapping

from qrag_tasks.experiment.comparison.agreement import flips
from qrag_tasks.experiment.comparison.batch_noise import measured_noise, noise_floor
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import MetricRow
from qrag_tasks.experiment.comparison.sample_arrays import RATES, Values, one_by_one
from qrag_tasks.experiment.comparison.verdicts import ALPHA
from qrag_tasks.experiment.statistics import (
    SCORES,
    Bootstrap,
    draws_needed,
    effect_to_show,
    mcnemar,
    permutation_test,
)
from qrag_tasks.logs.reported_metrics import Metric

Drawn = Mapping[str, Bootstrap]
"""Metric -> what was drawn for it, where its score is a known one."""


def bootstraps(values: Values, options: Options) -> Drawn:
    """Return what is to be drawn of a cell, or of some of its samples."""
    return {
        metric.name: Bootstrap.of(
            *(*values.of(metric.name), values.users, SCORES[metric.aggregation]),
            *(options.resamples, options.seed, values.span(metric.name)),
        )
        for metric in values.metrics
        if metric.name not in RATES and metric.aggregation is not None
    }


def metric_rows(
    values: Values,
    drawn: Drawn,
    options: Options,
    tests: Mapping[str, int],
) -> list[MetricRow]:
    """Return a row for every score of a cell, or of some of its samples.

    :param drawn: of :func:`bootstraps`.
    :param tests: metric -> for how many tests its p will be corrected.
    """
    rows = []
    for metric in values.metrics:
        if metric.name in RATES:
            continue
        bootstrap = drawn.get(metric.name)
        if bootstrap is None:
            rows.append(_untested(values, metric))
        else:
            rows.append(_tested(values, metric, bootstrap, options, tests[metric.name]))
    return rows


def _untested(values: Values, metric: Metric) -> MetricRow:
    better = metric.higher_is_better
    one, two = metric.reported, values.other.task.metrics[metric.name, values.filter].reported
    return MetricRow(metric.name, better, one, two, two - one, recovery(one, two, better))


def _tested(
    values: Values, metric: Metric, bootstrap: Bootstrap, options: Options, tests: int
) -> MetricRow:
    better, units = metric.higher_is_better, bootstrap.units
    score = SCORES[metric.aggregation or ""]
    one, two = (float(score.of_sums(arm.sum(axis=0))) for arm in (units.base, units.other))
    test = permutation_test(units, options.resamples, draws_needed(tests, ALPHA), options.seed)
    margin = options.margin(metric.name)
    directed = better is not None and one_by_one(metric)
    flipped = flips(*values.of(metric.name), bool(better)) if directed else None
    counted = None
    # McNemar's test takes samples for independent: of users with several, they are not.
    if (
        flipped
        and better
        and len(units) == len(values.pairs)
        and values.right_or_wrong(metric.name)
    ):
        counted = mcnemar(flipped.better, flipped.worse)
    measured = [measured_noise(side, options) for side in (values.base, values.other)]
    return MetricRow(
        metric.name,
        better,
        one,
        two,
        two - one,
        recovery(one, two, better),
        units=len(units),
        differing=int(units.differing.sum()),
        interval=bootstrap.interval(options.level),
        bound=bootstrap.bound(options.level),
        p=None if test is None else test.p,
        smallest_p=None if test is None else test.smallest,
        margin=margin,
        equivalence_p=None if margin is None else bootstrap.equivalence_p(margin),
        smallest_effect=effect_to_show(units),
        flips=flipped,
        mcnemar_p=counted.p if counted else None,
        mcnemar_mid_p=counted.mid_p if counted else None,
        noise_floor=noise_floor(measured, metric.name, len(values.pairs)),
    )


def recovery(base: float, other: float, higher_is_better: bool | None) -> float | None:
    """Return the share of the base's score that the other arm has left.

    ``other / base``, or ``base / other`` where lower is better; ``None`` where that says nothing:
    below zero, by zero, or with no known direction.
    """
    if higher_is_better is None:
        return None
    top, bottom = (other, base) if higher_is_better else (base, other)
    return top / bottom if top >= 0 and bottom > 0 else None
