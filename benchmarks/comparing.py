"""How long `qrag compare` and `qrag report` take over a grid's worth of runs.

Writes runs of five arms over 51 cells (labels, ratings, titles; 204 comparisons), then times both
commands: the comparison, the report after it, and the report without what the comparison kept. And
a permutation test of 20,000 samples. In seconds of CPU on one core, the least of some runs; with
--against, those of an earlier checkout of this repository take turns with ours.

    python benchmarks/comparing.py [--samples 400] [--runs 3] [--against CHECKOUT]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.scoring.metrics import macro_f1, root_mean

TASKS = ("lamp2u", "lamp3u", "lamp5u")
OTHERS = ("int8", "int4-nf4", "int4-gptq", "int4-awq")
RETRIEVERS = ("bm25", "contriever", "recency", "random")
WORDS = (
    *("deep", "sparse", "model", "of", "language", "for", "tasks"),
    *("with", "graphs", "text", "neural", "learning", "fast", "robust"),
)
TIME = "2026-01-01T00-00-00.000000"
FACTS = {
    "data_sha256": "d",
    "retriever_sha256": "r",
    "protocol": "qrag",
    "order": "best-first",
    "prompt": "lamp",
    "filter": "none",
    "index": "lamp",
    "fill": "exact",
    "split": "dev",
    "oversized": "skip",
    "answer": "generate",
}


PERMUTATION = """
import numpy as np
from qrag_tasks.experiment.statistics import permutation_p
rng = np.random.default_rng(0)
base = rng.random(20_000)
other = np.where(rng.random(20_000) < 0.3, rng.random(20_000), base)
assert permutation_p(base, other) is not None
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Time compare and report.")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3, help="Of which the least counts.")
    parser.add_argument("--against", type=Path, help="A checkout to be timed as well.")
    asked = parser.parse_args()
    checkouts = [Path(__file__).resolve().parents[1]]
    if asked.against:
        checkouts.append(asked.against.resolve())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cells = write_runs(root, asked.samples)
        print(f"{cells * len(OTHERS)} comparisons of {asked.samples} samples")
        least: list[dict[str, float]] = [{} for _ in checkouts]
        for _ in range(asked.runs):
            for known, checkout in zip(least, checkouts, strict=True):
                for name, used in timed(root, checkout):
                    print(f"  {checkout}: {name}: {used:.1f} s", flush=True)
                    known[name] = min(used, known.get(name, used))
    for name, used in least[0].items():
        before = least[-1][name]
        said = f", of {before:.1f} s before: 1/{before / used:.1f}" if asked.against else ""
        print(f"{name}: {used:.1f} s{said}")


def timed(root: Path, checkout: Path) -> Iterator[tuple[str, float]]:
    """Yield the name of each task, and the seconds of CPU that it took."""
    arms = [str(root / arm) for arm in ("fp16", *OTHERS)]
    qrag = ["-m", "qrag_tasks.cli"]
    report = [*qrag, "report", *arms, "-o", str(root / "report.html")]
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as empty:
        yield "compare", seconds(checkout, kept, [*qrag, "compare", *arms])
        yield "report after it", seconds(checkout, kept, report)
        yield "report alone", seconds(checkout, empty, report)
        yield "permutation test", seconds(checkout, empty, ["-c", PERMUTATION])


def seconds(checkout: Path, cache: str, command: list[str]) -> float:
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "QRAG_CACHE": cache,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = subprocess.DEVNULL
    # In the checkout: what Python finds in the current folder comes first.
    subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env=environment,
        check=True,
        stdout=quiet,
        stderr=quiet,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_runs(root: Path, samples: int) -> int:
    """Write a run for every arm and cell; return the number of cells."""
    cells = [
        (task, k, retriever)
        for task in TASKS
        for k in (0, 1, 3, 5, 10)
        for retriever in (RETRIEVERS if k else RETRIEVERS[:1])
    ]
    for number, (task, k, retriever) in enumerate(cells):
        rng = random.Random(number)
        labels = LAMP_TASKS[task].answer.values
        golds = [
            rng.choice(labels) if labels else " ".join(rng.sample(WORDS, 7)) for _ in range(samples)
        ]
        prompts = [prompt(task, k, retriever, i) for i in range(samples)]
        base = answers(golds, labels, rng)
        for place, arm in enumerate(("fp16", *OTHERS)):
            others = answers(golds, labels, rng)
            given = [
                two if rng.random() < 0.08 * place else one
                for one, two in zip(base, others, strict=True)
            ]
            rows = [
                sample(i, task, k, *told)
                for i, told in enumerate(zip(prompts, golds, given, strict=True))
            ]
            write_run(root / arm / str(number), arm, task, k, retriever, rows)
    return len(cells)


def prompt(task: str, k: int, retriever: str, number: int) -> str:
    """Return the question behind k documents out of its profile, of which a retriever has an order.

    A larger k has the documents of a smaller one, too, as real prompts do.
    """
    rng = random.Random(f"{task} {number}")
    profile = [" ".join(rng.choices(WORDS, k=100)) for _ in range(20)]
    question = " ".join(rng.choices(WORDS, k=100))
    random.Random(f"{retriever} {number}").shuffle(profile)
    return f"{task} {number}: " + " ".join([*profile[:k], question])


def answers(golds: Sequence[str], labels: Sequence[str] | None, rng: random.Random) -> list[str]:
    """Return labels of which two thirds are right, and titles that are near the golds."""
    if labels:
        return [gold if rng.random() < 2 / 3 else rng.choice(labels) for gold in golds]
    return [" ".join([*gold.split()[: rng.randint(1, 7)], *rng.sample(WORDS, 3)]) for gold in golds]


def sample(
    number: int, task: str, k: int, prompt: str, gold: str, answer: str
) -> dict[str, object]:
    scores = LAMP_TASKS[task].answer.score(answer, gold, False)
    documents = [str(n) for n in range(k)]
    return {
        "doc_id": number,
        "doc": {
            "id": str(number),
            "user": f"user-{number}",
            "target": gold,
            "profile_size": 40,
            "ranked": documents,
            "kept": documents,
            "dropped": [],
            "prompt": prompt,
            "prompt_hash": "0" * 64,
        },
        "target": gold,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": [], "max_gen_toks": 32}}},
        "resps": [[answer]],
        "filtered_resps": [answer],
        "filter": "none",
        "metrics": list(scores),
        **scores,
    }


def write_run(
    folder: Path, arm: str, task: str, k: int, retriever: str, rows: Sequence[dict[str, object]]
) -> None:
    folder.mkdir(parents=True)
    name, metrics = f"{task}_rag_k{k}", list(rows[0]["metrics"])
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"samples_{name}_{TIME}.jsonl").write_text(text, encoding="utf-8")
    reported = {}
    for metric in metrics:
        mean = {"rmse": root_mean, "f1": macro_f1}.get(metric.removesuffix("_lamp"), np.mean)
        reported[f"{metric},none"] = float(mean([row[metric] for row in rows]))
    config = {
        "dataset_kwargs": {"task": task, "k": k},
        "metadata": {"qrag": {**FACTS, "retriever": retriever}},
    }
    body = {
        "results": {name: reported},
        "configs": {name: config},
        "higher_is_better": {name: {m: m[:3] not in ("mae", "rms") for m in metrics}},
        "config": {
            "model": "qrag",
            "model_args": {"pretrained": "org/model-1b"},
            "gen_kwargs": {},
            "qrag": {"precision": arm, "identity": arm},
        },
    }
    (folder / f"results_{TIME}.json").write_text(json.dumps(body), encoding="utf-8")


if __name__ == "__main__":
    main()
