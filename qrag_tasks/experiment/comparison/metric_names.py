"""Names of metrics that somebody gave, held to those that the runs have."""

from __future__ import annotations

from collections.abc import Iterable

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.experiment.comparison.matching import Matched
from qrag_tasks.experiment.comparison.sample_arrays import RATES


def check_metrics(matched: Matched, names: Iterable[str], option: str) -> None:
    """Hold names of metrics to those that the results have.

    :param option: how a message calls the place where they were named.
    :raises SettingsError: for one that no task of both arms has.
    """
    known = dict.fromkeys(
        name
        for base, other in matched.sides
        for name in base.task.metric_names
        if name in other.task.metric_names and name not in RATES
    )
    for name in names:
        if name not in known:
            raise SettingsError(
                f"{option} {name}: these runs have no such metric (they have "
                f"{', '.join(known)}).{did_you_mean(name, known)}"
            )
