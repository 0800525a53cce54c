"""How much of a difference the batches alone may have made: measured, excluded, or unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qrag_tasks.experiment.comparison.matching import Side
from qrag_tasks.experiment.comparison.options import Options

MEASURED, EXCLUDED, UNKNOWN = "measured", "excluded", "unknown"

_REACH = 1.959963984540054
"""Standard errors that hold 95 % of differences."""


def measured_noise(side: Side, options: Options) -> Mapping[str, Any] | None:
    """Return what ``qrag noise`` measured of an arm on a task; ``None`` where it was not given."""
    identity = side.run.logged.identity
    for measured in options.noise:
        if identity is not None and measured.get("identity") == identity:
            for task in measured.get("tasks", ()):
                if task["task"] == side.task.task:
                    return dict(task)
    return None


def batch_noise(base: Side, other: Side, options: Options) -> str:
    """Return what is known of the noise of batches between two arms.

    It is excluded where both are deterministic and shared their prompts out alike: one of a
    thousand answers was seen to differ between one replica of vLLM and two (docs/speed.md).
    """
    logged = [side.run.logged for side in (base, other)]
    if all(arm.deterministic for arm in logged) and logged[0].replicas == logged[1].replicas:
        return EXCLUDED
    known = any(measured_noise(side, options) is not None for side in (base, other))
    return MEASURED if known else UNKNOWN


def noise_floor(
    measured: Sequence[Mapping[str, Any] | None], metric: str, samples: int
) -> float | None:
    """Return the difference that other batches alone would make in 5 % of pairs of runs.

    The larger of both arms', where both were measured: 1.96 standard errors of the difference
    between the two runs of one arm, for as many samples. Of files that do not hold the error, the
    difference itself.

    :param measured: of either arm, by :func:`measured_noise`.
    :param samples: how many are compared.
    """
    floors = [_floor(task, metric, samples) for task in measured if task is not None]
    return max((floor for floor in floors if floor is not None), default=None)


def _floor(task: Mapping[str, Any], metric: str, samples: int) -> float | None:
    error = (task.get("errors") or {}).get(metric)
    if error is not None:
        return _REACH * float(error) * math.sqrt(int(task["samples"]) / samples)
    scores = (task.get("scores") or {}).get(metric)
    return None if scores is None else abs(float(scores[1]) - float(scores[0]))
