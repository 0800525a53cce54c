"""What a row of a comparison shows, in a word, and the metric by which a cell is shown."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.experiment.comparison.rows import MetricRow


def verdict(row: MetricRow, alpha: float = 0.05) -> str:
    """Say in a word what a row shows.

    ``worse`` or ``better`` where the corrected p is below ``alpha``; ``equivalent`` where two
    one-sided tests place the difference within the margin; both where both hold, as a difference
    can be real and too small to matter; else ``undecided``.
    """
    found = []
    if row.p_holm is not None and row.p_holm < alpha and row.difference:
        if row.higher_is_better is None:
            found.append("different")
        else:
            found.append("better" if (row.difference > 0) == row.higher_is_better else "worse")
    if row.equivalence_p is not None and row.equivalence_p < alpha:
        found.append("equivalent")
    if not found:
        return "" if row.p is None else "undecided"
    return ", ".join(found)


HEADLINES = ("mae", "rougeL", "accuracy", "acc", "exact_match")
"""Metrics by which a cell is shown, where one of them is there: the first of them."""


def headline(metrics: Sequence[str]) -> str | None:
    """Return the metric by which a cell is shown; ``None`` where there is none."""
    return next((name for name in HEADLINES if name in metrics), next(iter(metrics), None))
