"""What a row of a comparison shows, in words, and the metric by which a cell is shown."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.experiment.comparison.rows import AttributeRow, MetricRow, PooledRow, TrendRow

ALPHA = 0.05
WORSE, BETTER, DIFFERENT = "worse", "better", "different"
EQUIVALENT, UNDECIDED = "equivalent", "undecided"
TOO_FEW = "too few"
NOT_TESTED = "not tested"
WITHIN_NOISE = "within noise"
VERDICTS = (*(WORSE, BETTER, DIFFERENT, EQUIVALENT, WITHIN_NOISE, UNDECIDED, TOO_FEW, NOT_TESTED),)
"""Every word that a row's verdict may hold."""

HEADLINES = ("mae", "rougeL", "accuracy", "acc", "exact_match")
"""Metrics by which a cell is shown, where one of them is there: the first of them."""


def headline(metrics: Sequence[str]) -> str | None:
    """Return the metric by which a cell is shown; ``None`` where there is none."""
    return next((name for name in HEADLINES if name in metrics), next(iter(metrics), None))


def verdict(row: MetricRow, alpha: float = ALPHA) -> str:
    """Say in a word what a row shows.

    ``worse`` or ``better`` where the corrected p is below ``alpha``, and ``within noise`` instead
    where other batches alone would have made such a difference; ``equivalent`` where two
    one-sided tests place the difference within the margin; both where both hold, as a difference
    can be real and too small to matter. Otherwise ``too few`` where units, or units that differ,
    are too few for a test, ``not tested`` where the score is not known as a function of the
    samples' values, and ``undecided``.
    """
    if row.units is None:
        return NOT_TESTED
    return _verdict(row, row.difference, row.higher_is_better, alpha)


def pooled_verdict(row: PooledRow, alpha: float = ALPHA) -> str:
    """Say in a word what a row over all cells shows, as :func:`verdict`; its margin is 1."""
    return _verdict(row, row.effect, False, alpha)


def _verdict(
    row: MetricRow | PooledRow, change: float, higher_is_better: bool | None, alpha: float
) -> str:
    words = []
    if row.p_holm is not None and row.p_holm < alpha and change:
        is_noise = row.noise_floor is not None and abs(change) <= row.noise_floor
        words.append(WITHIN_NOISE if is_noise else _direction(change, higher_is_better))
    if row.equivalence_p is not None and row.equivalence_p < alpha:
        words.append(EQUIVALENT)
    if words:
        return ", ".join(words)
    return TOO_FEW if row.p is None else UNDECIDED


def trend_verdict(row: TrendRow, alpha: float = ALPHA) -> str:
    """Say in a word whether the other arm gets worse or better with more documents."""
    if row.p_holm is None:
        return TOO_FEW
    return _direction(row.slope, row.higher_is_better) if row.p_holm < alpha else UNDECIDED


def attribute_verdict(row: AttributeRow, alpha: float = ALPHA) -> str:
    """Say in a word whether the other arm gets worse or better as an attribute grows."""
    if row.p_holm is None or row.slope is None:
        return TOO_FEW
    return _direction(row.slope, row.higher_is_better) if row.p_holm < alpha else UNDECIDED


def interval_text(row: MetricRow | TrendRow | PooledRow, digits: int = 4) -> str:
    """Return a row's interval as text, or why there is none.

    ``within ±0.0123`` where so few units differ that only a bound of the difference is known.
    """
    if row.interval is not None:
        return f"[{row.interval.low:+.{digits}f}, {row.interval.high:+.{digits}f}]"
    bound = getattr(row, "bound", None)
    if bound is not None:
        return f"within ±{bound:.{digits}f}"
    if getattr(row, "units", 0) is None:
        return NOT_TESTED
    # Where nothing differs p is 1, and there is no interval unless the range of values is known.
    return TOO_FEW if row.p is None else UNDECIDED


def _direction(change: float, higher_is_better: bool | None) -> str:
    if higher_is_better is None:
        return DIFFERENT
    return BETTER if (change > 0) == higher_is_better else WORSE
