"""``qrag precisions``: which precisions this machine can run now, and what the others need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.tables import Table, print_tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qrag_tasks.engines.ways import Machine, Way


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead.")
def precisions(as_json: bool) -> None:
    """List the precisions of arms: what runs here now, by which engine, and what others need.

    Bits a weight are those of a matrix of 4096 x 4096, scales and zeros included. What is made
    beforehand is read from a checkpoint; `qrag quantize` makes some.
    """
    from qrag_tasks.engines.ways import Machine, ways

    machine = Machine()
    listed = list(ways())
    if as_json:
        records = [_record(way, machine) for way in listed]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
    else:
        _print(listed, machine)


def _record(way: Way, machine: Machine) -> dict[str, Any]:
    lacks = machine.lacks(way)
    return {
        "precision": way.row.name,
        "summary": way.row.summary,
        "bits": way.row.bits,
        "bits_per_weight": way.bits,
        "made": list(way.made),
        "engine": way.engine,
        "evidence": way.abilities.evidence,
        "devices": list(way.support.devices),
        "runs_here_on": list(machine.runs_on(way)),
        "lacks": [lack.what for lack in lacks],
        "install": [lack.remedy for lack in lacks if lack.remedy],
    }


def _print(listed: Iterable[Way], machine: Machine) -> None:
    by_name: dict[str, list[Way]] = {}
    for way in listed:
        by_name.setdefault(way.row.name, []).append(way)
    remedies: dict[str, int] = {}
    table = Table("precision", "bits", "made", "runs here by", "others need")
    runs = 0
    for name, its_ways in by_name.items():
        here, needed = [], []
        for way in its_ways:
            lacks = machine.lacks(way)
            if not lacks:
                here.append(way.engine + _on(way, machine))
                continue
            for lack in lacks:
                if lack.remedy:
                    remedies.setdefault(lack.remedy, len(remedies) + 1)
            words = [str(remedies.get(lack.remedy, lack.what)) for lack in lacks]
            needed.append(f"{way.engine}: {', '.join(words)}")
        runs += bool(here)
        bits, made = its_ways[0].bits, its_ways[0].made
        table.add_row(
            name,
            "" if bits is None else f"{bits:.2f}",
            next(iter(made), ""),
            Text(", ".join(here), "green"),
            "; ".join(needed),
        )
    print_tables(table)
    click.echo()
    for remedy, number in remedies.items():
        click.echo(f"{number}  {remedy}")
    devices = " and ".join("a GPU" if one == "cuda" else "a CPU" for one in sorted(machine.devices))
    console().print(Text(f"{runs} of {len(by_name)} precisions run here, on {devices}."))


def _on(way: Way, machine: Machine) -> str:
    """Say on which device, where there are two and the way takes one."""
    used = machine.runs_on(way)
    return "" if set(used) == set(machine.devices) else f" ({' '.join(used)})"
