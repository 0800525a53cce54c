"""What every precision takes on a CPU, and what it scores: one table of all arms that run here.

``python benchmarks/precisions_cpu.py --python main=PYTHON --python llama_cpp=PYTHON ...``

runs the embedded model on all of the embedded sample; with ``--model FOLDER --data FOLDER`` another
one, a Llama or a Qwen2 of transformers, on the first ``--limit`` reviews and papers. Each
interpreter is asked what it can run (``qrag precisions --json``); the first that can run a
precision by an engine does. What is not made on loading is made first, in ``--work``: GGUF files by
llama.cpp, of the file types of ``--kinds``, and all else by ``qrag quantize``. What neither makes
is left out.

Each task is a run of its own, and written to ``--out`` as it comes; what is there is not run again:
stopped at any moment, the same command goes on, on a processor of the same name. With
``--streams N`` so many ways run side by side, each on ``--threads`` cores of its own; ways of one
checkpoint follow one another. ``--page`` writes the table between its two marks, and
``benchmarks/precision_table.py`` takes times from ``benchmarks/measured/cpu.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cpu_runs import Way, Workload, cpu, make_gguf, measure
from gpu.marked_page import between_marks

from qrag_tasks.arms.formats.gguf import PREFIX
from qrag_tasks.engines.ways import Way as Listed
from qrag_tasks.engines.ways import ways
from qrag_tasks.locations import embedded_model
from qrag_tasks.quantizing.quantizer import quantizer_of

BASE = "transformers, bf16"
TASKS = {"lamp3u_rag_k5": "mae", "lamp5u_rag_k5": "rougeL"}
"""The runs of a way: task -> its metric."""
KINDS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2"}
MEASURED = Path(__file__).resolve().parent / "measured"


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    report = begun(options)
    known = chosen(options)
    left = [name for name in known if "seconds" not in report["rows"].get(name, {})]
    left.sort(key=lambda name: (name != BASE, turn(name, options.first)))
    todo = by_checkpoint({name: known[name] for name in left})
    making, writing = threading.Lock(), threading.Lock()

    def take() -> dict[str, Way]:
        with writing:
            return todo.popleft() if todo else {}

    def work(cores: Sequence[int]) -> None:
        if options.streams > 1:
            os.sched_setaffinity(0, cores)  # of this thread, and of what it starts
        loads = [
            Workload(
                *(options.model, options.work, task, {"data": str(options.data)}),
                *(options.limit, options.threads, options.chat, f"record-{cores[0]}.json"),
            )
            for task in TASKS
        ]
        bind = f"{cores[0]}-{cores[-1]}"
        while group := take():
            for name, way in group.items():
                own = {**way.environment, "VLLM_CPU_OMP_THREADS_BIND": bind}
                pinned = replace(way, environment=own) if options.streams > 1 else way
                runs = dict(report["rows"].get(name, {}).get("runs", {}))
                if (missing := make(name, options, making)) is not None:
                    note(name, {"error": missing, "runs": runs})
                    continue
                for load in loads:
                    if load.tasks not in runs:
                        runs[load.tasks] = kept(measure(pinned, load, options.python))
                        note(name, row_of(runs))
                    if "error" in runs[load.tasks]:
                        break

    def note(name: str, row: dict[str, Any]) -> None:
        with writing:
            rows = report["rows"]
            rows[name] = row
            compare(rows)
            report["rows"] = {each: rows[each] for each in in_order(rows, known)}
            options.out.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name:40} {said(row)}", flush=True)

    threads = [threading.Thread(target=work, args=(cores,)) for cores in shares(options)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    text = f"{report['source']}\n\n{table(report['rows'])}"
    print(f"\n{text}")
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(between_marks(page, text, options.marks), encoding="utf-8")


def begun(options: argparse.Namespace) -> dict[str, Any]:
    """Return what ``--out`` holds already, or a report without rows.

    :raises SystemExit: where it was measured on another processor, or asked otherwise.
    """
    own = {
        "device": "cpu",
        "base": BASE,
        "cpu": cpu(),
        "threads": options.threads,
        "streams": options.streams,
        "model": options.model.name,
        "data": options.data.name,
        "limit": options.limit,
    }
    report: dict[str, Any] = {**own, "source": source(own), "rows": {}}
    if not options.out.exists():
        return report
    before: dict[str, Any] = json.loads(options.out.read_text())
    other = {key: before.get(key) for key, value in own.items() if before.get(key, 1) != value}
    if other:
        raise SystemExit(f"{options.out} was measured with {other}: name another file by --out")
    return {**report, "rows": before["rows"]}


def by_checkpoint(ways: Mapping[str, Way]) -> deque[dict[str, Way]]:
    """Return the ways in their order, those that read one checkpoint together."""
    groups: dict[str, dict[str, Way]] = {}
    for name, way in ways.items():
        place = way.arguments.partition(",")[0]
        groups.setdefault(name if "{model}" in place else place, {})[name] = way
    return deque(groups.values())


def turn(name: str, first: Sequence[str]) -> int:
    """Return the place of the first expression that the name has; without one, after them all."""
    return next((at for at, each in enumerate(first) if re.search(each, name)), len(first))


def shares(options: argparse.Namespace) -> list[list[int]]:
    """Return the cores of each stream.

    :raises SystemExit: where there are not enough for all.
    """
    cores = sorted(os.sched_getaffinity(0))
    if options.streams > 1 and options.streams * options.threads > len(cores):
        raise SystemExit(
            f"--streams {options.streams} with --threads {options.threads} needs "
            f"{options.streams * options.threads} cores, and there are {len(cores)}"
        )
    return [cores[each * options.threads :][: options.threads] for each in range(options.streams)]


def in_order(rows: Mapping[str, Any], known: Mapping[str, Way]) -> list[str]:
    """Return the names of rows, the base first and those that are run here in their order."""
    order = [BASE, *known]
    return sorted(rows, key=lambda name: order.index(name) if name in order else len(order))


def source(report: Mapping[str, Any]) -> str:
    samples = f"{report['limit']} samples a task" if report["limit"] else "all samples"
    threads = f"{report['threads']} thread{'s' if report['threads'] != 1 else ''}"
    beside = f", {report['streams']} runs side by side" if report["streams"] > 1 else ""
    return (
        f"benchmarks/precisions_cpu.py: {report['cpu']}, {threads}{beside}; "
        f"{report['model']}; `lamp_rag_k5` on {report['data']}, {samples}; base: {report['base']}"
    )


# ---------------------------------------------------------------------- what is run
def chosen(options: argparse.Namespace) -> dict[str, Way]:
    """Return the ways to run here, by name; the base first, as all are compared with it."""
    by_pair: dict[tuple[str, str], str] = {}
    for name, python in options.python.items():
        for each in can_run(python):
            by_pair.setdefault((each["engine"], each["precision"]), name)
    found = {}
    for listed in ways():
        python = by_pair.get((listed.engine, listed.row.name))
        kind = listed.row.name.removeprefix(PREFIX)
        made = kind in options.kinds if listed.engine == "llama_cpp" else listed.made != ("read",)
        if python and made:
            name = f"{listed.engine}, {listed.row.name}"
            if name == BASE or not options.only or any(re.search(o, name) for o in options.only):
                found[name] = way_of(name, listed, python, options)
    return {BASE: found.pop(BASE), **found} if BASE in found else found


def can_run(python: str) -> list[dict[str, Any]]:
    """Return what an interpreter says that it can run on a CPU."""
    command = [python, "-m", "qrag_tasks.cli", "precisions", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    return [each for each in json.loads(done.stdout) if "cpu" in each["runs_here_on"]]


def way_of(name: str, listed: Listed, python: str, options: argparse.Namespace) -> Way:
    row = listed.row
    place = "{model}" if row.made_on_loading else f"{{work}}/{row.name}"
    arguments = f"precision={row.name},engine={listed.engine}"
    if listed.engine == "llama_cpp":
        place = f"{{work}}/{row.name.removeprefix(PREFIX)}.gguf"
        arguments += f",tokenizer={{model}},n_threads={options.threads}"
    else:
        arguments += f",dtype={row.dtype or options.dtype}"
    environment = IN_PROCESS if listed.engine == "vllm" else {}
    return Way(name, python, "qrag", f"pretrained={place},{arguments}", environment=environment)


def make(name: str, options: argparse.Namespace, making: threading.Lock) -> str | None:
    """Make the checkpoint that a way reads, where it is not there yet; return why it cannot be.

    :param making: held while GGUF files are made, as all are made of one.
    """
    engine, precision = name.split(", ")
    (row,) = (way.row for way in ways() if (way.engine, way.row.name) == (engine, precision))
    if row.made_on_loading:
        return None
    if engine == "llama_cpp":
        kind = precision.removeprefix(PREFIX)
        python = options.python["llama_cpp"]
        try:
            with making:
                make_gguf(options.model, options.work, [kind], python)
        except subprocess.CalledProcessError as error:
            return f"no GGUF file of it: {error}"
        return None
    out = options.work / precision
    if out.exists():
        return None
    maker = quantizer_of(row)
    calibrates = maker is not None and maker.calibrates(row)
    fitted = ["--samples", options.samples] if calibrates and options.samples else []
    started = time.perf_counter()
    last = "no interpreter can quantize"
    # Whichever has the libraries; the others say at once that they have not.
    for python in dict.fromkeys(options.python.values()):
        command = [python, "-m", "qrag_tasks.cli", "quantize", options.model]
        command += ["--precision", precision, "--out", out, *fitted]
        done = subprocess.run(
            list(map(str, command)),
            env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            print(f"{precision:40} made in {time.perf_counter() - started:.0f} s", flush=True)
            return None
        last = (done.stderr.strip().splitlines() or [last])[-1]
    return last


# ---------------------------------------------------------------------- what came of it
def kept(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a task's run; of each answer a digest."""
    if "error" in run:
        return {"error": run["error"]}
    arm, cost = run["qrag"]["arm"], run["qrag"]["cost"]
    ((task, scores),) = run["scores"].items()
    return {
        "seconds": run["seconds"],
        "cpu_seconds": run["cpu_seconds"],
        "start_seconds": cost["load_seconds"],
        "weight_bytes": arm["weights"]["bytes"],
        "bits": arm.get("linear_bits_per_weight"),
        "peak_bytes": run["peak"],
        TASKS[task]: scores[f"{TASKS[task]},none"],
        "answers": " ".join(digest(answer) for answer in run["answers"]),
    }


