"""``qrag merge``: put the parts of a grid together that were run apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from qrag_tasks.cli.grids import some
from qrag_tasks.cli.group import console, main, print_prose
from qrag_tasks.cli.outputs import OutFolder

if TYPE_CHECKING:
    from qrag_tasks.experiment.plan import Cell


@main.command()
@click.argument(
    "parts", nargs=-1, required=True, type=click.Path(file_okay=False, exists=True, path_type=Path)
)
@click.option("--out", required=True, type=OutFolder())
@click.pass_context
def merge(context: click.Context, parts: tuple[Path, ...], out: Path) -> None:
    """Copy the complete cells of PARTS, folders of `qrag run --shard`, into one folder.

    Exit code 1 while cells are missing.
    """
    from qrag_tasks.experiment.running.answered_by import mixed_arms_of
    from qrag_tasks.experiment.running.grid_folder import GridFolder
    from qrag_tasks.experiment.running.merging import merge as merge_parts

    progress = merge_parts(parts, out)
    by_arm: dict[str, list[Cell]] = {}
    for cell in progress.missing:
        by_arm.setdefault(cell.arm.name, []).append(cell)
    for cells in by_arm.values():
        console(stderr=True).print(Text(f"missing: {some(cells)}"), soft_wrap=True)
    for note in mixed_arms_of(GridFolder.at(out)):
        print_prose(f"note: {note}", stderr=True)
    total = len(progress.complete) + len(progress.missing)
    console().print(Text(f"{len(progress.complete)} of {total} cells complete in {out}"))
    context.exit(1 if progress.missing else 0)
