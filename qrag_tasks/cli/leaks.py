"""``qrag leaks``: which answers do the data give away?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.tasks import catalog

if TYPE_CHECKING:
    from qrag_tasks.tasks.lamp.leaks import Leaks


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--data", help="Folder of the data, or `mini`. Default: as for lm_eval.")
@click.option(
    "--split", type=click.Choice(["dev", "train", "test"]), default="dev", show_default=True
)
@click.option(
    "--json",
    "file",
    metavar="FILE",
    type=click.File("w", encoding="utf-8", atomic=True),
    help="Also write the findings to this file.",
)
def leaks(task: str, data: str | None, split: str, file: IO[str] | None) -> None:
    """Report what the users' own profiles give away of the answers to TASK.

    Each line is a profile item. `answer`: the gold is its own answer (its title, say). `text`: the
    gold, of three words or more, stands in its texts (LaMP-1: the right reference's title).
    `question`: the question's own text is the item's (LaMP-1: the citing paper's title); for
    LaMP-2 and 3, whose golds are labels, `answer` is told of such items only. Case and white space
    are passed over. TASK is a LaMP task such as lamp5u, or any task of `qrag tasks`.
    """
    from qrag_tasks.tasks.lamp.leaks import find_leaks

    named = catalog.TASKS.get(task) or catalog.entry(task).task
    report = find_leaks(named.load(data, split))
    if file is not None:
        file.write(json.dumps([asdict(leak) for leak in report.leaks], indent=2) + "\n")
    out = console()
    table = Table("sample", "index", "leaks", "item", "excerpt")
    for leak in report.leaks:
        kinds = ", ".join(leak.kinds)
        table.add_row(leak.sample, str(leak.index), kinds, leak.item, leak.excerpt)
    if report.leaks:
        print_tables(table)
    for line in _closing_lines(report):
        out.print(Text(line), soft_wrap=True)


def _closing_lines(report: Leaks) -> Iterator[str]:
    """Yield what was found, counted in questions."""
    from qrag_tasks.tasks.lamp.leaks import FEWEST_WORDS

    task, total = report.data.task, len(report.data.samples)
    what = f"{task.name}, {report.data.split}"
    if report.golds:
        yield (
            f"{what}: {_share(report.count('answer', 'text'), report.golds)} golds stand in the "
            f"user's own profile: {report.count('answer'):,} as an item's answer, "
            f"{report.count('text'):,} in an item's texts"
        )
    closing = (
        f"{what}: {_share(report.count('question'), total)} questions are an item of the user's "
        f"own profile"
    )
    if task.answer.values is not None and task.item_target is not None:
        closing += f", {report.count('answer'):,} with the gold as its answer"
    yield closing
    if report.data.outputs is None:
        yield f"{what}: the golds are not published and were not looked for"
    if report.short:
        yield (
            f"{what}: not looked for in texts, as they have fewer than {FEWEST_WORDS} words: "
            f"{report.short:,} of {report.golds:,} golds"
        )
    if report.unread:
        yield f"{what}: passed over, as they are worded otherwise: {report.unread:,} questions"


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,} ({count / total:.2%})"
