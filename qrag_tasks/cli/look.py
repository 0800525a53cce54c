"""``qrag tasks``, ``path``, ``show``, ``doctor``: what there is, before anything runs."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.table import Table as Drawn
from rich.text import Text

from qrag_tasks.cli.group import METADATA_HELP, console, main, read_metadata
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks import catalog
from qrag_tasks.tasks.lamp.table import LAMP_TASKS


@main.command()
def tasks() -> None:
    """List the tasks and groups that lm_eval knows from us."""
    table = Table("task", "LaMP", "what the model is asked", "scores")
    for task in LAMP_TASKS.values():
        # All k of a task in one cell, a line each: they differ in nothing else.
        names = [name for name, entry in catalog.CATALOG.items() if entry.task is task]
        scores = ", ".join(metric.name for metric in task.metrics)
        table.add_row("\n".join(names), task.folder, task.summary, scores)
        table.add_break()
    for group, members in catalog.GROUPS.items():
        table.add_row(group, "group", ", ".join(members), "")
    table.add_row(catalog.TAG, "tag", "all tasks whose data are public", "")
    print_tables(table)
    click.echo()
    click.echo("k is how many documents are put into the prompt.")
    for k, window in catalog.WINDOWS.items():
        click.echo(f"k{k}: as many as fit {window:,} tokens, answer included")


@main.command()
def path() -> None:
    """Print the folder of task files, for lm_eval's --include_path."""
    click.echo(task_yamls())


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--index", type=click.IntRange(min=0), default=0, help="Which sample, from 0.")
@click.option("--metadata", "given", help=METADATA_HELP)
@click.option("--data", help="Folder with LaMP's files, or `mini`. Default: as for lm_eval.")
@click.option("--retriever", help="NAME or NAME:option=value,...  [default: bm25]")
@click.option("--tokenizer", help="Model whose tokens to count; needed for --context-tokens.")
@click.option(
    "--context-tokens", type=click.IntRange(min=1), help="Tokens for prompt and answer together."
)
def show(task: str, index: int, given: str | None, tokenizer: str | None, **choices: Any) -> None:
    """Show one sample of TASK: its ranking and its finished prompt, before any chat template."""
    from qrag_tasks.harness.inspection import show_sample

    shown = show_sample(task, index, read_metadata(given, choices), tokenizer)
    record, budget = shown.record, shown.budget
    out = console()
    facts = Drawn.grid(padding=(0, 2))
    for name, value in (
        ("task", f"{shown.entry.name} ({shown.entry.task.summary})"),
        ("sample", f"{record.sample.id}, {index} of {shown.size}, from {shown.source}"),
        ("gold", record.sample.target or "not published"),
        ("retriever", shown.retriever),
        (
            "documents",
            f"{shown.entry.asks_for} requested, {record.profile_size} in the profile, "
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


@main.command()
@click.option("--names", is_flag=True, help="List what is replaced or read in other projects.")
def doctor(names: bool) -> None:
    """Tell whether the main job can run here, and what to run next; exit code 1 where it cannot."""
    from qrag_tasks.harness.inspection import examine, next_command

    if names:
        _print_inner_names()
        return
    out = console()
    findings = examine()
    table = Table("", "what", "state", "what to do")
    marks = {
        "ok": Text("ok", "green"),
        "note": Text("note", "yellow"),
        "missing": Text("MISSING", "bold red"),
    }
    for finding in findings:
        table.add_row(marks[finding.level], finding.what, finding.state, finding.remedy)
    print_tables(table)
    missing = [finding.what for finding in findings if finding.level == "missing"]
    if missing:
        out.print(Text(f"The main job cannot run: {', '.join(missing)}.", "bold red"))
    else:
        click.echo("The main job can run.")
    click.echo(f"Run next:\n{next_command(findings)}")
    if missing:
        sys.exit(1)


def _print_inner_names() -> None:
    from qrag_tasks.harness.inner_names import GUARDS, look

    table = Table("name", "what is done", "state", "for what", "where it is not there", "lost then")
    states = {True: "there", False: "NOT THERE", None: "not looked for"}
    for each in look():
        row = each.row
        state = f"{states[each.there]} ({each.cause})" if each.cause else states[each.there]
        table.add_row(row.name, row.use, state, row.reason, row.guard, row.lost)
    print_tables(table)
    click.echo()
    for guard, words in GUARDS.items():
        click.echo(f"{guard}: {words}")
