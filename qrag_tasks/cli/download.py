"""``qrag download``: LaMP's files, from its server to where lm_eval looks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from qrag_tasks.cli.group import console, main
from qrag_tasks.errors import QragError

if TYPE_CHECKING:
    from qrag_tasks.tasks.lamp.download import Progress

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C stopped, as shells give it."""


@main.command()
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@click.option(
    "--split", type=click.Choice(["dev", "train", "test"]), default="dev", show_default=True
)
@click.option("--into", metavar="FOLDER", help="A data root. Default: as for lm_eval.")
@click.option(
    "--force", is_flag=True, help="Fetch what is there already; accept what is unlike its record."
)
def download(tasks: tuple[str, ...], split: str, into: str | None, force: bool) -> None:
    """Download the files of LaMP's TASKs: lamp1u to lamp7t, or `all` that are public.

    Stopped at any moment, the same command goes on where it was. What is there already is held to
    the size and sha256 that were recorded when it came, and no request is made.
    """
    from qrag_tasks.tasks.lamp.data import data_root
    from qrag_tasks.tasks.lamp.download import LICENCE, Download

    names = [name.strip() for task in tasks for name in task.split(",")]
    wanted = Download(names, split, into, force)
    count = len(wanted.files)
    done = 0
    try:
        if wanted.missing():
            click.echo(LICENCE)
            wanted.check_room()
        for file in wanted.files:
            with _bar(file.name) as progress:
                outcome = wanted.get(file, progress)
            click.echo(f"{file.task.name}  {file.name}: {outcome.state}, {outcome.entry}")
            done += 1
    except KeyboardInterrupt:
        click.echo(
            f"Stopped; {done} of {count} files are done. The same command goes on where it was.",
            err=True,
        )
        sys.exit(INTERRUPTED)
    except QragError:
        click.echo(f"{done} of {count} files are done.", err=True)
        raise
    if wanted.root == data_root():
        click.echo(f"{count} files in {wanted.root}, where lm_eval looks for them.")
    else:
        click.echo(f"{count} files in {wanted.root}. For lm_eval, set QRAG_DATA to this folder.")


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """Show how far a file has come, on a terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    terminal = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=terminal, disable=not terminal.is_terminal, transient=True) as bars:
        line = bars.add_task(name, total=None)
        yield lambda here, size: bars.update(line, completed=here, total=size)
