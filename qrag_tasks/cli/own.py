"""``qrag init`` and ``qrag check``: a folder of one's own data, begun and looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qrag_tasks.cli.group import main, print_prose
from qrag_tasks.errors import DataError

if TYPE_CHECKING:
    from qrag_tasks.tasks.own.checking import SplitFacts
    from qrag_tasks.tasks.own.corpus_file import Corpus


@main.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write an example of own data into FOLDER, which is made: corpus.toml, and questions.

    It runs as it is; put your data in the place of the example's. docs/own_data.md has the walk.
    """
    from qrag_tasks.tasks.own.example import write_example

    for path in write_example(folder):
        click.echo(f"written: {path}")
    click.echo(f"Run next:\nqrag check {folder}")


@main.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
def check(folder: Path) -> None:
    """Look at all of the own data in FOLDER: corpus.toml, and every file that it names.

    Every mistake is told with its file, line and field, and makes exit code 1. Of many that are
    alike, the first three are told and the others counted.
    """
    from qrag_tasks.tasks.own.checking import check as look

    checked = look(folder)
    if checked.mistakes or checked.corpus is None:
        raise DataError("\n".join(checked.mistakes.lines()))
    for line in _facts(checked.corpus, checked.splits):
        print_prose(line)


def _facts(corpus: Corpus, splits: Mapping[str, SplitFacts]) -> Iterator[str]:
    from qrag_tasks.wording import counted

    for split, facts in splits.items():
        fewest, most = facts.documents
        documents = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        noun = "document" if fewest == most == 1 else "documents"
        users = f", of {counted(len(facts.users), 'user')}" if facts.users else ""
        yield (
            f"{corpus.name}, {split}: {counted(facts.questions, 'question')}{users}, {documents} "
            f"{noun} each"
        )
        for count, one, many in (
            (facts.without_documents, "has no documents", "have no documents"),
            (facts.empty, "is empty", "are empty"),
            (facts.without_answer, "has no answer, and no score", "have no answer, and no score"),
        ):
            if count:
                yield f"  {counted(count, 'question')} {one if count == 1 else many}"
        scored = facts.questions - facts.without_answer
        if 0 < scored < facts.questions:
            yield f"  {counted(scored, 'question')} {'is' if scored == 1 else 'are'} scored"
    yield f"No mistakes. Answers: {corpus.answer.kind}. Licence: {corpus.license}"
