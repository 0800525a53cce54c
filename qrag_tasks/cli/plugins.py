"""``qrag plugins`` and ``qrag plugins check``: what is installed, and does it keep its contract?"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.errors import SettingsError


@main.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the plugins that are installed, and what each supplies."""
    from qrag_tasks import registry as installed

    if context.invoked_subcommand:
        return
    table = Table("plugin", "distribution", "version", "kind", "supplies", "state")
    for plugin in installed.plugins():
        state = f"{plugin.state}: {plugin.cause}" if plugin.cause else plugin.state
        about = (plugin.name, plugin.origin.distribution, plugin.origin.version)
        supplied = [
            (registry.kind, ", ".join(registry.of(plugin)))
            for registry in installed.REGISTRIES
            if registry.hook in plugin.hooks
        ]
        for kind, names in supplied or [("", "")]:
            table.add_row(*about, kind, names, state)
            about, state = ("", "", ""), ""
    print_tables(table)
    conflicts = installed.conflicts()
    for conflict in conflicts:
        console().print(Text(conflict, "bold red"))
    if conflicts:
        sys.exit(1)


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
