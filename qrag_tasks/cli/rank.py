"""``qrag rank``: rank every profile of a task once."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from qrag_tasks.cli.group import METADATA_HELP, console, main, read_metadata
from qrag_tasks.cli.outputs import OutFile
from qrag_tasks.tasks import catalog


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--metadata", "given", help=METADATA_HELP)
@click.option("--data", help="Folder of the data, or `mini`. Default: as for lm_eval.")
@click.option("--retriever", help="NAME or NAME:option=value,...  [default: bm25]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that rank; each loads the retriever.",
)
@click.option(
    "--out",
    type=OutFile(),
    help="Also write the rankings to this TREC run file.",
)
def rank(
    task: str,
    given: str | None,
    workers: int,
    out: Path | None,
    **choices: str | None,
) -> None:
    """Rank every profile of TASK once and keep the rankings; lm_eval then reads them for any k.

    TASK is a task such as lamp3u or own, or any of `qrag tasks`. Stopped at any moment, the
    same command goes on where it was; several may run at once and share the work.
    """
    from rich.progress import Progress

    from qrag_tasks.plugins import build_retriever
    from qrag_tasks.prompting.prompt_source import chosen_data
    from qrag_tasks.prompting.rankings import Rankings
    from qrag_tasks.prompting.settings import Settings
    from qrag_tasks.retrieval.trec import write_run
    from qrag_tasks.wording import counted

    settings = Settings.from_metadata(read_metadata(given, choices), ())
    name = task if task in catalog.TASKS else catalog.entry(task).task.name
    data = chosen_data(catalog.task_named(name, settings.protocol.index), settings)
    named = data.task
    rankings = Rankings(data, build_retriever(settings.protocol.retriever))
    terminal = console(stderr=True)
    with Progress(console=terminal, disable=not terminal.is_terminal) as bar:
        line = bar.add_task(f"{named.name}, {rankings.retriever.spec}", total=None)
        for progress in rankings.fill(workers):
            bar.update(line, total=progress.total, completed=progress.found + progress.ranked)
    console().print(
        Text(
            f"{named.name}, {rankings.retriever.spec}: {counted(progress.total, 'profile')}, "
            f"{progress.ranked} ranked now, {progress.found} ranked before; kept in "
            f"{rankings.store.folder}"
        ),
        soft_wrap=True,
    )
    if out is not None:
        lines = write_run(out, rankings.run_lines())
        click.echo(f"{out}: {lines} lines. Read it by --retriever run:{out}")
