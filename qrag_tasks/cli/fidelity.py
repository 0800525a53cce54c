"""``qrag fidelity``: how near every arm's distributions are to its base's, token by token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main, print_prose
from qrag_tasks.cli.outputs import OutFile
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.errors import ModelError

if TYPE_CHECKING:
    from qrag_tasks.experiment.fidelity.figures import Mean
    from qrag_tasks.experiment.fidelity.summary import CellFidelity, FidelityTrend

_OF = {"own": "along the base's own answers", "gold": "along the right answers"}


@main.command()
@click.argument("grid", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option(
    "--top",
    type=click.IntRange(min=1, max=127),
    help="Tokens of each distribution that are kept.  [default: the plan's, else 64]",
)
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="NAME",
    help="Have this arm read, and its base where it has not; may be given often. Default: all.",
)
@click.option("--shard", metavar="I/N", help="Read the I-th of N parts, as in 2/4.")
@click.option("--out", type=OutFile(".json"), help="Write it as JSON, too.")
def fidelity(
    grid: Path, top: int | None, arms: tuple[str, ...], shard: str | None, out: Path | None
) -> None:
    """Have every arm of GRID, a folder of `qrag run`, read its base arm's answers.

    Each arm reads the base arm's own answers and the right ones, token by token, on the prompts of
    the cell. KL is the Kullback-Leibler divergence of the base from the arm, in nats a token.
    What was read once is not read again, and then no model is loaded. Several processes may share
    a grid, on a GPU each, by --shard or --arm.
    """
    from qrag_tasks.experiment.fidelity.run import read_grid, readings_of
    from qrag_tasks.experiment.fidelity.summary import summarize
    from qrag_tasks.experiment.running.shards import Shard

    part = None if shard is None else Shard.parse(shard)
    failed = None
    try:
        read_grid(grid, top, arms, part, lambda text: console(stderr=True).print(Text(text)))
    except ModelError as error:
        failed = error  # What is read is shown all the same.
    cells, trends = summarize(readings_of(grid, top))
    if out is not None:
        body = {
            "cells": [cell.as_dict() for cell in cells],
            "trends": [each.as_dict() for each in trends],
        }
        out.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    if cells or failed is None:
        _print(cells, trends)
    if failed is not None:
        raise failed


def _print(cells: list[CellFidelity], trends: list[FidelityTrend]) -> None:
    from qrag_tasks.experiment.comparison.tables.fidelity_texts import kl_text

    tables: dict[tuple[str, str, str], Table] = {}
    for cell in cells:
        arm, figures = cell.cell.arm, cell.figures
        named = (arm.name, cell.base, cell.kind)
        if named not in tables:
            tables[named] = Table(
                *("task", "k", "retriever", "n", "KL", "95 %", "same top", "Δp", "ppl ratio"),
                title=f"{arm.name} against {cell.base.partition('/')[2]}, {_OF[cell.kind]}",
            )
        tables[named].add_row(
            cell.cell.task,
            cell.cell.k,
            cell.cell.retriever or "none",
            str(figures.samples),
            kl_text(figures.kl.value),
            _interval(figures.kl),
            f"{figures.same.value:.1%}",
            f"{figures.given.value:+.4f}",
            f"{figures.perplexity_ratio.value:.3f}",
        )
    print_tables(*tables.values())
    console().print()
    for each in trends:
        where = f"{each.arm}, {each.task}, {each.retriever}, {_OF[each.kind]}"
        slope = each.trend
        if slope.interval is None or each.p_holm is None:
            print_prose(f"{where}: too few users differ to say whether KL changes with k")
            continue
        low, high = slope.interval.low, slope.interval.high
        print_prose(
            f"{where}: KL changes by {slope.slope:+.5f} [{low:+.5f}, {high:+.5f}] with a document "
            f"more (k {', '.join(each.k)}; {each.samples} samples; p {each.p_holm:.3g}, by Holm)"
        )
    print_prose(
        "KL takes the tokens that were not kept as one, so that it is never above the true one"
        + _short_by(cells)
        + ". Intervals are by users; Δp is the change in the probability of the answer's token."
    )
    if itself := [cell.base_itself for cell in cells if cell.kind == "own"]:
        print_prose(
            f"Of the tokens of the base's own answers, {min(itself):.1%} or more are its likeliest "
            f"when it reads them; other batches account for the rest, and answers that are encoded "
            f"otherwise than they were generated."
        )


def _short_by(cells: list[CellFidelity]) -> str:
    known = [cell.figures.kl_short for cell in cells if cell.figures.kl_short is not None]
    if not known or len(known) < len(cells):
        return ""
    return f", and in the mean of no cell below it by more than {max(known):.4f}"


def _interval(mean: Mean) -> str:
    from qrag_tasks.experiment.comparison.tables.fidelity_texts import kl_text

    if mean.interval is None:
        return "too few"
    low, high = max(mean.interval.low, 0), mean.interval.high
    return f"[{kl_text(low)}, {kl_text(high)}]"
