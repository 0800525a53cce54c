"""What each engine takes for the same prompts on a GPU, lm_eval's own models beside ours.

``python benchmarks/gpu/engines.py --data FOLDER --tokenizer FOLDER --out FILE``

Makes a model of Mistral-7B's shape with random weights, and 4-bit checkpoints in GPTQ's and AWQ's
layouts of it. Speed and bytes do not depend on the weights' values; random weights never stop, so
every answer runs to its limit, and scores mean nothing. The workload is eight cells: reviews and
papers, each with 0, 1, 5 and 10 documents. Every way to run it is a process of its own; the next
one starts while the last one works, and waits for its turn with its imports done, before it
touches the GPU. With ``--gpus 2`` two ways run side by side, each on a GPU of its own. ``FILE``
is written again after each. With ``--page docs/speed.md`` the table of that page is written
again, too, between its two marks.

Seconds are those of lm_eval's ``generate_until``; the start of the model is counted apart.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marked_page import between_marks
from one_run import Run
from precisions import machine, work_folder
from random_models import SHAPES, write_checkpoints

CELLS = [f"lamp{task}u_rag_k{k}" for task in (3, 5) for k in (0, 1, 5, 10)]
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "INFO"}
"""So that memory of lm_eval's own vllm model is read as that of ours is, and the logs say where the
time of a start went."""
INVARIANT = {**IN_PROCESS, "VLLM_BATCH_INVARIANT": "1"}
"""vLLM reads it at its import, which no start counts."""
BASE = "vllm of lm_eval, fp16"
"""The way that all others are compared with."""
MARKS = ("<!-- engines: begin -->", "<!-- engines: end -->")


@dataclass(frozen=True)
class Way:
    """One way to run the workload.

    :ivar model: lm_eval's name of the model.
    :ivar arguments: of the model, beside ``pretrained``.
    :ivar checkpoint: folder of the checkpoint.
    """

    model: str
    arguments: str
    checkpoint: str = "fp16"
    batch_size: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, work: Path) -> list[str]:
        """Return the part of lm_eval's command line that names the model."""
        arguments = f"pretrained={work / self.checkpoint},{self.arguments}"
        size = ["--batch_size", self.batch_size] if self.batch_size else []
        return ["--model", self.model, "--model_args", arguments, *size]


def by_vllm(
    arguments: str, environment: Mapping[str, str] = IN_PROCESS, checkpoint: str = "fp16"
) -> Way:
    """Return how our engine of vLLM runs a checkpoint."""
    return Way("qrag", f"engine=vllm,{arguments}", checkpoint, environment=environment)


WAYS: Mapping[str, Way] = {
    BASE: Way("vllm", "dtype=float16", batch_size="auto", environment=IN_PROCESS),
    "vllm, fp16": by_vllm("precision=fp16"),
    "vllm, fp16, started again": by_vllm("precision=fp16"),
    "vllm, fp8": by_vllm("precision=fp8,dtype=float16"),
    "vllm of lm_eval, fp8": Way(
        "vllm", "dtype=float16,quantization=fp8", batch_size="auto", environment=IN_PROCESS
    ),
    "vllm, fp16, deterministic": by_vllm("precision=fp16,deterministic=True", INVARIANT),
    "vllm, int4-nf4": by_vllm("precision=int4-nf4,dtype=float16"),
    "vllm, int4-gptq": by_vllm("precision=int4-gptq,dtype=float16", checkpoint="gptq"),
    "vllm, int4-awq": by_vllm("precision=int4-awq,dtype=float16", checkpoint="awq"),
    "transformers, fp16, continuous batching": Way("qrag", "precision=fp16,batching=continuous"),
    "transformers, int4-nf4, continuous batching": Way(
        "qrag", "precision=int4-nf4,dtype=float16,batching=continuous"
    ),
    "transformers, fp16": Way("qrag", "precision=fp16"),
    "hf of lm_eval, fp16, batches of 32": Way("hf", "dtype=float16", batch_size="32"),
}


