"""``qrag run``: run a plan, and go on where it was stopped."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.outputs import OutFolder
from qrag_tasks.errors import SettingsError

if TYPE_CHECKING:
    from qrag_tasks.experiment.running.grid import Progress


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
    "--engine",
    type=click.Choice(["here", "ray"]),
    default="here",
    show_default=True,
    help="Where the arms run: on this machine, or on a Ray cluster that shares the folder.",
)
@click.option("--address", help="Of the Ray cluster. Default: the one that runs here.")
@click.option("--gpus", type=click.FloatRange(min=0), help="GPUs an arm takes of it.  [default: 1]")
@click.pass_context
def run(
    context: click.Context,
    plan: Path,
    out: Path,
    shard: str | None,
    engine: str,
    address: str | None,
    gpus: float | None,
) -> None:
    """Run the grid that the file PLAN describes, into a folder.

    Stopped at any moment, the same command goes on where it was. Every cell is also a result of
    lm_eval's, with its samples. A cell that fails is named at the end, with exit code 1, and the
    others are run all the same.
    """
    if engine != "ray" and (address is not None or gpus is not None):
        raise SettingsError("--address and --gpus are for --engine ray")
    from qrag_tasks.experiment.plan import read_plan
    from qrag_tasks.experiment.running.engines import Here, Ray
    from qrag_tasks.experiment.running.grid import run_plan
    from qrag_tasks.experiment.running.shards import Shard

    part = Shard.parse(shard) if shard else None
    terminal = console(stderr=True)
    shown = _Shown(terminal)
    try:
        with shown.bars:
            chosen = Ray(address, gpus) if engine == "ray" else Here()
            found = run_plan(read_plan(plan), out, part, chosen, shown)
    except KeyboardInterrupt:
        terminal.print(Text(f"Stopped. The same command goes on from here; {out} is kept."))
        context.exit(130)
    for cell, why in found.failed.items():
        terminal.print(Text(f"failed: {cell.folder}: {why}"), soft_wrap=True)
    told = f"{len(found.complete)} of {len(found.samples)} cells complete in {out}"
    if found.failed:
        told += f", {len(found.failed)} failed; the same command tries those again"
    console().print(Text(told), soft_wrap=True)
    context.exit(1 if found.failed else 0)


class _Shown:
    """Shows progress: a bar on a terminal, else a line for each cell that ends."""

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal
        self._told: set[str] | None = None
        self._begun = time.monotonic()
        self.bars = Bars(
            BarColumn(),
            TextColumn("{task.fields[samples]} samples"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=terminal,
            disable=not terminal.is_terminal,
        )
        self._bar = self.bars.add_task("", total=None, samples="")
        self._done_before = 0

    def __call__(self, progress: Progress) -> None:
        """Show how far a run has come."""
        if self._told is None:
            # Whole before this run: no line for each of them.
            self._told = {cell.folder for cell in progress.complete}
            self._done_before, _ = progress.work()
            if self._told:
                self._line(f"{len(self._told)} cells are complete already")
        done, left = progress.work()
        self.bars.update(
            self._bar,
            completed=done,
            total=done + left,
            samples="/".join(map(str, progress.of(list(progress.samples)))),
            description=progress.doing,
        )
        for cell in (*progress.complete, *progress.failed):
            if cell.folder not in self._told:
                self._told.add(cell.folder)
                how = "failed" if cell in progress.failed else "complete"
                ended = len(progress.complete) + len(progress.failed)
                self._line(
                    f"[{ended}/{len(progress.samples)}] {cell.folder} {how}, "
                    f"{self._spent(done, left)}"
                )

    def _spent(self, done: int, left: int) -> str:
        """Say how long it took so far, and how long the rest will take at that pace."""
        seconds = time.monotonic() - self._begun
        if done <= self._done_before or not left:
            return f"{seconds:.0f} s"
        rest = seconds * left / (done - self._done_before)
        return f"{seconds:.0f} s, about {timedelta(seconds=round(rest))} left"

    def _line(self, text: str) -> None:
        if not self._terminal.is_terminal:
            self._terminal.print(Text(text), soft_wrap=True)
