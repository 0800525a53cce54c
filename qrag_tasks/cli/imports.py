"""``qrag import``: outputs that no lm_eval wrote, made into results that can be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from qrag_tasks.cli.grids import command
from qrag_tasks.cli.group import console, main, print_prose
from qrag_tasks.cli.outputs import OutFolder
from qrag_tasks.errors import SettingsError


@main.command("import")
@click.argument("files", nargs=-1, required=True, metavar="[NAME=]FILE...")
@click.option("--out", required=True, type=OutFolder(), help="Folder for the results.")
@click.option("--task", help="The task's name: one of `qrag tasks`, which says the kind, or any.")
@click.option(
    "--answer",
    type=click.Choice(["ratings", "labels", "choice", "text", "exact"]),
    help="What kind of answer the golds are.",
)
@click.option("--scale", nargs=2, type=int, metavar="LOWEST HIGHEST", help="Of ratings.")
@click.option("--values", metavar="A,B,...", help="The labels.")
@click.option("--most", type=int, help="The most options of a choice.  [default: 4]")
@click.option("--lines", type=click.Choice(["first", "all"]), help="Of texts.  [default: first]")
@click.option(
    "--questions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that says, by id, what the answers' lines leave out: prompt, gold, user.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=COLUMN",
    help="What the files call a field, as in answer=output; may be given often.",
)
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="COLUMN",
    help="What else is known of a question, such as its topic: `qrag compare --by-attribute` shows "
    "scores by it; may be given often.",
)
@click.option("--model", help="The model's name, where lines do not say it.")
def import_(
    files: tuple[str, ...],
    out: Path,
    task: str | None,
    answer: str | None,
    questions: Path | None,
    fields: tuple[str, ...],
    attributes: tuple[str, ...],
    model: str | None,
    **of_kind: Any,
) -> None:
    """Import answers that no lm_eval wrote, one FILE an arm, the base's first.

    Each line has an id, the prompt or its sha256, the answer and, where it is known, the gold and
    the user: JSON Lines, CSV, TSV or Parquet (docs/importing.md). All that is missing or wrong is
    told at once. NAME says what an arm is called, else its file does.
    """
    from qrag_tasks.experiment.importing.form import form_of
    from qrag_tasks.experiment.importing.reading import read_outputs
    from qrag_tasks.experiment.importing.writing import check_free, write_arm
    from qrag_tasks.wording import counted

    if of_kind["values"] is not None:
        of_kind["values"] = [value.strip() for value in of_kind["values"].split(",")]
    given = {name: value for name, value in of_kind.items() if value is not None}
    if given and answer is None:
        raise SettingsError(f"--{next(iter(given))} is for --answer: give that, too")
    kind = None if answer is None else {"kind": answer, **given}
    form = form_of(task, kind, dict(map(_column, fields)), model)
    form = replace(form, attributes=attributes)
    check_free(out)
    imported = read_outputs(list(map(_file, files)), form, questions)
    for arm in imported.arms:
        write_arm(arm, form, out)
    for note in imported.notes:
        print_prose(f"note: {note}", stderr=True)
    for number, arm in enumerate(imported.arms):
        count = sum(map(len, arm.cells.values()))
        base = " (the base)" if number == 0 and len(imported.arms) > 1 else ""
        console().print(Text(f"{arm.name}{base}: {counted(count, 'answer')}"), soft_wrap=True)
    if len(imported.arms) > 1:
        places = [out / arm.name for arm in imported.arms]
        console().print(Text(f"Now compare them: {command('compare', *places)}"), soft_wrap=True)


def _file(given: str) -> tuple[str | None, Path]:
    name, equals, place = given.partition("=")
    if Path(given).exists() or not (name and equals and place):
        return None, Path(given)
    return name, Path(place).expanduser()


def _column(given: str) -> tuple[str, str]:
    name, equals, column = given.partition("=")
    if not (name and equals and column):
        raise SettingsError(f"--field {given}: give a field and its column, as in answer=output")
    return name, column