def main() -> None:
    options = parse()
    deadline = time.perf_counter() + options.seconds
    options.work.mkdir(parents=True, exist_ok=True)
    ways = {name: WAYS[name] for name in options.ways}
    runs = [
        Run(name, way.command(options.work), options, way.environment) for name, way in ways.items()
    ]
    report: dict[str, Any] = {
        "machine": machine(),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "tasks": options.tasks,
        "limit": options.limit,
        "metadata": options.metadata,
        "gpus": options.gpus,
        "runs": [],
    }
    make(options, {way.checkpoint for way in ways.values()})
    if options.only_make:
        return
    answers: dict[str, list[str]] = {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    writing = threading.Lock()

    def note(measured: dict[str, Any]) -> None:
        with writing:
            answers[measured["name"]] = measured.pop("answers", [])
            report["runs"].append(measured)
            report["same"] = equal_shares(answers)
            options.out.write_text(json.dumps(report, indent=1))
        seconds = measured.get("generate_seconds")
        said = measured.get("error") or f"{seconds:.1f} s"
        print(f"{measured['name']:45} {said} (of {measured['wall_seconds']:.0f} s)", flush=True)
        if "error" in measured:
            print("\n".join(measured.get("log_end", [])), flush=True)

    waiting = deque(runs)
    gpus = [
        threading.Thread(target=work, args=(gpu, waiting, deadline, options.least, note))
        for gpu in range(options.gpus)
    ]
    for each in gpus:
        each.start()
    for each in gpus:
        each.join()
    report["runs"].sort(key=lambda run: list(ways).index(run["name"]))
    text = f"{heading(report)}\n\n{table(report)}"
    print(f"\n{text}")
    if options.page:
        options.page.write_text(between_marks(options.page.read_text(), text, MARKS))


def work(gpu: int, waiting: deque[Run], deadline: float, least: float, note: Any) -> None:
    """Run what waits on one GPU, until nothing waits or no time is left."""

    def next_run() -> Run | None:
        with contextlib.suppress(IndexError):
            run = waiting.popleft()
            run.environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
            run.start()
            return run
        return None

    run = next_run()
    while run is not None:
        left = deadline - time.perf_counter()
        following = next_run() if left >= least else None
        if left >= least:
            note(run.finish(left))
        else:
            run.process.kill()
            note({"name": run.name, "error": "no time left", "wall_seconds": 0})
        run = following


def make(options: argparse.Namespace, folders: set[str]) -> None:
    """Write the checkpoints of random weights that are not there yet."""
    import torch

    if all((options.work / folder / "config.json").is_file() for folder in folders):
        return
    start = time.perf_counter()
    kinds = sorted(folders - {"fp16"})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = write_checkpoints(options.work, SHAPES[options.shape], kinds, options.tokenizer, device)
    for kind in kinds:
        # GPT-QModel's choice of a kernel is nothing to other libraries.
        file = options.work / kind / "config.json"
        config = json.loads(file.read_text())
        config["quantization_config"].pop("backend", None)
        file.write_text(json.dumps(config, indent=1))
    if device == "cuda":
        torch.cuda.empty_cache()
    print(f"checkpoints: {sizes} in {time.perf_counter() - start:.0f} s", flush=True)


def equal_shares(answers: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return of each run the share of answers that are those of the base, where both are there."""
    base = answers.get(BASE)
    return {name: share(own, base) for name, own in answers.items() if own and base}


def share(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the share of answers that are equal except for white space at their ends."""
    return sum(a.strip() == b.strip() for a, b in zip(one, other, strict=True)) / len(one)


def heading(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{side_by_side(report['gpus'])}{machine['gpu'] or 'CPU'}; {report['shape']['name']} with "
        f"random weights (answers never stop before their limit); {len(report['tasks'])} cells of "
        f"{report['limit']} samples; {versions}."
    )


def side_by_side(gpus: int) -> str:
    return f"{gpus} runs side by side, each on a GPU of its own: " if gpus > 1 else ""


def table(report: Mapping[str, Any]) -> str:
    """Return the runs as a table of Markdown, one row each."""
    head = (
        *("engine, precision", "seconds", "x", "prompt tokens/s", "out of the prefix cache"),
        *("start s", "weights GB", "peak GB", "energy kJ", "answers as base"),
    )
    same = report.get("same", {})
    by_name = {run["name"]: run for run in report["runs"]}
    base = by_name.get(BASE, {}).get("generate_seconds")
    prompt_tokens = max((cost(run).get("prompt_tokens", 0) for run in report["runs"]), default=0)
    rows = [head, ("---", *["---:"] * (len(head) - 1))]
    for name, run in by_name.items():
        seconds, costs = run.get("generate_seconds"), cost(run)
        hits = costs.get("cached_prompt_tokens")
        weights = ((run.get("qrag") or {}).get("arm") or {}).get("weights") or {}
        rows.append(
            (
                name,
                figure(seconds, 1) or ("failed" if "error" in run else ""),
                figure(seconds and base and seconds / base, 2),
                f"{prompt_tokens / seconds:,.0f}" if seconds and prompt_tokens else "",
                f"{hits / costs['prompt_tokens']:.1%}" if hits is not None else "",
                figure(run.get("start_seconds"), 1),
                figure((weights.get("bytes") or 0) / 1e9 or None, 2),
                figure((run.get("peak_reserved_bytes") or 0) / 1e9 or None, 1),
                figure((run.get("joules") or 0) / 1e3 or None, 1),
                f"{same[name]:.1%}" if name in same else "",
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cost(run: Mapping[str, Any]) -> Mapping[str, Any]:
    costs: Mapping[str, Any] = (run.get("qrag") or {}).get("cost") or {}
    return costs


def figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data root with lamp3u and lamp5u")
    add("--tokenizer", type=Path, required=True, help="folder of a tokenizer's files")
    add("--out", type=Path, required=True, help="JSON file for all that was measured")
    add("--page", type=Path, help="page whose table is written again")
    add("--work", type=Path, default=work_folder(), help="folder for 24 GB of checkpoints")
    add("--shape", choices=SHAPES, default="mistral-7b")
    add("--ways", type=lambda text: text.split(";"), default=list(WAYS), help="; between them")
    add("--tasks", type=lambda text: text.split(","), default=CELLS)
    add("--gpus", type=int, default=1, help="runs side by side, each on a GPU of its own")
    add("--only-make", action="store_true", help="make the checkpoints, and run nothing")
    add("--limit", type=int, default=256, help="samples a task")
    add("--context_tokens", type=int, default=4096, help="of prompt and answer")
    add("--seconds", type=float, default=560, help="runs are stopped when these are over")
    add("--least", type=float, default=30, help="seconds that must be left to begin a run")
    options = parser.parse_args()
    options.metadata = {"context_tokens": options.context_tokens}
    options.marlin = None
    if unknown := [name for name in options.ways if name not in WAYS]:
        parser.error(f"unknown ways {'; '.join(unknown)} (known: {'; '.join(WAYS)})")
    return options


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
