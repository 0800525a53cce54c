"""A progress bar for what goes through a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qrag_tasks.cli.group import console

if TYPE_CHECKING:
    from qrag_tasks.experiment.comparison.options import Track


@contextmanager
def tracking() -> Iterator[Track]:
    """Give what shows how far a sequence is, on standard error, where that is a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    terminal = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=terminal,
        disable=not terminal.is_terminal,
        transient=True,
    ) as bars:
        yield lambda members, said: bars.track(members, description=said)
