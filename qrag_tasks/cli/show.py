"""``qrag show``: one sample with its ranking and its prompt."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table as Drawn
from rich.text import Text

from qrag_tasks.cli.group import METADATA_HELP, console, main, read_metadata
from qrag_tasks.cli.tables import Table, print_tables


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--index", type=click.IntRange(min=0), default=0, help="Which sample, from 0.")
@click.option("--metadata", "given", help=METADATA_HELP)
@click.option("--data", help="Folder of the data, or `mini`. Default: as for lm_eval.")
@click.option("--retriever", help="NAME or NAME:option=value,...  [default: bm25]")
@click.option("--tokenizer", help="Model whose tokens to count; needed for --context-tokens.")
@click.option(
    "--context-tokens", type=click.IntRange(min=1), help="Tokens for prompt and answer together."
)
def show(task: str, index: int, given: str | None, tokenizer: str | None, **choices: Any) -> None:
    """Show one sample of TASK: its ranking and its finished prompt, before any chat template."""
    from qrag_tasks.cli.shown_sample import show_sample

    shown = show_sample(task, index, read_metadata(given, choices), tokenizer)
    record, budget = shown.record, shown.budget
    out = console()
    facts = Drawn.grid(padding=(0, 2))
    for name, value in (
        ("task", f"{shown.entry.name} ({shown.summary})"),
        ("sample", f"{record.sample.id}, {index} of {shown.size}, from {shown.source}"),
        ("gold", record.sample.target or "not published"),
        *(
            [("attributes", ", ".join(f"{name} = {value}" for name, value in known.items()))]
            if (known := record.sample.attributes)
            else []
        ),
        ("retriever", shown.retriever),
        (
            "documents",
            f"{shown.entry.depth.in_words} requested, {record.profile_size} in the profile, "
            f"{len(record.kept)} kept, {len(record.dropped)} dropped"
            + (f" ({record.shortfall})" if record.shortfall else ""),
        ),
        (
            "tokens",
            f"{record.prompt_tokens} of {budget.prompt_tokens} "
            f"({record.question_tokens} without documents)"
            if budget
            else "not counted (give --tokenizer)",
        ),
        ("prompt hash", record.prompt_hash),
    ):
        facts.add_row(Text(name, style="bold"), Text(value))
    out.print(facts)

    ranking = Table("rank", "document", "score", "", "text")
    for rank, (document_id, score) in enumerate(
        zip(record.ranking.ids, record.ranking.scores, strict=True), start=1
    ):
        state = "kept" if document_id in record.kept else "dropped"
        text = Text(shown.texts[document_id][:200].replace("\n", " "))
        text.truncate(60, overflow="ellipsis")
        ranking.add_row(str(rank), document_id, f"{score:.4f}", state, text)
    if record.ranking.ids:
        print_tables(ranking)
    out.rule("prompt")
    # Plain: a text may hold what rich takes for markup, and must be shown to the letter.
    click.echo(record.prompt)
