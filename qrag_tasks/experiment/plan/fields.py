"""What the single fields of a plan may hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BeforeValidator

from qrag_tasks.arms.precisions import precision
from qrag_tasks.errors import did_you_mean
from qrag_tasks.experiment.plan.yaml_values import plain
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.tasks.catalog import TASKS, task_meant
from qrag_tasks.tasks.own.kinds import KINDS

_SAFE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def _file_safe(name: str) -> str:
    if not re.fullmatch(_SAFE, name):
        raise ValueError(
            f"{name!r} cannot name a folder: use letters, digits, '.', '_' and '-' alone, 100 of "
            f"them at most, and begin with a letter or digit"
        )
    return name


def _tasks() -> list[str]:
    return list(TASKS)


def _metrics() -> list[str]:
    """Return the names of all scores that a cell may have."""
    return sorted(
        {
            metric.name
            for task in TASKS.values()
            for metrics in (
                *(task.answer.metrics, task.answer.likelihood_metrics),
                *(published.metrics for published in task.evaluations),
            )
            for metric in metrics
        }
        | {metric.name for kind in KINDS for metric in kind.metrics}
    )


def _one_of(
    names: Callable[[], Sequence[str]], what: str, meant: Callable[[str], str] | None = None
) -> BeforeValidator:
    """Return a validator.

    :param names: asked when a plan is read: plugins are not loaded before.
    :param meant: an unknown name -> a sentence on what it may mean; by default, the nearest name.
    """

    def check(value: object) -> object:
        known = names()
        if value is None or isinstance(value, (list, dict)):
            return value  # which is no text: the next to look at it says so
        # YAML reads `0` as a number, and so would have anybody.
        name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if name not in known:
            hint = ""
            if isinstance(name, str):
                hint = meant(name) if meant else did_you_mean(name, known)
            raise ValueError(f"unknown {what} {plain(value)} (known: {', '.join(known)}).{hint}")
        return str(name)

    return BeforeValidator(check)


def _plain_value(value: object) -> object:
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"expected a text, a number, true or false, not {plain(value)}")
    return value


Name = Annotated[
    str, BeforeValidator(lambda value: _file_safe(value) if isinstance(value, str) else value)
]
# Not by _one_of: its error advises what people mean by `int4`.
PrecisionName = Annotated[
    str, BeforeValidator(lambda name: precision(name).name if isinstance(name, str) else name)
]
TaskName = Annotated[str, _one_of(_tasks, "task", task_meant)]
K = Annotated[str, _one_of(lambda: [*map(str, DEPTHS)], "k")]
MetricName = Annotated[str, _one_of(_metrics, "metric")]
Argument = Annotated[str | int | float | bool, BeforeValidator(_plain_value)]
