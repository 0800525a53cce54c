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
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu.marked_page import between_marks

MARKS = ("<!-- engines on a CPU: begin -->", "<!-- engines on a CPU: end -->")
BASE = "transformers, bf16"
"""The way whose answers all others are compared with."""
GGUF = ("q8_0", "q4_k_m")
BATCH_SIZES = (1, 8, 16, 32)
TESTS = Path(__file__).resolve().parents[1] / "tests"
NEEDED = {"main": "bitsandbytes", "llama_cpp": "llama_cpp", "vllm": "vllm"}
"""Name of an interpreter -> the package that it must have."""


@dataclass(frozen=True)
class Way:
    """One way to run the workload.

    :ivar python: name of the interpreter.
    :ivar model: lm_eval's name of the model.
    :ivar arguments: of the model; ``{model}`` is the folder, ``{work}`` where GGUF files are.
    """

    name: str
    python: str
    model: str
    arguments: str
    batch_size: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


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
    if options.here:
        child(Path(options.here[0]), options.here[1:])
        return
    options.work.mkdir(parents=True, exist_ok=True)
    missing = {name: lacks(options.python[name], package) for name, package in NEEDED.items()}
    if not missing["llama_cpp"]:
        make_gguf(options)
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
        run = report["runs"][way.name] = measure(way, options)
        said = run.get("error") or f"{run['seconds']:.1f} s, {run['peak'] / 1e9:.2f} GB"
        print(f"{way.name:40} {said}", flush=True)
        options.out.write_text(json.dumps(report, indent=1))
    text = f"{heading(report)}\n\n{table(report)}"
    print(f"\n{text}")
    if options.page:
        options.page.write_text(between_marks(options.page.read_text(), text, MARKS))


def lacks(python: str, package: str) -> str:
    """Say what an interpreter lacks; nothing where it has the package."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    try:
        if subprocess.run([python, "-c", code], check=False).returncode == 0:
            return ""
    except OSError as error:
        return str(error)
    return f"{python} has no {package}"


def make_gguf(options: argparse.Namespace) -> None:
    """Write the model's GGUF files that are not there yet, by the interpreter of llama_cpp."""
    code = (
        "import sys; from pathlib import Path; from gguf_models import *\n"
        "model, work = map(Path, sys.argv[1:3])\n"
        "source = work / 'f16.gguf'\n"
        "source.exists() or write_gguf(model, source, 'f16')\n"
        "[quantize_gguf(source, work / f'{kind}.gguf', kind) for kind in sys.argv[3:]]\n"
    )
    kinds = [kind for kind in GGUF if not (options.work / f"{kind}.gguf").exists()]
    if kinds:
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        subprocess.run(
            [options.python["llama_cpp"], "-c", code, options.model, options.work, *kinds],
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )


# ---------------------------------------------------------------------- one way
def measure(way: Way, options: argparse.Namespace) -> dict[str, Any]:
    record = options.work / "record.json"
    record.unlink(missing_ok=True)
    arguments = way.arguments.format(model=options.model, work=options.work)
    command = [
        *(options.python[way.python], __file__, "--here", record, "run"),
        *("--model", way.model, "--model_args", arguments, "--tasks", "lamp_rag_k5"),
        *("--metadata", json.dumps({"data": "mini"}), "--output_path", options.work / "results"),
        *(["--apply_chat_template"] if options.chat else []),
        *(["--limit", options.limit] if options.limit else []),
        *(["--batch_size", way.batch_size] if way.batch_size else []),
    ]
    start = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads), **way.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    wall = time.perf_counter() - start
    if done.returncode or not record.exists():
        return {"error": (done.stdout.strip().splitlines() or ["no output"])[-1], "wall": wall}
    measured: dict[str, Any] = json.loads(record.read_text())
    return {**measured, "wall": wall}


def child(record: Path, arguments: list[str]) -> None:
    """Run lm_eval's command line here, and write what was measured to ``record``."""
    measured: dict[str, Any] = {}
    import lm_eval.evaluator
    from lm_eval.__main__ import cli_evaluate

    evaluate = lm_eval.evaluator.evaluate

    def timed(lm: Any, *more: Any, **options: Any) -> Any:
        answer = lm.generate_until

        def generate_until(requests: Any, *rest: Any, **settings: Any) -> Any:
            start, busy = time.perf_counter(), time.process_time()
            answers = answer(requests, *rest, **settings)
            measured["seconds"] = time.perf_counter() - start
            measured["cpu_seconds"] = time.process_time() - busy
            measured["answers"] = list(answers)
            return answers

        lm.generate_until = generate_until
        results = evaluate(lm, *more, **options)
        measured["scores"] = results["results"]
        if hasattr(lm, "engine"):
            measured["qrag"] = lm.get_model_info()["qrag"]
        measured["peak"] = peak()
        record.write_text(json.dumps(measured, default=str))
        return results

    lm_eval.evaluator.evaluate = timed
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()


def peak() -> int:
    """Return the most bytes that this process held; not its parent's, as getrusage may."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


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


def same(run: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    pairs = list(zip(run["answers"], base["answers"], strict=True))
    return sum(one.strip() == other.strip() for one, other in pairs) / len(pairs)


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("model", type=Path, nargs="?", metavar="FOLDER")
    add("--python", action="append", default=[], metavar="NAME=PATH", help="an interpreter")
    add("--work", type=Path, default=Path("build/engines_cpu"), help="GGUF files and records")
    add("--out", type=Path, help="all that was measured, as JSON; in --work by default")
    add("--page", type=Path, help="page whose table is written again")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--limit", type=int, help="samples a task, for a quick look")
    add("--only", action="append", metavar="TEXT", help="only ways whose name has this")
    add("--plain", dest="chat", action="store_false", help="without the chat template")
    add("--here", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    named = dict(each.split("=", 1) for each in options.python)
    if unknown := named.keys() - NEEDED.keys():
        parser.error(f"--python {unknown.pop()}=: known are {', '.join(NEEDED)}")
    options.python = {**dict.fromkeys(NEEDED, sys.executable), **named}
    if not options.here:
        if options.model is None:
            parser.error("name the FOLDER of a model")
        options.model, options.work = options.model.resolve(), options.work.resolve()
        options.out = options.out or options.work / "engines_cpu.json"
    return options


if __name__ == "__main__":
    main()
