"""``qrag doctor``: whether the main job can run here, and what to run next."""

from __future__ import annotations

import sys

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.tables import Table, print_tables


@main.command()
@click.option("--names", is_flag=True, help="List what is replaced or read in other projects.")
def doctor(names: bool) -> None:
    """Tell whether the main job can run here, and what to run next; exit code 1 where it cannot."""
    from qrag_tasks.cli.diagnosis import examine, next_command

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
    from qrag_tasks.harness.autoload import STEPPED_ASIDE
    from qrag_tasks.upstream.inner_names import GUARDS
    from qrag_tasks.upstream.name_checks import look

    table = Table("name", "what is done", "state", "for what", "where it is not there", "lost then")
    states = {True: "there", False: "NOT THERE", None: "not looked for"}
    for each in look(STEPPED_ASIDE):
        row = each.row
        state = f"{states[each.there]} ({each.cause})" if each.cause else states[each.there]
        table.add_row(row.name, row.use, state, row.reason, row.guard, row.lost)
    print_tables(table)
    click.echo()
    for guard, words in GUARDS.items():
        click.echo(f"{guard}: {words}")
