"""What every precision takes on a GPU, each by its best engine, beside fp16: one table of all arms.

``python benchmarks/gpu/precision_arms.py --data FOLDER --tokenizer FOLDER --out FILE``

As :mod:`engines`: a model of Mistral-7B's shape with random weights, so that speed and bytes are
those of a real one, and scores mean nothing. vLLM runs what it can load, and transformers the rest;
what is not made on loading is written first, as far as :mod:`random_models` writes it. The workload
is reviews and papers with 5 and 10 documents. A way that ``FILE`` holds already, with a time, is
not run again: stopped at any moment, the same command goes on. Prefill and decoding are told apart
where the engine does them one after the other, which vLLM does not.

``--measured`` writes the times for ``benchmarks/precision_table.py``.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines import IN_PROCESS, Way, by_vllm, cost, figure, make, side_by_side, work
from marked_page import between_marks
from one_run import Run
from precisions import machine, work_folder
from random_models import COMPRESSED, FOLDERS, SHAPES

from qrag_tasks.engines.ways import Machine, ways

CELLS = [f"lamp{task}u_rag_k{k}" for task in (3, 5) for k in (5, 10)]
BASE = "vllm, fp16"
BASES = (BASE, "transformers, fp16")
MARKS = ("<!-- arms on a GPU: begin -->", "<!-- arms on a GPU: end -->")
CHECKPOINTS = {**FOLDERS, **{name: name for name in COMPRESSED}}
"""Precision that is made beforehand -> its folder of random weights."""
LEFT_OUT = ("fp32", "bf16")
"""As fast as fp16, or as nobody runs a model on a GPU."""


def arms() -> dict[str, Way]:
    """Return name -> way, of each precision by vLLM where it loads it here, else transformers."""
    here = Machine()
    found: dict[str, Way] = {}
    best: dict[str, str] = {}
    for way in sorted(ways(), key=lambda way: way.engine != "vllm"):
        row, engine = way.row, way.engine
        name = f"{engine}, {row.name}"
        loads = row.made_on_loading or row.name in CHECKPOINTS
        wanted = loads and row.name not in LEFT_OUT and "cuda" in way.support.devices
        if not wanted or engine not in ("vllm", "transformers"):
            continue
        if lacks := here.lacks(way):
            print(f"{name:35} left out: it needs {', '.join(each.what for each in lacks)}")
            continue
        if name not in BASES and best.setdefault(row.name, engine) != engine:
            continue
        folder = "fp16" if row.made_on_loading else CHECKPOINTS[row.name]
        arguments = f"precision={row.name}" + ("" if row.dtype else ",dtype=float16")
        if engine == "vllm":
            found[name] = by_vllm(arguments, IN_PROCESS, folder)
        else:
            found[name] = Way("qrag", arguments, folder)
    first = {name: found.pop(name) for name in BASES if name in found}
    return {**first, **found}


def main() -> None:
    options = parse()
    deadline = time.perf_counter() + options.seconds
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(options.out.read_text())["runs"] if options.out.exists() else []
    done = {run["name"]: run for run in before if "generate_seconds" in run}
    known = arms()
    wanted = [name for name in known if not options.only or any(o in name for o in options.only)]
    todo = {name: known[name] for name in wanted if name not in done}
    report: dict[str, Any] = {
        "machine": machine(),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "tasks": options.tasks,
        "limit": options.limit,
        "gpus": options.gpus,
        "runs": list(done.values()),
    }
    make(options, {"fp16", *(way.checkpoint for way in todo.values())})
    runs = [
        Run(name, way.command(options.work), options, way.environment) for name, way in todo.items()
    ]
    writing = threading.Lock()

    def note(measured: dict[str, Any]) -> None:
        with writing:
            measured.pop("answers", None)
            report["runs"].append(measured)
            options.out.write_text(json.dumps(report, indent=1))
        said = measured.get("error") or f"{measured['generate_seconds']:.1f} s"
        print(f"{measured['name']:35} {said} (of {measured['wall_seconds']:.0f} s)", flush=True)
        if "error" in measured:
            print("\n".join(measured.get("log_end", [])[-6:]), flush=True)

    waiting = deque(runs)
    threads = [
        threading.Thread(target=work, args=(gpu, waiting, deadline, options.least, note))
        for gpu in range(options.first_gpu, options.first_gpu + options.gpus)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    order = list(known)
    report["runs"].sort(key=lambda run: order.index(run["name"]) if run["name"] in order else -1)
    options.out.write_text(json.dumps(report, indent=1))
    text = f"{heading(report)}\n\n{table(report)}"
    print(f"\n{text}")
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(between_marks(page, text, MARKS), encoding="utf-8")
    if options.measured:
        options.measured.write_text(json.dumps(measured_of(report), indent=1) + "\n")


def heading(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{side_by_side(report['gpus'])}{machine['gpu'] or 'CPU'}; {report['shape']['name']} with "
        f"random weights (answers never stop before their limit); {', '.join(report['tasks'])}, "
        f"{report['limit']} samples each; {versions}."
    )


def table(report: Mapping[str, Any]) -> str:
    head = (
        *("engine, precision", "bits a weight", "weights GB", "peak GB", "start s", "seconds", "x"),
        *("prefill s", "decode s", "prompt tokens/s", "energy kJ"),
    )
    by_name = {run["name"]: run for run in report["runs"]}
    base = by_name.get(BASE, {}).get("generate_seconds")
    rows: list[tuple[str, ...]] = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, run in by_name.items():
        seconds, costs = run.get("generate_seconds"), cost(run)
        arm = (run.get("qrag") or {}).get("arm") or {}
        size = (arm.get("weights") or {}).get("bytes")
        divided = not costs.get("undivided_seconds")
        rows.append(
            (
                name,
                figure(arm.get("linear_bits_per_weight"), 2),
                figure(size and size / 1e9, 2),
                figure((run.get("peak_reserved_bytes") or 0) / 1e9 or None, 1),
                figure(run.get("start_seconds"), 1),
                figure(seconds, 1) or f"failed: {run.get('error', '')}",
                figure(seconds and base and seconds / base, 2),
                figure(costs.get("prefill_seconds") if divided else None, 1),
                figure(costs.get("decode_seconds") if divided else None, 1),
                f"{costs['prompt_tokens'] / seconds:,.0f}" if seconds and costs else "",
                figure((run.get("joules") or 0) / 1e3 or None, 1),
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def measured_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the times as ``benchmarks/measured`` has them: multiples of the base's."""
    by_name = {run["name"]: run for run in report["runs"] if "generate_seconds" in run}
    if BASE not in by_name:
        raise SystemExit(f"{BASE} was not measured, so that no time is a multiple of it")
    base = by_name[BASE]["generate_seconds"]
    rows = {name: {"times": run["generate_seconds"] / base} for name, run in by_name.items()}
    source = f"benchmarks/gpu/precision_arms.py: {heading(report)} Base: {BASE}"
    return {"device": "cuda", "base": BASE, "source": source, "rows": rows}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data root with lamp3u and lamp5u")
    add("--tokenizer", type=Path, required=True, help="folder of a tokenizer's files")
    add("--out", type=Path, required=True, help="JSON file for all that was measured")
    add("--page", type=Path, help="page whose table is written again")
    add("--measured", type=Path, help="benchmarks/measured/cuda.json, as a rule")
    add("--work", type=Path, default=work_folder(), help="folder for 60 GB of checkpoints")
    add("--shape", choices=SHAPES, default="mistral-7b")
    add("--only", action="append", metavar="TEXT", help="only arms whose name has this")
    add("--tasks", type=lambda text: text.split(","), default=CELLS)
    add("--gpus", type=int, default=1, help="runs side by side, each on a GPU of its own")
    add("--first_gpu", type=int, default=0, help="number of the first GPU that is used")
    add("--limit", type=int, default=64, help="samples a task")
    add("--context_tokens", type=int, default=4096, help="of prompt and answer")
    add("--seconds", type=float, default=480, help="runs are stopped when these are over")
    add("--least", type=float, default=60, help="seconds that must be left to begin a run")
    options = parser.parse_args()
    options.metadata = {"context_tokens": options.context_tokens}
    options.marlin = None
    return options


if __name__ == "__main__":
    main()
