"""What readings say, as texts in tables and as numbers in files."""

from __future__ import annotations

from typing import Any

from qrag_tasks.experiment.comparison.fidelity_rows import AnswersRead, FidelityTrendRow
from qrag_tasks.experiment.comparison.rows import CellRow
from qrag_tasks.experiment.comparison.verdicts import ALPHA, TOO_FEW, UNDECIDED
from qrag_tasks.experiment.plan.planned_fidelity import KINDS

KL, SAME_TOP, NEEDED = "KL", "Same top", "n for KL / score"
COLUMNS = (KL, SAME_TOP, NEEDED)
"""Of the base's own answers; of cells that were read."""
ANSWERS = {"own": "the base's own answers", "gold": "the right answers"}


_DIRECTION = {
    "changed": "changed",
    "changed_better": "better",
    "changed_worse": "worse",
    "samples_needed": "samples_needed",
}
"""Name in a flat record -> field of a direction."""


def texts(cell: CellRow, metric: str | None) -> dict[str, str]:
    """Return :data:`COLUMNS` of a cell; nothing where the base's own answers were not read.

    :param metric: the one beside which they stand.
    """
    own = None if cell.fidelity is None else cell.fidelity.own
    if own is None or cell.fidelity is None:
        return {}
    interval = own.kl.interval
    reach = "" if interval is None else f" ±{kl_text((interval.high - interval.low) / 2)}"
    of_score = next(
        (each.samples_needed for each in cell.fidelity.directions if each.metric == metric), None
    )
    needed = " / ".join(map(_count, (own.samples_needed, of_score)))
    return {
        KL: f"{kl_text(own.kl.value)}{reach}",
        SAME_TOP: f"{own.same_top.value:.1%}",
        NEEDED: needed,
    }


def kl_text(value: float) -> str:
    """Return a KL in nats with four decimals, or two digits where these would say little."""
    return f"{value:.4f}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def _count(samples: float | None) -> str:
    """Return an order of magnitude: two digits are more than is known."""
    return "?" if samples is None else f"{max(float(f'{samples:.2g}'), 1):,.0f}"


def trend_verdict(row: FidelityTrendRow) -> str:
    """Say in a word whether KL rises or falls with more documents."""
    if row.p_holm is None:
        return TOO_FEW
    if row.p_holm >= ALPHA:
        return UNDECIDED
    return "rises" if row.slope > 0 else "falls"


def numbers(cell: CellRow, metric: str | None) -> dict[str, Any]:
    """Return all that readings say of a cell as numbers, flat; ``None`` for what was not read.

    :param metric: the one whose record they stand in.
    """
    row = cell.fidelity
    flat: dict[str, Any] = {}
    for kind in KINDS:
        read = None if row is None else getattr(row, kind)
        flat |= {f"{kind}_{name}": value for name, value in _numbers(read)}
    direction = next((d for d in (row.directions if row else ()) if d.metric == metric), None)
    for name, field in _DIRECTION.items():
        flat[name] = None if direction is None else getattr(direction, field)
    return flat


def _numbers(read: AnswersRead | None) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name in ("kl", "same_top", "given", "perplexity_ratio"):
        mean = None if read is None else getattr(read, name)
        interval = None if mean is None else mean.interval
        rows += [
            (name, None if mean is None else mean.value),
            (f"{name}_low", None if interval is None else interval.low),
            (f"{name}_high", None if interval is None else interval.high),
        ]
    plain = ("samples", "places", "kl_short", "given_rms", "samples_needed")
    return rows + [(name, None if read is None else getattr(read, name)) for name in plain]
