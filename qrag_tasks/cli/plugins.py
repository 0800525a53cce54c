"""``qrag plugins`` and ``qrag plugins check``: what is installed, and does it keep its contract?"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.errors import SettingsError


@main.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_context
def plugins(context: click.Context, as_json: bool) -> None:
    """List the plugins that are installed, and what each supplies.

    Of those that are not built in, also which versions of qrag-tasks each was built for, as its
    package says, and what follows for its hooks.
    """
    if context.invoked_subcommand:
        if as_json:
            raise SettingsError(
                f"--json: leave it out of qrag plugins {context.invoked_subcommand}"
            )
        return
    from qrag_tasks import registry
    from qrag_tasks.cli.plugin_list import as_record, print_list

    if as_json:
        click.echo(json.dumps(as_record(), indent=2, ensure_ascii=False))
    else:
        print_list()
    if conflicts := registry.conflicts():
        for conflict in () if as_json else conflicts:
            console().print(Text(conflict, "bold red"))
        sys.exit(1)


@plugins.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--kind",
    type=click.Choice(["retriever", "task", "format", "engine"]),
    required=True,
    help="What the plugin brings.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder of the package; qrag-NAME by default.",
)
def new(name: str, kind: str, out: Path | None) -> None:
    """Write a plugin that brings NAME, as a package that works and keeps its contract.

    With its tests and a tox matrix of Pythons, of the lowest and newest qrag-tasks and lm_eval. Put
    your code in the place of the example's. CONTRIBUTING.md has the walks.
    """
    from qrag_tasks.scaffolding import new_plugin

    folder = new_plugin(name, kind, out)
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        click.echo(f"written: {path}")
    click.echo(f"Run next:\ncd {shlex.quote(str(folder))}")
    click.echo("python -m pip install -e '.[testing]'\npython -m pytest")


@plugins.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--expect-failure",
    "expected",
    multiple=True,
    metavar="CHECK",
    help="A check that cannot hold for this one; may be given several times.",
)
@click.option(
    "--model_args",
    "--model-args",
    "model_args",
    default="",
    help="For an engine: what to load, as for lm_eval --model qrag. A small model in fp32 is best.",
)
def check(name: str, expected: tuple[str, ...], model_args: str) -> None:
    """Hold a retriever, NAME or NAME:option=value,..., a format or an engine to its contract.

    Or a task, NAME or NAME:DATA, with data as for lm_eval. The exit code is 1 if it fails.
    """
    out = console()
    marks = {
        "passed": Text("passed", "green"),
        "expected": Text("expected", "yellow"),
        "skipped": Text("skipped", "yellow"),
        "failed": Text("FAILED", "bold red"),
    }
    states = []
    for checked, state, message in _outcomes(name, expected, model_args):
        states.append(state)
        line = Text.assemble(marks[state], " ", checked)
        if state != "passed":
            line.append(f": {message}")
        out.print(line, soft_wrap=True)
    failed = states.count("failed")
    out.print(f"{name}: {len(states)} checks, {failed} failed")
    if failed:
        sys.exit(1)


def _outcomes(
    name: str, expected: tuple[str, ...], model_args: str
) -> Iterator[tuple[str, str, str]]:
    """Yield of each check its name, what came of it, and why."""
    from qrag_tasks.registry import ENGINES

    if name in ENGINES.all():
        from qrag_tasks.arms.engine_choice import check_model
        from qrag_tasks.harness.evaluation import model_arguments
        from qrag_tasks.testing.engine_checks import run_engine_checks

        arguments = model_arguments(model_args)
        check_model("qrag", {**arguments, "engine": name})
        for each in run_engine_checks(name, arguments, expected):
            yield each.name, each.state, each.message
        return
    if model_args:
        raise SettingsError(f"--model_args {model_args}: {name} is not an engine; leave it out")
    from qrag_tasks.testing import run_checks

    for outcome in run_checks(name, dict.fromkeys(expected, "named in --expect-failure")):
        yield outcome.check.name, outcome.state, outcome.message
