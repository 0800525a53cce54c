"""What each engine takes for the same prompts on a CPU, lm_eval's own ``--model hf`` beside them.

``python benchmarks/engines_cpu.py FOLDER --python llama_cpp=PYTHON --python vllm=PYTHON``

``FOLDER`` holds a Llama or a Qwen2 of transformers, of which GGUF files are made first. The
workload is the embedded sample's reviews and papers with 5 documents each. Every way to run it is
a process of its own, one after the other, with the same threads; ``--model hf`` is run with several
batch sizes, and its fastest is kept. An engine whose package the interpreter lacks is left out, and
told. Seconds are those of lm_eval's ``generate_until``, and those of all threads together where
others use the processor, too; memory is the most that the process held.
With ``--page FILE`` the table is written there, too, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cpu_runs import Way, Workload, cpu, lacks, make_gguf, measure, same
from gpu.marked_page import between_marks

MARKS = ("<!-- engines on a CPU: begin -->", "<!-- engines on a CPU: end -->")
BASE = "transformers, bf16"
"""The way whose answers all others are compared with."""
GGUF = ("q8_0", "q4_k_m")
BATCH_SIZES = (1, 8, 16, 32)
NEEDED = {"main": "bitsandbytes", "llama_cpp": "llama_cpp", "vllm": "vllm"}
"""Name of an interpreter -> the package that it must have."""


def ways(threads: int) -> Iterator[Way]:
    yield Way(BASE, "main", "qrag", "pretrained={model},precision=bf16")
    nf4 = "pretrained={model},precision=int4-nf4,dtype=bfloat16"
    yield Way("transformers, int4-nf4", "main", "qrag", nf4)
    for kind in GGUF:
        file = f"pretrained={{work}}/{kind}.gguf,tokenizer={{model}},engine=llama_cpp"
        yield Way(f"llama_cpp, gguf-{kind}", "llama_cpp", "qrag", f"{file},n_threads={threads}")
        if kind == GGUF[-1]:
            flash = f"{file},n_threads={threads},flash_attn=True"
            yield Way(f"llama_cpp, gguf-{kind}, flash_attn", "llama_cpp", "qrag", flash)
    in_process = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2"}
    vllm = "pretrained={model},engine=vllm,precision=bf16"
    yield Way("vllm, bf16", "vllm", "qrag", vllm, environment=in_process)
    for size in BATCH_SIZES:
        name, hf = f"hf of lm_eval, bf16, batches of {size}", "pretrained={model},dtype=bfloat16"
        yield Way(name, "main", "hf", hf, size)


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    missing = {name: lacks(options.python[name], package) for name, package in NEEDED.items()}
    if not missing["llama_cpp"]:
        make_gguf(options.model, options.work, GGUF, options.python["llama_cpp"])
    load = Workload(
        *(options.model, options.work, "lamp_rag_k5", {"data": "mini"}),
        *(options.limit, options.threads, options.chat),
    )
    report: dict[str, Any] = {
        "cpu": cpu(),
        "threads": options.threads,
        "model": options.model.name,
        "limit": options.limit,
        "runs": {},
    }
    for way in ways(options.threads):
        if options.only and not any(each in way.name for each in options.only):
            continue
        if missing[way.python]:
            print(f"{way.name:40} left out: {missing[way.python]}", flush=True)
            continue
        run = report["runs"][way.name] = measure(way, load, options.python)
        said = run.get("error") or f"{run['seconds']:.1f} s, {run['peak'] / 1e9:.2f} GB"
        print(f"{way.name:40} {said}", flush=True)
        options.out.write_text(json.dumps(report, indent=1))
    text = f"{heading(report)}\n\n{table(report)}"
    print(f"\n{text}")
    if options.page:
        options.page.write_text(between_marks(options.page.read_text(), text, MARKS))


# ---------------------------------------------------------------------- the table
def heading(report: Mapping[str, Any]) -> str:
    samples = f"{report['limit']} samples a task" if report["limit"] else "all its samples"
    return (
        f"{report['cpu']}, {report['threads']} threads; {report['model']}; `lamp_rag_k5` on mini, "
        f"{samples}."
    )


def table(report: Mapping[str, Any]) -> str:
    """Return the runs as a table of Markdown; of ``--model hf``, only its best batch size."""
    runs = dict(report["runs"])
    hf = {name: run for name, run in runs.items() if name.startswith("hf ")}
    best = min(hf, key=lambda name: hf[name].get("seconds", float("inf")), default=None)
    runs = {name: run for name, run in runs.items() if name not in hf or name == best}
    head = (
        *("engine, precision", "seconds", "x", "CPU s", "start s", "weights MB", "peak GB"),
        *("MAE", "ROUGE-L", "answers as base"),
    )
    base = runs.get(BASE, {})
    rows: list[tuple[str, ...]] = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, run in runs.items():
        if "error" in run:
            rows.append((name, "failed", *[""] * (len(head) - 2)))
            continue
        arm = run.get("qrag", {})
        size = arm.get("arm", {}).get("weights", {}).get("bytes")
        scores = run["scores"]
        rows.append(
            (
                name,
                f"{run['seconds']:.1f}",
                f"{run['seconds'] / base['seconds']:.2f}" if "seconds" in base else "",
                f"{run['cpu_seconds']:.1f}",
                f"{arm['cost']['load_seconds']:.1f}" if arm else "",
                f"{size / 1e6:,.0f}" if size else "",
                f"{run['peak'] / 1e9:.2f}",
                f"{scores['lamp3u_rag_k5']['mae,none']:.2f}",
                f"{scores['lamp5u_rag_k5']['rougeL,none']:.3f}",
                f"{same(run, base):.1%}" if "answers" in base else "",
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("model", type=Path, metavar="FOLDER")
    add("--python", action="append", default=[], metavar="NAME=PATH", help="an interpreter")
    add("--work", type=Path, default=Path("build/engines_cpu"), help="GGUF files and records")
    add("--out", type=Path, help="all that was measured, as JSON; in --work by default")
    add("--page", type=Path, help="page whose table is written again")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--limit", type=int, help="samples a task, for a quick look")
    add("--only", action="append", metavar="TEXT", help="only ways whose name has this")
    add("--plain", dest="chat", action="store_false", help="without the chat template")
    options = parser.parse_args()
    named = dict(each.split("=", 1) for each in options.python)
    if unknown := named.keys() - NEEDED.keys():
        parser.error(f"--python {unknown.pop()}=: known are {', '.join(NEEDED)}")
    options.python = {**dict.fromkeys(NEEDED, sys.executable), **named}
    options.model, options.work = options.model.resolve(), options.work.resolve()
    options.out = options.out or options.work / "engines_cpu.json"
    return options


if __name__ == "__main__":
    main()
