"""A comparison as records with numbers as numbers: nested for JSON, flat for CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow, PooledRow
from qrag_tasks.experiment.comparison.tables import by_attribute, fidelity_texts
from qrag_tasks.experiment.comparison.verdicts import trend_verdict, verdict


def nested(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON has it, with each row's verdict in a word."""
    record = asdict(comparison)
    for cell, cell_record in zip(comparison.cells, record["cells"], strict=True):
        for row, row_record in zip(cell.metrics, cell_record["metrics"], strict=True):
            row_record["verdict"] = verdict(row)
    for trend, trend_record in zip(comparison.trends, record["trends"], strict=True):
        trend_record["verdict"] = trend_verdict(trend)
    of_kl = zip(comparison.fidelity_trends, record["fidelity_trends"], strict=True)
    for line, line_record in of_kl:
        line_record["verdict"] = fidelity_texts.trend_verdict(line)
    by_attribute.with_verdicts(comparison, record["attributes"])
    return record


def flat(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a flat record per cell and metric, with numbers as numbers, for CSV and Parquet."""
    records = []
    for cell in comparison.cells:
        rows: Sequence[MetricRow | None] = cell.metrics or [None]
        records += [_record(cell, row) for row in rows]
    return records


def flat_pooled(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a flat record per row over all cells, named as in JSON, for CSV and Parquet."""
    return [_pooled_record(row) for row in comparison.pooled]


def _pooled_record(row: PooledRow) -> dict[str, Any]:
    record = asdict(row) | {"metrics": ", ".join(row.metrics)}
    for name, prefix in (("interval", ""), ("recovery_interval", "recovery_")):
        interval = record.pop(name) or {}
        record |= {f"{prefix}{end}": interval.get(end) for end in ("low", "high")}
    return record


def _record(cell: CellRow, row: MetricRow | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        **cell.names,
        "protocol": cell.facts.get("protocol"),
        "kept": cell.kept,
        "model": cell.other.model,
        "base_model": cell.base.model,
        "arm": cell.other.arm,
        "base_arm": cell.base.arm,
        "base_precision": cell.base.precision,
        "precision": cell.other.precision,
        "base_kv_cache": cell.base.kv_cache,
        "kv_cache": cell.other.kv_cache,
        "base_cache_bytes_per_token": cell.base.cache_bytes_per_token,
        "cache_bytes_per_token": cell.other.cache_bytes_per_token,
        "prompt_tokens": cell.other.prompt_tokens,
        "samples": cell.samples,
        "users": cell.users,
        "same_text": cell.agreement.same_text,
        "same_answer": cell.agreement.same_answer,
        "overlap": cell.agreement.overlap,
        "divergence": cell.agreement.divergence,
        "base_valid_rate": cell.base.valid_rate,
        "valid_rate": cell.other.valid_rate,
        "base_runaway_rate": cell.base.runaway_rate,
        "runaway_rate": cell.other.runaway_rate,
        "base_unfinished_thought_rate": cell.base.unfinished_thought_rate,
        "unfinished_thought_rate": cell.other.unfinished_thought_rate,
        "engine": cell.other.engine,
        "evidence": cell.other.evidence,
        "method": cell.other.weights.method,
        "base_bits": cell.base.weights.bits,
        "bits": cell.other.weights.bits,
        "base_model_bits": cell.base.weights.model_bits,
        "model_bits": cell.other.weights.model_bits,
        "batch_noise": cell.batch_noise,
        **{f"{name}_ratio": cell.cost.get(name) for name in _COSTS},
        **dict.fromkeys(_METRIC_FIELDS),
        **dict.fromkeys(("low", "high", "verdict", "better", "worse")),
        **fidelity_texts.numbers(cell, None if row is None else row.metric),
    }
    if row is not None:
        record |= {name: getattr(row, name) for name in _METRIC_FIELDS}
        record["verdict"] = verdict(row)
        if row.interval is not None:
            record |= {"low": row.interval.low, "high": row.interval.high}
        if row.flips is not None:
            record |= {"better": row.flips.better, "worse": row.flips.worse}
    return record


_COSTS = (
    *("weight_bytes", "peak_device_bytes", "peak_rss_bytes", "run_seconds"),
    *("prefill_tokens_per_second", "decode_tokens_per_second", "energy_joules"),
)
_METRIC_FIELDS = (
    *("metric", "higher_is_better", "units", "differing", "base", "other", "difference", "bound"),
    *("p", "p_holm", "smallest_p", "margin", "equivalence_p", "smallest_effect", "recovery"),
    *("mcnemar_p", "mcnemar_mid_p", "noise_floor"),
)


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return flat records as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def write_parquet(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write flat records as Parquet.

    :raises StoreError: when the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(r) for r in records]), path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
