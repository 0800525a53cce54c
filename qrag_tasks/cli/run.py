"""``qrag run``: run a plan, and go on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from qrag_tasks.cli.grids import command, duration, failures
from qrag_tasks.cli.group import console, main, print_prose
from qrag_tasks.cli.outputs import OutFolder
from qrag_tasks.errors import SettingsError

if TYPE_CHECKING:
    from qrag_tasks.experiment.plan import Cell
    from qrag_tasks.experiment.running.progress import Progress


@main.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=OutFolder(),
    help="Folder for the grid.",
)
@click.option("--shard", metavar="I/N", help="Run the I-th of N parts, as in 2/4.")
@click.option(
    "--launcher",
    type=click.Choice(["here", "ray"]),
    default="here",
    show_default=True,
    help="Where the arms run: on this machine, or on a Ray cluster that shares the folder.",
)
@click.option("--engine", "old_name", hidden=True)
@click.option("--address", help="Of the Ray cluster. Default: the one that runs here.")
@click.option("--gpus", type=click.FloatRange(min=0), help="GPUs an arm takes of it.  [default: 1]")
@click.pass_context
def run(
    context: click.Context,
    plan: Path,
    out: Path,
    shard: str | None,
    launcher: str,
    old_name: str | None,
    address: str | None,
    gpus: float | None,
) -> None:
    """Run the grid that the file PLAN describes, into a folder.

    Stopped at any moment, the same command goes on where it was. Every cell is also a result of
    lm_eval's, with its samples. A cell that fails is named at the end, with exit code 1, and the
    others are run all the same.
    """
    if old_name is not None:
        raise SettingsError(f"--engine is now called --launcher: write --launcher {old_name}")
    if launcher != "ray" and (address is not None or gpus is not None):
        raise SettingsError("--address and --gpus are for --launcher ray")
    from qrag_tasks.experiment.plan import read_plan
    from qrag_tasks.experiment.running.grid import arms_left, run_plan
    from qrag_tasks.experiment.running.launchers import Here, Ray
    from qrag_tasks.experiment.running.shards import Shard

    part = None if shard is None else Shard.parse(shard)
    chosen = Ray(address, gpus) if launcher == "ray" else Here()
    checked = read_plan(
        plan, to_run=launcher == "here", needed=lambda read: arms_left(read, out, part)
    )
    options = [] if launcher == "here" else ["--launcher", launcher]
    options += [] if address is None else ["--address", address]
    options += [] if gpus is None else ["--gpus", f"{gpus:g}"]
    terminal = console(stderr=True)
    shown = _Shown(terminal)
    try:
        with shown:
            progress = run_plan(checked, out, part, chosen, shown, file=plan, options=options)
    except KeyboardInterrupt:
        terminal.print(Text(f"Stopped. The same command goes on from here; {out} is kept."))
        context.exit(130)
    for line in failures(progress.failed):
        terminal.print(Text(line), soft_wrap=True)
    message = f"{len(progress.complete)} of {len(progress.samples)} cells complete in {out}"
    if progress.failed:
        message += f", {len(progress.failed)} failed; the same command tries those again"
    print_prose(f"{message}, after {duration(progress.seconds)}")
    if progress.unread:
        count = len(progress.unread)
        console().print(
            Text(
                f"{count:,} {'cell is' if count == 1 else 'cells are'} complete and not read yet, "
                f"such as {progress.unread[0].folder}. Once its base arm's cells are complete: "
                f"{command('fidelity', out)}"
            ),
            soft_wrap=True,
        )
    if progress.complete and not progress.failed and part is None:
        console().print(Text(f"Now compare its arms: {command('compare', out)}"), soft_wrap=True)
    # A part may have to leave to others what its own arms cannot read yet.
    unread = progress.unread and part is None and launcher == "here"
    context.exit(1 if progress.failed or unread else 0)


class _Shown:
    """Shows progress: a bar on a terminal, else a line for each cell that ends.

    The time left is the run's own: rich's column forgets what is older than half a minute, and one
    batch may take longer.
    """

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal
        self._told: set[Cell] | None = None
        self._noted: set[str] = set()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=terminal,
        )
        self._bar = self._bars.add_task("", total=None, left="")
        # On a line of its own, where the longest name of a cell has room.
        self._doing = Text("reading the data")
        self._live = Live(Group(self._bars, self._doing), console=terminal)

    def __enter__(self) -> None:
        if self._terminal.is_terminal:
            self._live.start(refresh=True)

    def __exit__(self, *_: object) -> None:
        # Of a run that is refused, the error alone stays.
        self._live.transient = self._told is None
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how far a run has come."""
        if self._told is None:
            # Whole before this run: no line for each of them.
            self._told = set(progress.complete)
            if count := len(self._told):
                self._line(f"{count} {'cell is' if count == 1 else 'cells are'} complete already")
        for note in progress.notes:
            if note not in self._noted:
                self._line(f"note: {note}", on_terminal=True)
                self._noted.add(note)
        done, left = progress.work()
        remaining = progress.seconds_left
        about = "" if remaining is None else f"about {duration(remaining)} left"
        ended = len(progress.complete) + len(progress.failed)
        self._bars.update(
            self._bar,
            completed=done,
            total=done + left,
            left=about,
            description=f"{ended} of {len(progress.samples)} cells",
        )
        self._doing.plain = progress.doing
        spent = ", ".join(filter(None, (duration(progress.seconds), about)))
        counted = f"[{ended}/{len(progress.samples)}]"
        for cell in progress.complete:
            if cell not in self._told:
                self._line(f"{counted} {cell.folder} complete, {spent}")
        new = {cell: why for cell, why in progress.failed.items() if cell not in self._told}
        for line in failures({cell: why.partition("\n")[0] for cell, why in new.items()}):
            self._line(f"{counted} {line} ({spent})", on_terminal=True)
        self._told |= {*progress.complete, *progress.failed}

    def _line(self, text: str, on_terminal: bool = False) -> None:
        if on_terminal or not self._terminal.is_terminal:
            self._terminal.print(Text(text), soft_wrap=True)
