"""``qrag report``: one page that shows a comparison, down to every sample."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from qrag_tasks.cli.compare import comparing, read_options
from qrag_tasks.cli.group import console, main


@main.command()
@comparing
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
)
@click.option(
    "--figures",
    "figure_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the figures, as SVG and PDF.",
)
def report(
    base: Path,
    others: tuple[Path, ...],
    out: Path,
    figure_folder: Path | None,
    **choices: object,
) -> None:
    """Compare arms as `qrag compare` does, and write one self-contained page.

    It holds the answer in three sentences, figures, the table, and every sample with its prompt
    and both answers. It loads nothing from anywhere.
    """
    from qrag_tasks.experiment.comparison.grids import match_grid, with_margins
    from qrag_tasks.experiment.comparison.matching import match_runs
    from qrag_tasks.experiment.report.report import make_report, write_report
    from qrag_tasks.experiment.running.folder import GridFolder
    from qrag_tasks.experiment.runs import read_runs

    options = read_options(choices)
    if others:
        matched = match_runs(read_runs(base), [read_runs(other) for other in others])
        title = base.resolve().name
    else:
        matched, options = match_grid(base), with_margins(base, options)
        title = GridFolder.at(base).plan.name
    found = make_report(matched, options, title, figure_folder)
    write_report(out, found)
    size = out.stat().st_size / 1e6
    console().print(Text(f"{out}: {len(found.comparison.cells)} comparisons, {size:,.1f} MB"))
