"""``qrag plugins`` and ``qrag plugins check``: what is installed, and does it keep its contract?"""

from __future__ import annotations

import sys

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.tables import Table, print_tables


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
def check(name: str, expected: tuple[str, ...]) -> None:
    """Hold a retriever, NAME or NAME:option=value,..., or a format of weights to its contract.

    The exit code is 1 if it fails.
    """
    from qrag_tasks.testing import run_checks

    out = console()
    marks = {
        "passed": Text("passed", "green"),
        "expected": Text("expected", "yellow"),
        "skipped": Text("skipped", "yellow"),
        "failed": Text("FAILED", "bold red"),
    }
    states = []
    for outcome in run_checks(name, dict.fromkeys(expected, "named in --expect-failure")):
        states.append(outcome.state)
        line = Text.assemble(marks[outcome.state], " ", outcome.check.name)
        if outcome.state != "passed":
            line.append(f": {outcome.message}")
        out.print(line, soft_wrap=True)
    failed = states.count("failed")
    out.print(f"{name}: {len(states)} checks, {failed} failed")
    if failed:
        sys.exit(1)