def row_of(runs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the row of a way: its runs until all are there, then what they say together."""
    done = {task: run for task, run in runs.items() if "error" not in run}
    if failed := [run for run in runs.values() if "error" in run]:
        return {"error": failed[0]["error"], "runs": done}
    if done.keys() != TASKS.keys():
        return {"runs": done}
    parts = [runs[task] for task in TASKS]
    row = {key: value for part in parts for key, value in part.items()}
    for key in ("seconds", "cpu_seconds"):
        row[key] = sum(part[key] for part in parts)
    for key in ("start_seconds", "peak_bytes"):
        row[key] = max(part[key] for part in parts)
    return {**row, "answers": " ".join(part["answers"] for part in parts)}


def said(row: Mapping[str, Any]) -> str:
    """Say in a line what is known of a way."""
    if "error" in row:
        return str(row["error"])
    if "runs" in row:
        runs = row["runs"].items()
        return ", ".join(f"{task} in {run['seconds']:.1f} s" for task, run in runs)
    return f"{row['seconds']:.1f} s, {row['bits'] or 0:.2f} bits"


def digest(answer: str) -> str:
    """Return 8 digits that tell an answer from others, except for white space at its ends."""
    return hashlib.blake2b(answer.strip().encode(), digest_size=4).hexdigest()


def compare(rows: Mapping[str, dict[str, Any]]) -> None:
    """Add to each row its time as a multiple of the base's, and the share of equal answers."""
    base = rows.get(BASE, {})
    for row in rows.values():
        if "seconds" not in row or "seconds" not in base:
            continue
        row["times"] = row["seconds"] / base["seconds"]
        if "answers" in row and "answers" in base:
            pairs = list(zip(row["answers"].split(), base["answers"].split(), strict=True))
            row["same"] = sum(one == other for one, other in pairs) / len(pairs)


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    head = (
        *("engine, precision", "bits a weight", "weights MB", "seconds", "x", "CPU s", "start s"),
        *("peak GB", "MAE", "ROUGE-L", "answers as base"),
    )
    lines: list[tuple[str, ...]] = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, row in rows.items():
        if "error" in row:
            lines.append((name, f"failed: {row['error']}", *[""] * (len(head) - 2)))
            continue
        if "runs" in row:  # of one task so far
            continue
        lines.append(
            (
                name,
                "" if row["bits"] is None else f"{row['bits']:.2f}",
                f"{row['weight_bytes'] / 1e6:,.1f}",
                f"{row['seconds']:.1f}",
                f"{row['times']:.2f}" if "times" in row else "",
                f"{row['cpu_seconds']:.1f}",
                f"{row['start_seconds']:.1f}",
                f"{row['peak_bytes'] / 1e9:.2f}",
                f"{row['mae']:.2f}",
                f"{row['rougeL']:.3f}",
                f"{row['same']:.1%}" if "same" in row else "",
            )
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--python", action="append", default=[], metavar="NAME=PATH", help="an interpreter")
    add("--model", type=Path, help="folder of a model; by default the embedded one")
    add("--data", type=Path, default=Path("mini"), help="data root with lamp3u and lamp5u")
    add("--limit", type=int, help="samples a task; by default all")
    add("--kinds", type=lambda text: text.split(","), default=KINDS, help="GGUF's, with commas")
    add("--dtype", default="bfloat16", help="in which quantized arms compute")
    add("--work", type=Path, help="for checkpoints, GGUF files and records")
    add("--out", type=Path, help="JSON of all rows; by default in benchmarks/measured")
    add("--page", type=Path, help="page whose table is written again")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of a run")
    add("--streams", type=int, default=1, help="runs side by side, each on cores of its own")
    add("--only", action="append", metavar="REGEX", help="only ways whose name has it")
    first = "begin with ways whose name has it; given again, go on with those of the next"
    add("--first", action="append", default=[], metavar="REGEX", help=first)
    add("--plain", dest="chat", action="store_false", help="without a chat template, as embedded")
    add("--samples", type=int, help="texts that qrag quantize fits weights to; by default its own")
    options = parser.parse_args()
    options.python = dict(each.split("=", 1) for each in options.python) or {"main": sys.executable}
    own = options.model is None
    called = "arms on a CPU, embedded" if own else "arms on a CPU"
    options.marks = (f"<!-- {called}: begin -->", f"<!-- {called}: end -->")
    options.out = options.out or MEASURED / ("cpu_embedded.json" if own else "cpu.json")
    options.model = (options.model or embedded_model()).resolve()
    options.work = (options.work or Path("build/precisions_cpu") / options.model.name).resolve()
    options.chat = options.chat and not own
    if options.data != Path("mini"):
        options.data = options.data.resolve()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
