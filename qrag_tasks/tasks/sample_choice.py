"""Which samples a run asks for: lm_eval's ``--limit`` and ``--samples``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from qrag_tasks.errors import SettingsError
from qrag_tasks.tasks.catalog import members


def check_limit(limit: Any) -> None:
    """Check that a limit leaves something to be asked.

    :param limit: a number of samples, or a share below 1; ``None`` for all.
    :raises SettingsError: when it is not above 0.
    """
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < math.inf:
        raise SettingsError(
            f"--limit {_plain(limit)}: give a number of samples, 1 or more, or a share of them "
            f"below 1; leave it out for all"
        )


def sample_count(limit: float | None, size: int) -> int | None:
    """Return how many samples of a task lm_eval asks for; ``None`` for all.

    :param limit: a number of samples, or a share below 1.
    :param size: of the task.
    """
    if limit is None:
        return None
    return math.ceil(size * limit) if limit < 1 else int(limit)


def _plain(limit: Any) -> str:
    # The command line reads every limit as a fraction.
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def chosen_samples(
    samples: Any, tasks: Collection[str], others: Collection[str] = ()
) -> dict[str, Any]:
    """Return samples by task, where they may be given by a group of ours or by the tag.

    :param samples: name -> positions from 0.
    :param tasks: names of the tasks of the run; what is chosen of tasks that are not ours is
        passed on as it is.
    :param others: names that may be part of the run too, and are not ours.
    :raises SettingsError: when a name is none of the run's, or positions are impossible.
    """
    if not isinstance(samples, Mapping):
        raise SettingsError(
            f"--samples {samples!r}: neither a file that is there nor a JSON object, such as "
            f'{{"lamp3u_rag_k1": [0, 2]}}'
        )
    chosen: dict[str, Any] = {}
    for name, positions in samples.items():
        ours = members(name)
        named = [task for task in tasks if task in ours] if ours else [name]
        if not set(named) & {*tasks, *others}:
            raise SettingsError(
                f"--samples: {name!r} is not in this run, which has {', '.join(sorted(tasks))}"
            )
        if ours:
            _check(name, positions)
        for task in named:
            if task in chosen:
                raise SettingsError(f"--samples: {task} is chosen twice, by {name!r} too")
            chosen[task] = positions
    return chosen


def _check(name: str, positions: Any) -> None:
    written = f"--samples: {name}: "
    if not isinstance(positions, (list, tuple)) or not positions:
        raise SettingsError(f"{written}{positions!r} is not a list of positions, such as [0, 2]")
    for position in positions:
        if isinstance(position, bool) or not isinstance(position, int):
            raise SettingsError(
                f"{written}{position!r} is not a whole number; positions are, as in [0, 2]"
            )
    if twice := [position for position in positions if list(positions).count(position) > 1]:
        raise SettingsError(f"{written}{twice[0]} appears twice")
