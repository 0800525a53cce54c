"""What ranking costs: ``python benchmarks/ranking.py [--data FOLDER] [RETRIEVER...]``.

With retrievers named: what each takes a user, the first time and once more. Without, ``bm25`` is
examined; that needs ``rank-bm25``.

Three questions, each answered within one run, because machines are noisy:

- ``bm25`` against rank_bm25 on the same profiles, on one core, rounds taking turns;
- ranking everything against reading it from the store;
- one worker against two, and the memory that ``qrag rank`` takes for 2,500 users with 190
  documents of 120 words, LaMP-3's size.

Without ``--data`` the profiles are made up: words by Zipf's law, as texts have them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rank_bm25 import BM25Okapi

from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.queries import make_query
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.data import DataSet
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

ROUNDS = 5
INPUT = "What is the score of the following review? review: "


def write_lamp3(root: Path, users: int, documents: int, words: int) -> Path:
    """Write made-up reviews in LaMP's format, a user at a time."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{i:x}" for i in range(30_000)])
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    weights /= weights.sum()
    folder = root / "lamp3u"
    folder.mkdir(parents=True)
    with (folder / "questions.json").open("w", encoding="utf-8") as file:
        for user in range(users):
            drawn = rng.choice(vocabulary, size=(documents + 1, words), p=weights)
            texts = [" ".join(row) for row in drawn]
            profile = [
                {"id": f"{user}-{i}", "text": text, "score": str(1 + i % 5)}
                for i, text in enumerate(texts[1:])
            ]
            question = {"id": str(user), "input": INPUT + texts[0], "profile": profile}
            file.write(("[" if user == 0 else ",\n") + json.dumps(question))
        file.write("]")
    golds = [{"id": str(user), "output": "3"} for user in range(users)]
    (folder / "outputs.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}))
    return root


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def with_rank_bm25(dataset: DataSet) -> None:
    """Rank as LaMP's code does."""
    task = dataset.task
    for sample in dataset.samples:
        documents = [task.document_text(item) for item in sample.profile]
        index = BM25Okapi([text.split() for text in documents])
        np.argsort(index.get_scores(task.query(sample.input).split()))[::-1]


def with_bm25(dataset: DataSet) -> None:
    """Rank as qrag-tasks does, contract checks included."""
    retriever = build_retriever("bm25")
    for sample in dataset.samples:
        retriever.rank([make_query(dataset.task, sample, retriever)])


def compare(dataset: DataSet, folder: Path) -> None:
    users = len(dataset.samples)
    ours, theirs, stored = [], [], []
    rankings = Rankings(dataset, build_retriever("bm25"), folder)
    filling = seconds(lambda: list(rankings.fill()))
    for _ in range(ROUNDS):
        theirs.append(seconds(lambda: with_rank_bm25(dataset)))
        ours.append(seconds(lambda: with_bm25(dataset)))
        again = Rankings(dataset, build_retriever("bm25"), folder)
        stored.append(seconds(partial(again.of, range(users), 5)))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    faster = statistics.median(a / b for a, b in zip(ours, stored, strict=True))
    size = statistics.mean(len(sample.profile) for sample in dataset.samples)
    print(
        f"{dataset.task.name}: {users} users of {size:.0f} documents; ms a user, best of {ROUNDS}"
    )
    for what, times in (("rank_bm25", theirs), ("bm25", ours), ("from the store, k = 5", stored)):
        print(f"  {what:<22} {min(times) / users * 1e3:8.3f}")
    print(f"  {'ranked and stored':<22} {filling / users * 1e3:8.3f}")
    print(f"  bm25 / rank_bm25, median of the rounds: {ratio:.2f}")
    print(f"  ranking / reading the store:            {faster:.0f}\n")


def time_retriever(dataset: DataSet, spec: str) -> None:
    retriever = build_retriever(spec)
    queries = [make_query(dataset.task, sample, retriever) for sample in dataset.samples]
    passes = [seconds(partial(retriever.rank, queries)) / len(queries) * 1e3 for _ in range(2)]
    print(
        f"{dataset.task.name}, {len(queries)} users: {passes[0]:8.2f} ms a user, then "
        f"{passes[1]:8.2f}  {spec}"
    )


def rank_command(root: Path, cache: Path, workers: int) -> tuple[float, float]:
    """Run ``qrag rank`` and return its seconds and its peak memory, all processes, in GB (Linux).

    The peak is the sum of each process's own, so an upper bound.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "qrag_tasks.cli", "rank", "lamp3u", "--data", str(root)]
    process = subprocess.Popen(
        [*command, "--workers", str(workers)],
        env={**os.environ, "QRAG_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in [process.pid, *children(process.pid)]:
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{pid}/status").read_text()
                peaks[pid] = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit("qrag rank failed")
    return time.perf_counter() - start, sum(peaks.values()) / 2**20


def children(pid: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def whole_benchmark(root: Path, cache: Path) -> None:
    size = sum(path.stat().st_size for path in root.rglob("*.json"))
    print(f"qrag rank, 2,500 users x 190 documents x 120 words ({size / 1e6:.0f} MB of json)")
    times = {}
    for workers in (1, 2):
        times[workers], peak = rank_command(root, cache / str(workers), workers)
        print(f"  {workers} worker(s): {times[workers]:6.1f} s, peak {peak:.2f} GB, all processes")
    again, _ = rank_command(root, cache / "1", 1)
    print(f"  everything found in the store: {again:.1f} s, start and reading the data")
    one, two = times[1] - again, times[2] - again
    print(f"  without these: {one:.1f} s with one and {two:.1f} s with two: {one / two:.2f} x\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="data root with lamp3u and lamp5u, to compare on")
    parser.add_argument("retrievers", nargs="*", metavar="RETRIEVER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.data:
            sets = [data.load(LAMP_TASKS[name], options.data) for name in ("lamp3u", "lamp5u")]
        else:
            root = write_lamp3(folder / "some", 200, 190, 120)
            sets = [data.load(LAMP_TASKS["lamp3u"], str(root))]
        for dataset in sets:
            for spec in options.retrievers:
                time_retriever(dataset, spec)
            if not options.retrievers:
                compare(dataset, folder / "store")
        if options.retrievers:
            return
        whole_benchmark(write_lamp3(folder / "whole", 2_500, 190, 120), folder / "cache")


if __name__ == "__main__":
    main()
