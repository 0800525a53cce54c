"""``qrag tasks`` and ``qrag path``: what lm_eval knows from us, and where its files are."""

from __future__ import annotations

import click

from qrag_tasks.cli.group import main
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.locations import RAG, task_yamls
from qrag_tasks.tasks import catalog
from qrag_tasks.tasks.base import DEPTHS, DescribingSource
from qrag_tasks.tasks.scoring.answer_scores import AnswerScores


@main.command()
def tasks() -> None:
    """List the tasks and groups that lm_eval knows from us."""
    from qrag_tasks.registry import TASKS, core_origin

    table = Table("task", "of", "what the model is asked", "scores", "version, licence")
    supplied_tasks = TASKS.all()
    scores_of = {
        name: [one.name for one in AnswerScores(task.answer, names=task.metrics).metrics]
        for name, task in ((name, each.value) for name, each in supplied_tasks.items())
        if not isinstance(task.source, DescribingSource)
    }
    # What all have in common is said once, below.
    every, *others = scores_of.values()
    common = [score for score in every if all(score in each for each in others)]
    for name, supplied in supplied_tasks.items():
        task = supplied.value
        # All k of a task in one cell, a line each: they differ in nothing else.
        names = "\n".join(f"{name}{RAG}_k{depth}" for depth in task.depths)
        scores = "what corpus.toml says"
        if name in scores_of:
            scores = ", ".join(score for score in scores_of[name] if score not in common)
        about = [task.version, task.license]
        if supplied.origin != core_origin():
            about.append(f"from {supplied.origin}")
        of = task.official_name if name in scores_of else "yours"
        table.add_row(names, of, task.summary, scores, "\n".join(about))
        table.add_break()
    for group, members in catalog.GROUPS.items():
        table.add_row(group, "group", ", ".join(members), "", "")
    for tag in catalog.TAGS:
        table.add_row(tag, "tag", "all tasks whose data are public", "", "")
    print_tables(table)
    click.echo()
    click.echo(f"Also scores of all tasks: {', '.join(common)}.")
    click.echo("k is how many documents are put into the prompt.")
    for depth in filter(lambda depth: depth.window, DEPTHS):
        click.echo(f"k{depth}: {depth.in_words}, answer included")


@main.command()
def path() -> None:
    """Print the folder of task files, for lm_eval's --include_path."""
    click.echo(task_yamls())
