"""``qrag status``: how far a grid is, also while it is run elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from qrag_tasks.cli.grids import command, duration, failures
from qrag_tasks.cli.group import console, main, print_prose
from qrag_tasks.cli.tables import Table, print_tables

if TYPE_CHECKING:
    from qrag_tasks.experiment.running.shards import Shard
    from qrag_tasks.experiment.running.status import Part, Status


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Tell how far the grid in FOLDER is, also while another process runs it.

    Its cells by arm, whether somebody runs it now and how long that will take, what failed and
    why, and the next command. Nothing is written, and neither data nor models are needed.
    """
    from qrag_tasks.experiment.running.status import status_of

    state = status_of(folder)
    out = console()
    total = len(state.plan.cells())
    read = ""
    if state.plan.fidelity is not None:
        read = f", {len(state.complete) - len(state.unread):,} of them read"
    out.print(Text(f"{state.plan.name}: {len(state.complete):,} of {total:,} cells complete{read}"))
    out.print()
    print_tables(_arms(state))
    out.print()
    for line in _runs(state):
        print_prose(line)
    for line in (*failures(state.failed), *_next(state, folder)):
        out.print(Text(line), soft_wrap=True)


def _arms(status: Status) -> Table:
    table = Table("arm", "complete", "failed", "left")
    for arm in status.arms:
        table.add_row(arm.arm.name, f"{arm.complete:,}", f"{arm.failed:,}", f"{arm.left:,}")
    return table


def _runs(status: Status) -> Iterator[str]:
    for part in status.parts:
        of_several = f"Part {part.shard.text}: " if part.shard.count > 1 else ""
        yield from (f"{of_several}{line}" for line in _run(part, bool(status.parts_to_run())))
    if status.is_merged_now:
        yield "`qrag merge` is at work in this folder now."


def _run(part: Part, is_open: bool) -> Iterator[str]:
    note = part.note
    if note is None:
        yield "Running now." if part.at_work else "Not running now."
        return
    by = f"process {note.process} on {note.host}"
    if part.at_work:
        spent = (datetime.now().astimezone() - note.begun).total_seconds()
        yield f"Running now, for {duration(spent)}, in {by}."
        if note.doing:
            yield note.doing
    else:
        unsure = "Perhaps running: this user may not write here, and so cannot see it."
        now = unsure if is_open and part.at_work is None else "Not running now."
        spent = (note.seen - note.begun).total_seconds()
        until = f"{note.seen.astimezone():%Y-%m-%d %H:%M:%S}"
        yield f"{now} The last run, {by}, took {duration(spent)}, until {until}."
    answered = f"{note.answered:,} of {note.samples:,} samples are answered"
    if note.seconds_left is None:
        yield f"{answered}."
    else:
        pace = "" if part.at_work else " at that pace"
        yield f"{answered}, about {duration(note.seconds_left)} left{pace}."


def _next(status: Status, folder: Path) -> Iterator[str]:
    to_run = status.parts_to_run()
    for shard in to_run:
        yield f"Next: {_command(status, shard, folder)}"
    if not to_run:
        at_work = any(part.at_work for part in status.parts)
        when = " when the run has ended" if at_work else ""
        if status.unread and not at_work:
            yield f"Next: {command('fidelity', folder)}"
        yield f"Next{when}: {command('compare', folder)}"


def _command(status: Status, shard: Shard, folder: Path) -> str:
    notes = [part.note for part in status.parts if part.note is not None]
    last = max(notes, key=lambda note: note.begun, default=None)
    plan = "PLAN.yaml" if last is None or last.plan is None else _shown(last.plan)
    options = () if last is None else last.options
    part = ("--shard", shard.text) if shard.count > 1 else ()
    return command("run", plan, "--out", folder, *options, *part)


def _shown(plan: str) -> str:
    """Return the path of a plan as short as it can be given here."""
    if Path(plan).is_relative_to(Path.cwd()):
        return os.path.relpath(plan)
    return plan
