"""Options of ``qrag compare`` that gate a release: when it fails, and what is written of that."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from qrag_tasks.cli.group import console
from qrag_tasks.cli.outputs import OutFile, write_text
from qrag_tasks.errors import SettingsError

if TYPE_CHECKING:
    from qrag_tasks.experiment.comparison.gates import Gate, Outcome
    from qrag_tasks.experiment.comparison.rows import Comparison

FAILED = 3
"""Exit code where a condition of ``--fail-if`` holds."""

_OPTIONS = (
    click.option(
        "--fail-if",
        "conditions",
        multiple=True,
        metavar="CONDITION",
        help="Exit with code 3 where it holds, as in 'worse', 'pooled: not equivalent' or "
        "'pooled: recovery < 0.98'; may be given often.",
    ),
    click.option("--junit", type=OutFile(".xml"), help="Write what --fail-if found as JUnit XML."),
    click.option("--card", type=OutFile(".md"), help="Write scores and recovery for a model card."),
    click.option(
        "--summary",
        type=OutFile(),
        help="Write a summary in Markdown; to $GITHUB_STEP_SUMMARY it is appended.",
    ),
)


def gating(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_gates(choices: Mapping[str, Any]) -> list[Gate]:
    """Return the conditions that were given.

    :raises SettingsError: for one that cannot be read, and for ``--junit`` without any.
    """
    from qrag_tasks.experiment.comparison.gates import Gate

    gates = [Gate.read(text) for text in choices["conditions"]]
    if choices["junit"] and not gates:
        raise SettingsError("--junit writes what --fail-if found: say by it when a row fails")
    return gates


@dataclass(frozen=True)
class _Judged:
    """What is written about a comparison."""

    comparison: Comparison
    outcomes: Sequence[Outcome]
    title: str
    metrics: tuple[str, ...]


def judged(
    gates: Sequence[Gate],
    comparison: Comparison,
    title: str,
    metrics: tuple[str, ...],
    choices: Mapping[str, Any],
) -> bool:
    """Ask the gates, write the files that were named, print the outcomes.

    :returns: whether a gate failed.
    :raises SettingsError: for a gate that is for no row.
    :raises StoreError: when a file cannot be written.
    """
    from qrag_tasks.experiment.comparison.gated_rows import gated_rows
    from qrag_tasks.experiment.comparison.gates import judge

    outcomes = judge(gates, gated_rows(comparison, metrics))
    result = _Judged(comparison, outcomes, title, metrics)
    for name, write in _WRITERS.items():
        if choices[name] is not None:
            write(choices[name], result)
    for outcome in outcomes:
        _show(outcome)
    return any(outcome.failed for outcome in outcomes)


def _show(outcome: Outcome) -> None:
    from qrag_tasks.experiment.comparison.tables.summary import outcome_lines

    first, *rows = outcome_lines(outcome)
    console().print()
    console().print(Text(first, "bold"), soft_wrap=True)
    for row in rows:
        console().print(Text(f"  {row}"), soft_wrap=True)


def _write_junit(path: Path, result: _Judged) -> None:
    from qrag_tasks.experiment.comparison.tables.junit import junit

    write_text(path, junit(result.outcomes, result.title))


def _write_card(path: Path, result: _Judged) -> None:
    from qrag_tasks.experiment.comparison.tables.recovery import recovery_markdown

    text = recovery_markdown(result.comparison, result.metrics)
    if not text:
        raise SettingsError(f"--card {path}: there are no scores, and so no recovery")
    write_text(path, text)


def _write_summary(path: Path, result: _Judged) -> None:
    from qrag_tasks.experiment.comparison.tables.summary import summary

    text = summary(result.comparison, result.outcomes, result.title, result.metrics)
    # What earlier commands of the same step said stays.
    of_step = os.environ.get("GITHUB_STEP_SUMMARY")
    appended = bool(of_step) and path.absolute() == Path(of_step or "").absolute()
    write_text(path, text, "a" if appended else "w")


_WRITERS: Mapping[str, Callable[[Path, _Judged], None]] = {
    "junit": _write_junit,
    "card": _write_card,
    "summary": _write_summary,
}
