"""``qrag noise``: how much an arm's answers depend on the batches alone."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qrag_tasks.cli.group import METADATA_HELP, console, main, read_metadata
from qrag_tasks.cli.outputs import OutFile
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.errors import SettingsError


@main.command()
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@click.option(
    "--model_args",
    "--model-args",
    "model_args",
    default="",
    help="As for lm_eval --model qrag: pretrained=MODEL,precision=int4-nf4.",
)
@click.option("--metadata", "given", help=METADATA_HELP)
@click.option("--data", help="Folder of the data, or `mini`. Default: as for lm_eval.")
@click.option("--limit", type=click.IntRange(min=1), help="Samples of each task. Default: all.")
@click.option(
    "--batch_size",
    "--batch-size",
    "batch_size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Sequences a batch in the second run.",
)
@click.option(
    "--apply_chat_template", "--apply-chat-template", "chat", is_flag=True, help="As for lm_eval."
)
@click.option("--out", type=OutFile(".json"), help="Write it as JSON, too.")
def noise(
    tasks: tuple[str, ...],
    model_args: str,
    given: str | None,
    data: str | None,
    limit: int | None,
    batch_size: int,
    chat: bool,
    out: Path | None,
) -> None:
    """Run one arm twice over the TASKs, in other batches, and tell what differs.

    A difference between two arms means something only where it is larger than this.
    """
    if out is not None and out.exists():
        raise SettingsError(f"--out {out} exists: name another file, or remove it")
    from qrag_tasks.experiment.noise import measure_noise

    names = [name.strip() for task in tasks for name in task.split(",")]
    measured = measure_noise(
        names,
        model_args,
        read_metadata(given, {"data": data}),
        batch_size=batch_size,
        limit=limit,
        apply_chat_template=chat,
    )
    shown = console()
    first, second = measured.batching
    shown.print(f"{measured.precision}, arm {measured.identity[:12]}: {first}; {second}")
    table = Table("task", "score", "first run", "second run", "difference", "samples that differ")
    for task in measured.tasks:
        differing = round((1 - task.equal) * task.samples)
        table.add_row(task.task, "answer", "", "", "", f"{differing} of {task.samples}")
        if task.logprob is not None:
            table.add_row("", "log-probability", "", "", f"at most {task.logprob:.4f}", "")
        for name, (one, other) in task.scores.items():
            table.add_row(
                "",
                name,
                f"{one:.4f}",
                f"{other:.4f}",
                f"{other - one:+.4f}",
                str(task.changed[name]),
            )
    print_tables(table)
    if out is not None:
        out.write_text(json.dumps(measured.as_dict(), indent=2) + "\n", encoding="utf-8")
