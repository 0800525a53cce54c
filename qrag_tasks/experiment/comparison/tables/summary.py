"""A comparison in a page of Markdown, as GitHub shows it of a step: gates, arms, recovery."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.experiment.comparison.gates import Outcome
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.markdown import markdown
from qrag_tasks.experiment.comparison.tables.pooled import pooled_table
from qrag_tasks.experiment.comparison.tables.recovery import recovery_markdown
from qrag_tasks.wording import counted

_FIRST = 10
"""How many rows that failed a gate are named."""


def outcome_lines(outcome: Outcome) -> list[str]:
    """Return what became of a gate: a line, and one for each row that failed it."""
    failed, of = outcome.failed, counted(len(outcome.rows), "comparison")
    result = f"failed by {len(failed):,} of {of}" if failed else f"passed by {of}"
    untested = len(outcome.untested)
    note = f", of which {untested:,} could not be tested" if untested else ""
    lines = [f"fail if {outcome.gate.text}: {result}{note}"]
    lines += [f"{row.arms}, {row.where}: {row.text}" for row in failed[:_FIRST]]
    if len(failed) > _FIRST:
        lines.append(f"and {len(failed) - _FIRST:,} more")
    return lines


def summary(
    comparison: Comparison, outcomes: Sequence[Outcome], title: str, metrics: Sequence[str] = ()
) -> str:
    """Return the page: a list of gates, the rows over all cells, and the table of recovery.

    :param metrics: as for :func:`~qrag_tasks.experiment.comparison.tables.texts.records`.
    """
    parts = [f"## {_escaped(title)}\n"]
    gates = []
    for first, *rows in map(outcome_lines, outcomes):
        gates.append(f"- **{_escaped(first)}**\n" + "".join(f"  - {_escaped(r)}\n" for r in rows))
    parts += ["".join(gates)] if gates else []
    pooled = pooled_table(comparison)
    parts += [markdown(*pooled)] if pooled.rows else []
    recovery = recovery_markdown(comparison, metrics)
    parts += [recovery] if recovery else []
    if comparison.notes:
        parts.append("".join(f"- {_escaped(note)}\n" for note in comparison.notes))
    return "\n".join(parts)


def _escaped(text: str) -> str:
    for special in ("\\", "<", "*", "_", "`", "["):
        text = text.replace(special, f"\\{special}")
    return text
