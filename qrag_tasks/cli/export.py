"""``qrag export``: what a run answered, in the files of others."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.outputs import OutFileOrFolder
from qrag_tasks.errors import SettingsError


@main.group()
def export() -> None:
    """Write what a run answered in the form that other tools read."""


@export.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    metavar="FILE.json|FOLDER",
    default=".",
    type=OutFileOrFolder(".json"),
    help="Where to write; several logs need a folder.  [default: the current folder]",
)
@click.option(
    "--cleaned",
    is_flag=True,
    help="The answers as the cleaned scores read them. Default: the model's text as it is.",
)
def predictions(logs: tuple[Path, ...], out: Path, cleaned: bool) -> None:
    """Write LaMP's answer json, which the official evaluator and the leaderboard take.

    LOG is a sample log of lm_eval (--log_samples), or a folder that --output_path named: then
    every log in it, of every run, gets a file of its own, predictions_TASK_TIME.json.
    """
    from qrag_tasks.logs.predictions import lamp_logs, read_predictions
    from qrag_tasks.wording import counted

    ours, others = lamp_logs(logs)
    one_file = out.suffix == ".json" and not out.is_dir()
    if one_file and len(ours) > 1:
        raise SettingsError(
            f"--out {out} is one file, for {len(ours)} logs: "
            f"{', '.join(log.path.name for log in ours)}. Name a folder, or one log."
        )
    targets: dict[Path, Path] = {}
    exports = []
    for answered in (read_predictions(log, cleaned) for log in ours):
        path = out if one_file else out / answered.file_name
        if path in targets:
            raise SettingsError(
                f"{targets[path]} and {answered.log.path} would both be written to {path}. Export "
                f"them one by one."
            )
        targets[path] = answered.log.path
        exports.append((path, answered))
    terminal, warn = console(), console(stderr=True)
    for path, answered in exports:
        answered.write(path)
        name, by = answered.log.task, f" by {answered.model}" if answered.model else ""
        line = f"{path}: {counted(len(answered.answers), 'answer')} to {name}{by}"
        terminal.print(Text(line), soft_wrap=True)
        for warning in answered.warnings:
            warn.print(Text(f"{name}: {warning}", "yellow"), soft_wrap=True)
    for log in others:
        warn.print(Text(f"{log.path.name}: not a LaMP task of ours; left out", "yellow"))
