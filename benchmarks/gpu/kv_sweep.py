"""At equal memory, more documents or more bits? Scores and bytes of keys and values, k by cache.

A grid by vLLM over all samples, and one by transformers over a few, as its caches of 4 and 2 bits
are slower; each is compared with its own engine's plain cache::

    python benchmarks/gpu/kv_sweep.py MODEL --data FOLDER --work FOLDER --out FOLDER

Grids go on where they were stopped: the same command again makes what is left. What does not fit
``--seconds`` is left out, and is named. On a CPU: ``--device cpu --limit 4 --few 4``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.experiment.comparison.grids import compare_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import ArmFacts, CellRow, Comparison, MetricRow
from qrag_tasks.experiment.report.answer import headline_row
from qrag_tasks.experiment.report.figures import save_figures

HEAD = ("engine", "task", "k", "cache", "samples", "KB a prompt", "score", "difference", "95 %")


@dataclass(frozen=True)
class Sweep:
    """One engine's grid.

    :ivar caches: of one call of ``qrag run`` each, the first the base; later calls add to it.
    """

    engine: str
    args: dict[str, Any]
    caches: Sequence[Sequence[str]]
    limit: int | None


def main() -> None:
    """Run what fits, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the grids")
    parser.add_argument("--out", type=Path, required=True, help="folder of table and figures")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--k", default="1,5,10,max4k")
    parser.add_argument("--limit", type=int, help="samples of each task by vLLM; all by default")
    parser.add_argument("--few", type=int, default=96, help="the same by transformers")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--vllm", default="auto,fp8;int8;turboquant_4bit_nc")
    parser.add_argument("--transformers", default="auto,int4,int2;int8")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    sweeps = [
        Sweep(engine, args, [names.split(",") for names in calls.split(";")], limit)
        for engine, args, calls, limit in (
            ("vllm", {"engine": "vllm"}, options.vllm, options.limit),
            ("transformers", {}, options.transformers, options.few),
        )
        if calls
    ]
    # What matters most first: the first call of each engine, then the others.
    for number in range(max(len(sweep.caches) for sweep in sweeps)):
        for sweep in sweeps:
            if number < len(sweep.caches):
                run(sweep, number, options, until)
    options.out.mkdir(parents=True, exist_ok=True)
    compared = dict(comparisons(sweeps, options.work, options.out))
    write(compared, options.out)


def run(sweep: Sweep, number: int, options: argparse.Namespace, until: float) -> None:
    """Have ``qrag run`` make the cells of a call, and of those before it what they lack."""
    left = until - time.monotonic()
    caches = [name for names in sweep.caches[: number + 1] for name in names]
    if left < 1:
        print(f"{sweep.engine} {', '.join(sweep.caches[number])}: no time left", flush=True)
        return
    plan = {
        "name": f"kv-{sweep.engine}",
        "data": str(options.data),
        "models": [
            {
                "name": options.model.name,
                "pretrained": str(options.model.resolve()),
                "args": {"device": options.device, **sweep.args},
            }
        ],
        "precisions": [options.precision],
        "kv_caches": caches,
        "tasks": ["lamp3u", "lamp5u"],
        "k": options.k.split(","),
        "chat_template": True,
        **({"limit": sweep.limit} if sweep.limit else {}),
    }
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.work / f"{sweep.engine}.yaml"
    file.write_text(json.dumps(plan), encoding="utf-8")
    grid = options.work / sweep.engine
    command = [sys.executable, "-m", "qrag_tasks.cli", "run", str(file), "--out", str(grid)]
    begun = time.monotonic()
    try:
        done = subprocess.run(command, check=False, timeout=left)
        state = "" if done.returncode == 0 else f", exit status {done.returncode}"
    except subprocess.TimeoutExpired:
        state = ", stopped for want of time"
    print(
        f"{sweep.engine} {', '.join(caches)}: {time.monotonic() - begun:.0f} s{state}", flush=True
    )


def comparisons(sweeps: Sequence[Sweep], work: Path, out: Path) -> Iterator[tuple[str, Comparison]]:
    """Yield what can be compared of each engine's grid, and draw it."""
    for sweep in sweeps:
        try:
            compared = compare_grid(work / sweep.engine, Options())
        except Exception as error:
            print(f"{sweep.engine}: nothing to compare: {error}", flush=True)
            continue
        yield sweep.engine, compared
        try:
            save_figures(compared, out / "figures" / sweep.engine)
        except ImportError as error:
            print(f"{sweep.engine}: no figures: {error}", flush=True)


def write(compared: dict[str, Comparison], out: Path) -> None:
    """Write the table, and the same as JSON."""
    records = [record for engine, each in compared.items() for record in records_of(engine, each)]
    (out / "kv_sweep.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    rows = [HEAD, ("---",) * 4 + ("---:",) * (len(HEAD) - 4), *map(row_of, records)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    (out / "kv_sweep.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def records_of(engine: str, compared: Comparison) -> Iterator[dict[str, Any]]:
    """Yield a record for every arm of every cell, the base's once."""
    seen = set()
    for cell in compared.cells:
        row = headline_row(cell)
        if row is None:
            continue
        if (base := (cell.lamp_task, cell.k)) not in seen:
            seen.add(base)
            yield _record(engine, cell, cell.base, row, row.base)
        ends = None if row.interval is None else [row.interval.low, row.interval.high]
        of_other = _record(engine, cell, cell.other, row, row.other)
        yield {**of_other, "difference": row.difference, "interval": ends, "p_holm": row.p_holm}


def _record(
    engine: str, cell: CellRow, arm: ArmFacts, row: MetricRow, score: float
) -> dict[str, Any]:
    each, tokens = arm.cache_bytes_per_token, arm.prompt_tokens
    return {
        "engine": engine,
        "task": cell.lamp_task,
        "metric": row.metric,
        "k": cell.k,
        "cache": arm.kv_cache or "auto",
        "samples": cell.samples,
        "cache_bytes_per_token": each,
        "prompt_tokens": tokens,
        "bytes_a_prompt": each * tokens if each and tokens else None,
        "score": score,
    }


def row_of(record: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    size, ends = record["bytes_a_prompt"], record.get("interval")
    return (
        record["engine"],
        f"{record['task']}, {record['metric']}",
        str(record["k"]),
        record["cache"],
        str(record["samples"]),
        "" if size is None else f"{size / 1e3:,.0f}",
        f"{record['score']:.4f}",
        "" if "difference" not in record else f"{record['difference']:+.4f}",
        "" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}",
    )


if __name__ == "__main__":
    main()
