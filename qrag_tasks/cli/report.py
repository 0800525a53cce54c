"""``qrag report``: one page that shows a comparison, down to every sample."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from qrag_tasks.cli.compare import (
    choosing_cells,
    comparing,
    kept_comparisons,
    read_arms,
    read_options,
)
from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.outputs import OutFile, OutFolder
from qrag_tasks.cli.progress import tracking
from qrag_tasks.errors import SettingsError


@main.command()
@comparing
@choosing_cells
@click.option(
    "-o",
    "--out",
    type=OutFile(".html", ".htm"),
    default=Path("report.html"),
    show_default=True,
)
@click.option(
    "--figures",
    "figure_folder",
    type=OutFolder(),
    help="Folder for the figures, as SVG and PDF.",
)
@click.option(
    "--without-samples",
    is_flag=True,
    help="Leave out every prompt and answer: for data that may not be passed on, or a small page.",
)
def report(
    base: Path,
    others: tuple[Path, ...],
    axis: str | None,
    pairs: tuple[tuple[str, str], ...],
    out: Path,
    figure_folder: Path | None,
    without_samples: bool,
    **choices: object,
) -> None:
    """Compare arms as `qrag compare` does, and write one self-contained page.

    It holds a verdict for each arm with its reason, what the arm saves and costs and what remains
    unknown; a map of all cells, which filters figures, table and samples; and every sample with its
    prompt and both answers. It loads nothing from anywhere.
    """
    from qrag_tasks.experiment.report.report import make_report, write_report
    from qrag_tasks.wording import counted

    if figure_folder is not None and (axis or pairs):
        raise SettingsError("--figures draws arms on the same prompts: leave out --by and --pair")
    matched, options, title = read_arms(base, others, read_options(choices), axis, pairs)
    with tracking() as track:
        page = make_report(
            matched,
            options,
            title,
            figure_folder,
            kept_comparisons(),
            track,
            with_samples=not without_samples,
        )
    write_report(out, page)
    size = out.stat().st_size / 1e6
    cells = counted(len(page.comparison.cells), "comparison")
    console().print(Text(f"{out}: {cells}, {size:,.1f} MB"))
