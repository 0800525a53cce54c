"""What the embedded model scores on the sample, and what quantization costs it, as Markdown.

    python benchmarks/embedded_scores.py --out FOLDER [--gptq CHECKPOINT]

Runs the grid of examples/embedded.yaml, and a part of it once more in the chat template; stopped,
the same command goes on. docs/embedded_model.md holds what it printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from qrag_tasks.locations import embedded_model

PLAN = Path(__file__).parents[1] / "examples" / "embedded.yaml"
METRICS = {"lamp3u": "mae", "lamp5u": "rougeL"}
CHECKED = "fp16"
Samples = dict[int, dict[str, Any]]


class Grid:
    """A grid that is run where it is not complete."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.plan = folder, plan
        file = folder.with_suffix(".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(plan), encoding="utf-8")
        self.qrag("run", str(file), "--out", str(folder))

    def qrag(self, *arguments: str) -> None:
        """Run the `qrag` command."""
        command = [sys.executable, "-m", "qrag_tasks.cli", *arguments]
        subprocess.run(command, stdout=sys.stderr, check=True)

    def samples(self, precision: str, retriever: str, task: str, k: int) -> Samples:
        """The logged samples of a cell, by their place in the data."""
        name = f"{task}_rag_k{k}"
        cell = Path(precision, *((retriever,) if k else ()), name)
        model = self.plan["models"][0]["name"]
        (file,) = (self.folder / "cells" / model / cell).glob("samples_*.jsonl")
        rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return {row["doc_id"]: row for row in rows}

    def values(self, metric: str, precision: str, retriever: str, task: str, k: int) -> Any:
        """A metric of every sample."""
        found = self.samples(precision, retriever, task, k)
        return np.array([float(found[place][metric]) for place in sorted(found)])


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |")


def head(*cells: object) -> None:
    print()
    row(*cells)
    print("|" + "---|" * len(cells))


def code(name: str) -> str:
    return f"`{name}`"


def paired(other: Any, base: Any) -> str:
    """The mean difference with its 95 % interval: bootstrap percentiles of 9,999 draws."""
    found = stats.bootstrap((other - base,), np.mean, method="percentile", rng=0)
    low, high = found.confidence_interval
    return f"{np.mean(other - base):+.3f} [{low:+.3f}, {high:+.3f}]"


def print_scores(grid: Grid) -> None:
    ks = grid.plan["k"]
    head("task", "precision", "retriever", *(f"k = {k}" for k in ks))
    for task, metric in METRICS.items():
        for precision in grid.plan["precisions"]:
            for retriever in grid.plan["retrievers"]:
                scores = [grid.values(metric, precision, retriever, task, k).mean() for k in ks]
                row(
                    f"{task}, {metric}",
                    code(precision),
                    code(retriever),
                    *(f"{score:.3f}" for score in scores),
                )


def print_checks(grids: dict[str, Grid]) -> None:
    """Whether it does the task at all: in what its answers hold, against guessing, by documents."""
    head("prompt", "task", "retriever", "least valid", "most runaway", "k = 5 less k = 0")
    for prompt, grid in grids.items():
        for task, metric in METRICS.items():
            for retriever in grid.plan["retrievers"]:
                cells = [(CHECKED, retriever, task, k) for k in grid.plan["k"]]
                valid = min(grid.values("valid_rate", *cell).mean() for cell in cells)
                runaway = max(grid.values("runaway_rate", *cell).mean() for cell in cells)
                few, many = (grid.values(metric, CHECKED, retriever, task, k) for k in (0, 5))
                rates = (f"{valid:.3f}", f"{runaway:.3f}")
                row(prompt, f"{task}, {metric}", code(retriever), *rates, paired(many, few))
    head("prompt", "task", "retriever", "k = 1, less `random` at k = 1")
    for prompt, grid in grids.items():
        for task, metric in METRICS.items():
            for retriever in ("bm25", "oracle"):
                one, other = (
                    grid.values(metric, CHECKED, name, task, 1) for name in (retriever, "random")
                )
                row(prompt, f"{task}, {metric}", code(retriever), paired(one, other))
    grid = grids["plain"]
    samples = grid.samples(CHECKED, "bm25", "lamp3u", 5)
    golds = [int(sample["target"]) for sample in samples.values()]
    ((often, _),) = Counter(golds).most_common(1)
    for guess, why in ((often, "most frequent rating"), (3, "middle of the scale")):
        print(f"\nMAE of always {guess}, the {why}: {np.mean([abs(g - guess) for g in golds]):.3f}")


def print_costs(grid: Grid) -> None:
    """What each precision costs, as `qrag compare` has it: cells with an answer that differs."""
    out = grid.folder.with_suffix(".json")
    wanted = [part for metric in METRICS.values() for part in ("--metric", metric)]
    grid.qrag("compare", str(grid.folder), *wanted, "--out", str(out))
    alike: Counter[tuple[str, str, str]] = Counter()
    head("task", "precision", "retriever", "k", "difference", "95 %", "same answers", "verdict")
    for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]:
        facts, same = cell["facts"], cell["agreement"]["same_answer"]
        name = METRICS[facts["lamp_task"]]
        task = f"{facts['lamp_task']}, {name}"
        (found,) = [each for each in cell["metrics"] if each["metric"] == name]
        if same == 1 and not found["differing"]:
            alike[task, interval_of(found), found["verdict"]] += 1
            continue
        row(
            task,
            code(cell["other"]["precision"]),
            code(facts["retriever"]) if facts["k"] != "0" else "none",
            facts["k"],
            f"{found['difference']:+.3f}",
            interval_of(found),
            f"{same:.1%}",
            found["verdict"],
        )
    for (task, interval, verdict), count in sorted(alike.items()):
        print(f"\n{task}: no answer differs in {count} other comparisons: {interval}, {verdict}")


def interval_of(found: dict[str, Any]) -> str:
    """The interval of a comparison; or the bound, where too few samples differ for one."""
    if found["interval"]:
        low, high = (found["interval"][end] for end in ("low", "high"))
        return f"[{low:+.3f}, {high:+.3f}]"
    return "too few" if found["bound"] is None else f"within ±{found['bound']:.3f}"


def plan_with(gptq: Path | None) -> dict[str, Any]:
    """The plan of examples/embedded.yaml, with a further arm where a GPTQ checkpoint is given."""
    plan: dict[str, Any] = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    if gptq:
        plan["precisions"].append("int4-gptq")
        # A model with checkpoints has to name what its other precisions are made of.
        plan["models"][0]["pretrained"] = str(embedded_model())
        plan["models"][0]["checkpoints"] = {"int4-gptq": str(gptq.resolve())}
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gptq", type=Path, help="checkpoint of `qrag quantize`, as a further arm")
    args = parser.parse_args()
    plan = plan_with(args.gptq)
    plain = Grid(args.out / "plain", plan)
    chat = {**plan, "name": "chat", "chat_template": True, "precisions": [CHECKED], "k": [0, 1, 5]}
    grids = {"plain": plain, "chat": Grid(args.out / "chat", chat)}
    print_scores(plain)
    print_checks(grids)
    print_costs(plain)


if __name__ == "__main__":
    main()
