"""What every precision takes on a CPU, and what it scores: one table of all arms that run here.

``python benchmarks/precisions_cpu.py --python main=PYTHON --python llama_cpp=PYTHON ...``

runs the embedded model on all of the embedded sample; with ``--model FOLDER --data FOLDER`` another
one, a Llama or a Qwen2 of transformers, on the first ``--limit`` reviews and papers. Each
interpreter is asked what it can run (``qrag precisions --json``); the first that can run a
precision by an engine does. What is not made on loading is made first, in ``--work``: GGUF files by
llama.cpp, of the file types of ``--kinds``, and all else by ``qrag quantize``. What neither makes
is left out.

Every row is written to ``--out`` as it comes, and rows that are there are not run again: stopped at
any moment, the same command goes on. ``--page`` writes the table between its two marks, and
``benchmarks/precision_table.py`` takes times from ``benchmarks/measured/cpu.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpu_runs import Way, Workload, cpu, make_gguf, measure, same
from gpu.marked_page import between_marks

from qrag_tasks.arms.formats.gguf import PREFIX
from qrag_tasks.engines.ways import Way as Listed
from qrag_tasks.engines.ways import ways
from qrag_tasks.locations import embedded_model

BASE = "transformers, bf16"
KINDS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2"}
MEASURED = Path(__file__).resolve().parent / "measured"


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    load = Workload(
        *(options.model, options.work, "lamp_rag_k5", {"data": str(options.data)}),
        *(options.limit, options.threads, options.chat),
    )
    report = read(options.out) or {
        "device": "cpu",
        "base": BASE,
        "cpu": cpu(),
        "threads": options.threads,
        "model": options.model.name,
        "data": options.data.name,
        "limit": options.limit,
        "source": "",
        "rows": {},
    }
    report["source"] = source(report)
    answers = read(options.work / "answers.json") or {}
    for name, way in chosen(options).items():
        if "seconds" in report["rows"].get(name, {}):
            continue
        if (missing := make(name, options)) is None:
            run = measure(way, load, options.python)
        else:
            run = {"error": missing}
        row = report["rows"][name] = row_of(run)
        if "answers" in run:
            answers[name] = run["answers"]
            (options.work / "answers.json").write_text(json.dumps(answers))
        compare(report["rows"], answers)
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        said = row.get("error") or f"{row['seconds']:.1f} s, {row['bits'] or 0:.2f} bits"
        print(f"{name:40} {said}", flush=True)
    text = f"{report['source']}\n\n{table(report['rows'])}"
    print(f"\n{text}")
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(between_marks(page, text, options.marks), encoding="utf-8")


def source(report: Mapping[str, Any]) -> str:
    samples = f"{report['limit']} samples a task" if report["limit"] else "all samples"
    return (
        f"benchmarks/precisions_cpu.py: {report['cpu']}, {report['threads']} threads; "
        f"{report['model']}; `lamp_rag_k5` on {report['data']}, {samples}; base: {report['base']}"
    )


def read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


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


def make(name: str, options: argparse.Namespace) -> str | None:
    """Make the checkpoint that a way reads, where it is not there yet; return why it cannot be."""
    engine, precision = name.split(", ")
    (row,) = (way.row for way in ways() if (way.engine, way.row.name) == (engine, precision))
    if row.made_on_loading:
        return None
    if engine == "llama_cpp":
        kind = precision.removeprefix(PREFIX)
        python = options.python["llama_cpp"]
        try:
            make_gguf(options.model, options.work, [kind], python)
        except subprocess.CalledProcessError as error:
            return f"no GGUF file of it: {error}"
        return None
    out = options.work / precision
    if out.exists():
        return None
    started = time.perf_counter()
    last = "no interpreter can quantize"
    # Whichever has the libraries; the others say at once that they have not.
    for python in dict.fromkeys(options.python.values()):
        command = [python, "-m", "qrag_tasks.cli", "quantize", options.model]
        command += ["--precision", precision, "--out", out, *options.quantize]
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
def row_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run: all but its answers."""
    if "error" in run:
        return {"error": run["error"]}
    said = run["qrag"]
    arm, scores = said["arm"], run["scores"]
    return {
        "seconds": run["seconds"],
        "cpu_seconds": run["cpu_seconds"],
        "start_seconds": said["cost"]["load_seconds"],
        "weight_bytes": arm["weights"]["bytes"],
        "bits": arm.get("linear_bits_per_weight"),
        "peak_bytes": run["peak"],
        "mae": scores["lamp3u_rag_k5"]["mae,none"],
        "rougeL": scores["lamp5u_rag_k5"]["rougeL,none"],
    }


def compare(rows: Mapping[str, dict[str, Any]], answers: Mapping[str, list[str]]) -> None:
    """Add to each row its time as a multiple of the base's, and the share of equal answers."""
    base = rows.get(BASE, {})
    for name, row in rows.items():
        if "seconds" in row and "seconds" in base:
            row["times"] = row["seconds"] / base["seconds"]
        if name in answers and BASE in answers:
            row["same"] = same({"answers": answers[name]}, {"answers": answers[BASE]})


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
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--only", action="append", metavar="REGEX", help="only ways whose name has it")
    add("--plain", dest="chat", action="store_false", help="without a chat template, as embedded")
    add("--quantize", action="append", default=[], metavar="OPTION", help="for qrag quantize")
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
