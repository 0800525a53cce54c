"""What each precision costs on a GPU, by ``--model qrag`` and by lm_eval's own ``--model hf``.

``python benchmarks/gpu/precisions.py --data FOLDER --tokenizer FOLDER --out FILE``

Makes a model of Mistral-7B's shape with random weights, and from it 4-bit checkpoints in GPTQ's
and AWQ's layouts by rounding to the nearest, without calibration: speed and bytes do not depend
on the weights' values. Random weights never stop, so every answer runs to its limit. Each run is
a process of its own, and ``FILE`` is written again after each; a run that fails is reported.

Beside the embeddings' size, which the tokenizer decides, these are the choices that count:

- the next run's process starts while the last one works, and waits for its turn with its
  imports done, before it touches the GPU; loading and answering never overlap;
- lm_eval indexes our task folder only, not its own ten thousand files;
- GPTQ and AWQ use gptqmodel's Marlin kernel where ``--marlin`` names its built library, else its
  Triton kernels, which need no compiler; each is first checked on a tiny model.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arm_table import NO_TIME, heading, same_answers, table
from one_run import Run, model_of
from random_models import SHAPES, make

ARMS = ("fp16", "int4-nf4", "int4-gptq", "int4-awq", "int8", "bf16")
ENGINES = ("qrag", "hf")


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    deadline = time.perf_counter() + options.seconds
    engines = [engine for engine in ENGINES if engine in options.engines]
    pairs = [(arm, engine) for arm in options.arms for engine in engines]
    runs = [
        Run(f"{arm}-{engine}", model_of(arm, engine, options), options) for arm, engine in pairs
    ]
    report: dict[str, Any] = {
        "machine": machine(),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "tokenizer": str(options.tokenizer),
        "tasks": options.tasks,
        "limit": options.limit,
        "hf_batch_size": options.batch,
        "runs": [],
    }
    answers: dict[tuple[str, str], list[str]] = {}
    if runs:
        runs[0].start()
    command = [sys.executable, __file__, "make", *sys.argv[1:], "--work", str(options.work)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, check=False, timeout=options.seconds / 2)
    made = options.work / "made.json"
    report["made"] = json.loads(made.read_text()) if made.is_file() else None
    for (arm, engine), run, following in zip(pairs, runs, [*runs[1:], None], strict=True):
        left = deadline - time.perf_counter()
        if left < options.least:
            found: dict[str, Any] = {"error": NO_TIME}
            if run.process:
                run.process.kill()
        else:
            if following:
                # Its imports would disturb the loading that they coincide with only a little.
                following.start()
            found = run.finish(left)
        found |= {"arm": arm, "engine": engine}
        answers[arm, engine] = found.pop("answers", [])
        if engine == "hf":
            found["same_answers"] = same_answers(answers.get((arm, "qrag")), answers[arm, "hf"])
        report["runs"].append(found)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1))
        said = found.get("error") or f"{found['generate_seconds']:.1f} s"
        print(
            f"{arm:10} {engine:5} {said}  (of {found.get('wall_seconds', 0):.0f} s wall)",
            flush=True,
        )
        if "error" in found:
            print("\n".join(found.get("log_end", [])), flush=True)
    print(f"\n{heading(report)}\n\n{table(report['runs'])}")


def machine() -> dict[str, Any]:
    names = ("torch", "transformers", "lm_eval", "vllm", "bitsandbytes", "gptqmodel", "triton")
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    gpu = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = "--query-gpu=name,driver_version"
        listed = subprocess.check_output(["nvidia-smi", asked, "--format=csv,noheader"], text=True)
        gpu = listed.splitlines()[0]
    return {"gpu": gpu.strip() if gpu else None, "versions": versions}


def work_folder() -> Path:
    """Return a folder with room, in main memory where there is some."""
    for place in (Path("/dev/shm"), Path(tempfile.gettempdir())):  # noqa: S108 - for its room
        if place.is_dir() and shutil.disk_usage(place).free > 40e9:
            return place / "qrag-precisions"
    return Path(tempfile.gettempdir()) / "qrag-precisions"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data root with lamp3u and lamp5u")
    add("--tokenizer", type=Path, required=True, help="folder of a tokenizer's files")
    add("--out", type=Path, required=True, help="JSON file for all that was measured")
    add("--work", type=Path, default=work_folder(), help="folder for 24 GB of checkpoints")
    add("--shape", choices=SHAPES, default="mistral-7b")
    add("--arms", type=lambda text: text.split(","), default=list(ARMS), help=",".join(ARMS))
    add("--engines", type=lambda text: text.split(","), default=list(ENGINES))
    add("--only-hf", dest="engines", action="store_const", const=["hf"])
    add("--tasks", type=lambda text: text.split(","), default=["lamp_rag_k5", "lamp_rag_k10"])
    add("--limit", type=int, default=64, help="samples a task")
    add("--batch", type=int, default=32, help="of --model hf")
    add("--marlin", help="built library of gptqmodel's Marlin kernels for 16-bit floats")
    add("--seconds", type=float, default=540, help="runs are stopped when these are over")
    add("--least", type=float, default=20, help="seconds that must be left to begin a run")
    options = parser.parse_args(arguments)
    if unknown := [arm for arm in options.arms if arm not in ARMS]:
        parser.error(f"unknown arms {', '.join(unknown)} (known: {', '.join(ARMS)})")
    return options


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(parse(sys.argv[2:]))
    else:
        main()
