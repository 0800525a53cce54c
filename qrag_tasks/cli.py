"""The ``qrag`` command: look at the tasks, the plugins, a prompt; rank; check the set-up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qrag_tasks import catalog
from qrag_tasks.errors import QragError
from qrag_tasks.locations import task_yamls


class _Group(click.Group):
    """A group of commands that prints our errors as messages, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except QragError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qrag-tasks", prog_name="qrag")
def main() -> None:
    """LaMP-style RAG tasks for lm_eval: what does quantization do to them?"""


@main.command()
def tasks() -> None:
    """List the tasks and groups that lm_eval knows from us."""
    table = Table("task", "LaMP", "documents", "what the model is asked", "scores")
    for entry in catalog.CATALOG.values():
        scores = ", ".join(metric.name for metric in entry.task.metrics)
        table.add_row(entry.name, entry.task.folder, str(entry.k), entry.task.summary, scores)
    for group, members in catalog.GROUPS.items():
        table.add_row(group, "group", "", " + ".join(members), "")
    table.add_row(catalog.TAG, "tag", "", "all of the tasks above", "")
    _console().print(table)


@main.command()
def path() -> None:
    """Print the folder of task files, for lm_eval's --include_path."""
    click.echo(task_yamls())


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--index", type=click.IntRange(min=0), default=0, help="Which sample, from 0.")
@click.option("--data", help="Folder with LaMP's files, or `mini`. Default: as for lm_eval.")
@click.option(
    "--retriever", default="bm25", show_default=True, help="NAME or NAME:option=value,..."
)
@click.option("--tokenizer", help="Model whose tokens to count; needed for --context-tokens.")
@click.option(
    "--context-tokens", type=click.IntRange(min=1), help="Tokens for prompt and answer together."
)
def show(
    task: str,
    index: int,
    data: str | None,
    retriever: str,
    tokenizer: str | None,
    context_tokens: int | None,
) -> None:
    """Show one sample of TASK: its ranking and its finished prompt, before any chat template."""
    from qrag_tasks.harness.inspection import show_sample

    shown = show_sample(task, index, data, retriever, tokenizer, context_tokens)
    record, budget = shown.record, shown.budget
    console = _console()
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("task", f"{shown.entry.name} ({shown.entry.task.summary})"),
        ("sample", f"{record.sample.id}, {index} of {shown.size}, from {shown.source}"),
        ("gold", record.sample.target),
        ("retriever", shown.retriever),
        (
            "documents",
            f"{record.requested} requested, {record.profile_size} in the profile, "
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
    console.print(facts)

    ranking = Table("rank", "document", "score", "", "text")
    for rank, (document_id, score) in enumerate(
        zip(record.ranking.ids, record.ranking.scores, strict=True), start=1
    ):
        state = "kept" if document_id in record.kept else "dropped"
        text = Text(shown.texts[document_id][:200].replace("\n", " "))
        text.truncate(60, overflow="ellipsis")
        ranking.add_row(str(rank), Text(document_id), f"{score:.4f}", state, text)
    if record.ranking.ids:
        console.print(ranking)
    console.rule("prompt")
    # Plain: a text may hold what rich takes for markup, and must be shown to the letter.
    click.echo(record.prompt)


@main.command()
@click.argument("task", metavar="TASK")
@click.option("--data", help="Folder with LaMP's files, or `mini`. Default: as for lm_eval.")
@click.option(
    "--retriever", default="bm25", show_default=True, help="NAME or NAME:option=value,..."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that rank; each loads the retriever.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the rankings to this TREC run file.",
)
def rank(task: str, data: str | None, retriever: str, workers: int, out: Path | None) -> None:
    """Rank every profile of TASK once and keep the rankings; lm_eval then reads them for any k.

    TASK is a LaMP task such as lamp3u, or any task of `qrag tasks`. Stopped at any moment, the
    same command goes on where it was; several may run at once and share the work.
    """
    from rich.progress import Progress

    from qrag_tasks.benchmark import data as lamp_data
    from qrag_tasks.benchmark.tasks import LAMP_TASKS, lamp_task
    from qrag_tasks.plugins import build_retriever
    from qrag_tasks.rankings import Rankings
    from qrag_tasks.retrieval.trec import write_run

    named = lamp_task(task) if task in LAMP_TASKS else catalog.entry(task).task
    rankings = Rankings(lamp_data.load(named, data), build_retriever(retriever))
    console = _console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task(f"{named.name}, {rankings.retriever.spec}", total=None)
        for progress in rankings.fill(workers):
            bar.update(line, total=progress.total, completed=progress.found + progress.ranked)
    _console().print(
        Text(
            f"{named.name}, {rankings.retriever.spec}: {progress.total} profiles, "
            f"{progress.ranked} ranked now, {progress.found} ranked before; kept in "
            f"{rankings.store.folder}"
        ),
        soft_wrap=True,
    )
    if out is not None:
        lines = write_run(out, rankings.run_lines())
        click.echo(f"{out}: {lines} lines. Read it by --retriever run:{out}")


@main.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the plugins that are installed, and what each supplies."""
    from qrag_tasks import plugins as installed

    if context.invoked_subcommand:
        return
    table = Table("plugin", "distribution", "version", "hooks", "supplies", "state")
    for plugin in installed.plugins():
        supplied = [*plugin.retrievers, *(f"{name} (prompt)" for name in plugin.prompt_styles)]
        table.add_row(
            Text(plugin.name),
            Text(plugin.origin.distribution),
            Text(plugin.origin.version),
            ", ".join(plugin.hooks),
            Text(", ".join(supplied)),
            Text(f"{plugin.state}: {plugin.cause}" if plugin.cause else plugin.state),
        )
    console = _console()
    console.print(table)
    conflicts = installed.conflicts()
    for conflict in conflicts:
        console.print(Text(conflict, "bold red"))
    if conflicts:
        sys.exit(1)


@plugins.command()
@click.argument("retriever", metavar="NAME")
@click.option(
    "--expect-failure",
    "expected",
    multiple=True,
    metavar="CHECK",
    help="A check that cannot hold for this retriever; may be given several times.",
)
def check(retriever: str, expected: tuple[str, ...]) -> None:
    """Hold a retriever to its contract: NAME or NAME:option=value,...; exit code 1 if it fails."""
    from qrag_tasks.testing import run_checks

    console = _console()
    marks = {
        "passed": Text("passed", "green"),
        "expected": Text("expected", "yellow"),
        "skipped": Text("skipped", "yellow"),
        "failed": Text("FAILED", "bold red"),
    }
    states = []
    for outcome in run_checks(retriever, dict.fromkeys(expected, "named in --expect-failure")):
        states.append(outcome.state)
        line = Text.assemble(marks[outcome.state], " ", outcome.check.name)
        if outcome.state != "passed":
            line.append(f": {outcome.message}")
        console.print(line, soft_wrap=True)
    failed = states.count("failed")
    console.print(f"{retriever}: {len(states)} checks, {failed} failed")
    if failed:
        sys.exit(1)


@main.command()
def doctor() -> None:
    """Tell whether the main job can run here; exit code 1 where it cannot."""
    from qrag_tasks.harness.inspection import examine

    console = _console()
    findings = examine()
    table = Table("", "what", "state", "what to do")
    marks = {
        "ok": Text("ok", "green"),
        "note": Text("note", "yellow"),
        "missing": Text("MISSING", "bold red"),
    }
    for finding in findings:
        table.add_row(
            marks[finding.level], Text(finding.what), Text(finding.state), Text(finding.remedy)
        )
    console.print(table)
    missing = [finding.what for finding in findings if finding.level == "missing"]
    if missing:
        console.print(Text(f"The main job cannot run: {', '.join(missing)}.", "bold red"))
        sys.exit(1)
    console.print("The main job can run: lm_eval --tasks lamp_rag_k5 --model hf ...")


def _console(stderr: bool = False) -> Console:
    # In a pipe, as wide as the widest line: a cut cell cannot be searched for.
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=stderr, width=200)
    return console


if __name__ == "__main__":
    main()
