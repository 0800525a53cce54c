"""``qrag plan``: check the plan of a grid, and tell what it comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table as Drawn
from rich.text import Text

from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.cli.group import console, main, print_prose, read_size
from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.errors import PlanError, SettingsError, did_you_mean
from qrag_tasks.tasks.catalog import CATALOG

if TYPE_CHECKING:
    from qrag_tasks.experiment.plan import Arm, Plan
    from qrag_tasks.experiment.plan.estimates import Estimate
    from qrag_tasks.experiment.power.forecast import Forecast, ForecastRow

_UNKNOWN = "not known"
_SUMS = {
    "prompts": "prompts",
    "prompt_tokens": "prompt tokens, about",
    "answer_tokens": "answer tokens, at most",
}


@main.command()
@click.argument("file", metavar="FILE.yaml", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON with every cell instead.")
@click.option(
    "--disagreement",
    "shares",
    multiple=True,
    metavar="[TASK=]SHARE",
    help="Tell the smallest difference that will be shown if so many samples score otherwise.",
)
@click.option(
    "--measured",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The same, if arms differ as they do in this folder of `qrag run`.",
)
@click.option(
    "--effect",
    "effects",
    multiple=True,
    metavar="METRIC=SIZE",
    help="Tell how many samples it takes to show this difference, instead of the margin.",
)
def plan(
    file: Path,
    as_json: bool,
    shares: tuple[str, ...],
    measured: Path | None,
    effects: tuple[str, ...],
) -> None:
    """Check the plan FILE.yaml and print the grid that it describes.

    Its arms with the bytes of their weights, its cells, prompts and tokens, told before any model
    is loaded. Every mistake is told with its line and field, and makes exit code 1; so does what
    is not on this machine: data, a model's folder, a retriever's plugin.

    With --disagreement or --measured it tells what the grid will be able to show, too.
    """
    from qrag_tasks.experiment.plan import check_plan
    from qrag_tasks.experiment.plan.estimates import estimate

    checked = check_plan(file)
    plan = checked.plan
    if plan is None:
        raise PlanError("\n".join((*checked.mistakes, *checked.missing)))
    estimated = estimate(plan)
    told = _forecast(plan, estimated, shares, measured, effects)
    if as_json:
        click.echo(json.dumps(_as_json(plan, estimated, told), indent=2))
    else:
        _show(plan, estimated)
        _show_forecast(told)
    if checked.missing:
        raise PlanError("\n".join(checked.missing))


def _forecast(
    plan: Plan,
    estimated: Estimate,
    shares: tuple[str, ...],
    measured: Path | None,
    effects: tuple[str, ...],
) -> Forecast | None:
    """Return what the grid will be able to show; ``None`` where nothing was said of the arms."""
    from qrag_tasks.experiment.power.forecast import forecast
    from qrag_tasks.experiment.power.spreads import Measured, Stated

    sizes = dict(read_size("--effect", text, "mae=0.05") for text in effects)
    if shares and measured is not None:
        raise SettingsError("--disagreement and --measured: give one, as each tells the same")
    if not shares and measured is None:
        if effects:
            raise SettingsError(
                "--effect: how many samples it takes depends on how much the arms differ: say so "
                "by --disagreement 0.1, or name an earlier grid by --measured"
            )
        return None
    if measured is not None:
        return forecast(plan, estimated, Measured(measured), sizes)
    stated = dict(read_size("--disagreement", text, "lamp3u=0.1", "") for text in shares)
    for task, share in stated.items():
        if task and task not in plan.tasks:
            raise SettingsError(
                f"--disagreement {task}={share:g}: the plan has no such task (it has "
                f"{', '.join(plan.tasks)}).{did_you_mean(task, plan.tasks)}"
            )
        if share > 1:
            raise SettingsError(f"--disagreement {share:g}: a share of samples is at most 1")
    return forecast(plan, estimated, Stated(stated), sizes)


_FIGURES = (
    "Samples",
    "Scores that differ",
    "Smallest difference shown",
    "Effect",
    "Samples for it",
)


def _show_forecast(told: Forecast | None) -> None:
    if told is None:
        print_prose(
            "What it will be able to show depends on how much the arms differ: say how many scores "
            "will by --disagreement 0.1, or name an earlier grid by --measured."
        )
        return
    console().print()
    if told.rows:
        _show_rows(told)
    for note in told.notes:
        print_prose(note)


def _show_rows(told: Forecast) -> None:
    by_arm = any(row.arm for row in told.rows)
    title = "What it will be able to show, with a power of 0.8"
    table = Table("Task", "Metric", *(["Arm"] if by_arm else []), *_FIGURES, title=title)
    for row in told.rows:
        arm = [row.arm or "every arm"] if by_arm else []
        table.add_row(row.task or "all cells", _metric(row), *arm, *_figures(row))
    print_tables(table)
    tests = {row.metric: row.tests for row in told.rows}
    many = ", ".join(f"{count:,} of {metric}" for metric, count in tests.items())
    console().print()
    print_prose(
        f"Tests are corrected for their number as the first step of Holm's does: {many}. The "
        f"effect is the margin, or as given by --effect."
    )


def _metric(row: ForecastRow) -> str:
    return row.metric if row.task else "loss in margins"


def _figures(row: ForecastRow) -> tuple[str, ...]:
    return (
        _number(row.samples),
        "" if row.differing is None else f"{row.differing:.0%}",
        _smallest(row),
        "" if row.effect is None else f"{row.effect:g}",
        "" if row.needed is None else f"{row.needed:,}",
    )


def _smallest(row: ForecastRow) -> str:
    if row.smallest is None:
        return "too few differ" if row.too_few else _UNKNOWN
    return f"{row.smallest:.3g}"


def _show(found: Plan, estimated: Estimate) -> None:
    shown = console()
    shown.print(_choices(found))
    shown.print()
    print_tables(_dimensions(found), *_arms(found, estimated), _tasks(estimated))
    shown.print()
    for line in _sources(estimated):
        print_prose(line)


def _choices(plan: Plan) -> Drawn:
    facts = Drawn.grid(padding=(0, 2))
    said = {
        "plan": plan.name,
        **plan.choices(),
        "chat template": "yes" if plan.chat_template else "no",
        "system instruction": plan.system_instruction,
        "samples": "all of each task" if plan.limit is None else f"at most {plan.limit:,} a task",
        "seed": plan.seed,
        "margins": ", ".join(f"{name} {value:g}" for name, value in plan.margins.items()) or None,
    }
    for name, value in said.items():
        if value is not None:
            facts.add_row(Text(name, style="bold"), Text(str(value)))
    return facts


def _dimensions(plan: Plan) -> Table:
    cells = plan.cells()
    table = Table("", "values", f"of the {len(cells):,} cells")
    for name, values in {
        "models": [cell.arm.model for cell in cells],
        "precisions": [cell.arm.precision for cell in cells],
        **({"caches": [cell.arm.kv_cache for cell in cells]} if _has_caches(plan) else {}),
        "retrievers": [cell.retriever or "no documents" for cell in cells],
        "tasks": [cell.task for cell in cells],
        "k": [cell.k for cell in cells],
        "orders": [cell.order or "one document or none" for cell in cells],
    }.items():
        for value in dict.fromkeys(values):
            table.add_row(name, value, f"{values.count(value):,}")
            name = ""
        table.add_break()
    return table


def _has_caches(plan: Plan) -> bool:
    return any(arm.kv_cache != AUTO for arm in plan.arms())


def _arms(plan: Plan, estimated: Estimate) -> Iterator[Table]:
    """Yield a table a model, and one of the sums."""
    headings = ("precision", "weights, MB, about", "cells", *_SUMS.values())
    for model in plan.models:
        base = plan.base_arm(model)
        whole = estimated.weights[base.name].total
        title = f"{model.name}, compared with {base.called}"
        table = Table(*headings, "engine, evidence", title=title)
        for arm in plan.arms():
            if arm.model == model.name:
                table.add_row(
                    arm.called,
                    _size(estimated.weights[arm.name].total, whole, arm == base),
                    f"{sum(row.cell.arm == arm for row in estimated.cells):,}",
                    *(_number(estimated.total(what, arm)) for what in _SUMS),
                    ", ".join(_engine(arm).values()),
                )
        yield table
    sums = Table(*headings, title="All arms")
    sums.add_row(
        "all", "", f"{len(estimated.cells):,}", *(_number(estimated.total(w)) for w in _SUMS)
    )
    yield sums


def _engine(arm: Arm) -> dict[str, str]:
    from qrag_tasks.arms.engine_choice import abilities_of, engine_name

    abilities = abilities_of(arm.arguments)
    evidence = {} if abilities is None else {"evidence": abilities.evidence}
    return {"name": engine_name("qrag", arm.arguments), **evidence}


def _size(taken: int | None, whole: int | None, is_base: bool) -> str:
    if taken is None:
        return _UNKNOWN
    share = "" if whole is None or is_base else f" (x{taken / whole:.2f})"
    return f"{taken / 1e6:,.1f}{share}"


def _tasks(estimated: Estimate) -> Table:
    table = Table("task", "cells", "prompts a cell", "tokens a prompt, about")
    names = {row.cell.task_name for row in estimated.cells}
    for name in sorted(names, key=list(CATALOG).index):
        rows = [row for row in estimated.cells if row.cell.task_name == name]
        means = [
            row.prompt_tokens / row.prompts
            for row in rows
            if row.prompts and row.prompt_tokens is not None
        ]
        low, high = (f"{end(means):,.0f}" if means else _UNKNOWN for end in (min, max))
        # By retriever and by model.
        span = low if low == high else f"{low} to {high}"
        table.add_row(name, f"{len(rows):,}", _number(rows[0].prompts), span)
    return table


def _sources(estimated: Estimate) -> list[str]:
    """Say which numbers are estimates, and what from."""
    lines = ["Prompts are counted; all else is estimated before anything is loaded."]
    lines += [f"Prompt tokens: {source}" for source in estimated.token_sources]
    lines += [f"Weights: {source}" for source in dict.fromkeys(_weight_sources(estimated))]
    return [*lines, *(f"Note: {note}" for note in estimated.notes)]


def _weight_sources(estimated: Estimate) -> list[str]:
    return [found.source for found in estimated.weights.values()]


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _as_json(plan: Plan, estimated: Estimate, told: Forecast | None) -> dict[str, Any]:
    return {
        "plan": plan.model_dump(mode="json"),
        "fingerprint": plan.fingerprint(),
        "arms": [
            {
                "name": arm.name,
                "base": plan.base_arm(model).called,
                "arguments": dict(arm.arguments),
                "engine": _engine(arm),
                "weight_bytes": estimated.weights[arm.name].total,
                "weight_bytes_from": estimated.weights[arm.name].source,
            }
            for model in plan.models
            for arm in plan.arms()
            if arm.model == model.name
        ],
        "cells": [
            {
                "folder": row.cell.folder,
                "arm": row.cell.arm.name,
                "task": row.cell.task_name,
                "retriever": row.cell.retriever,
                "order": row.cell.order,
                **{what: getattr(row, what) for what in _SUMS},
            }
            for row in estimated.cells
        ],
        "totals": {what: estimated.total(what) for what in _SUMS},
        "prompt_tokens_from": list(estimated.token_sources),
        "notes": list(estimated.notes),
        "power": None if told is None else asdict(told),
    }
