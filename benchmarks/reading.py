"""What reading LaMP's files costs: ``python benchmarks/reading.py [--data FOLDER]``.

Without ``--data`` a file is made up that is shaped like LaMP-3U's dev split: 2,500 questions with
190 profile items on average and 1,000 at most, 400 MB of json, a tenth of the questions by a user
who has asked before. ``--keep`` leaves it in a folder for the next time.

Every figure is taken in a process of its own, within one run, because machines are noisy: reading
everything by plain ``json.load``, converting (what the first start costs), and opening (what every
later start costs). Peak memory is the whole process's, interpreter and packages included (Linux).
The disk's own speed is not measured: whatever is read has just been written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 3
QUESTIONS, ITEMS, MOST_ITEMS, SIZE = 2_500, 190, 1_000, 400_000_000
INPUT = "What is the score of the following review? review: "


def write_lamp3(root: Path) -> Path:
    """Write made-up reviews in LaMP's format, a question at a time."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{i:x}" for i in range(30_000)])
    vocabulary[::50] = [f"caf\xe9{i}\u2019s" for i in range(len(vocabulary[::50]))]
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    corpus = rng.choice(vocabulary, size=1_000_000, p=weights / weights.sum()).tolist()
    sizes = np.clip(rng.gamma(1.2, 1 / 1.2, QUESTIONS), 0.05, None)
    sizes = np.clip(sizes * (ITEMS / sizes.mean()), 10, MOST_ITEMS).astype(int)
    item_size = SIZE / sizes.sum()
    characters = sum(map(len, (json.dumps(word) for word in corpus))) / len(corpus) - 1
    words = (item_size - 50) / characters

    def text() -> str:
        length = int(np.clip(rng.lognormal(-0.5, 1), 0.02, 20) * words) + 1
        start = int(rng.integers(len(corpus) - length))
        return " ".join(corpus[start : start + length])

    folder = root / "lamp3u"
    folder.mkdir(parents=True, exist_ok=True)
    profiles: list[list[dict[str, str]]] = []
    with (folder / "questions.json").open("w", encoding="utf-8") as file:
        for number, size in enumerate(sizes.tolist()):
            if number % 10 == 9:
                profile = profiles[number // 2 % len(profiles)]
            else:
                profile = [
                    {"id": f"{number}{i}", "text": text(), "score": str(1 + i % 5)}
                    for i in range(size)
                ]
                if len(profiles) < 300:
                    profiles.append(profile)
            question = {"id": str(number), "input": INPUT + text(), "profile": profile}
            file.write(("[" if number == 0 else ", ") + json.dumps(question))
        file.write("]")
    golds = [{"id": str(number), "output": "3"} for number in range(QUESTIONS)]
    (folder / "outputs.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}))
    return root


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


# Each of these runs in a process of its own and prints what it found.
def plain_json(root: Path) -> dict[str, float]:
    def read() -> None:
        with next(root.rglob("*questions.json")).open(encoding="utf-8") as file:
            json.load(file)

    return {"seconds": seconds(read)}


def load(root: Path) -> dict[str, float]:
    """Load as a task does; the imports are part of it."""

    def read() -> None:
        from qrag_tasks.tasks.lamp import data
        from qrag_tasks.tasks.lamp.table import LAMP_TASKS

        data.load(LAMP_TASKS["lamp3u"], str(root))

    return {"seconds": seconds(read)}


def samples(root: Path) -> dict[str, float]:
    """Time a sample: the first time, when its part of the file is checked, and the second."""
    from qrag_tasks.tasks.lamp import data
    from qrag_tasks.tasks.lamp.table import LAMP_TASKS

    loaded = data.load(LAMP_TASKS["lamp3u"], str(root)).samples
    order = list(range(len(loaded)))
    figures = {}
    for name in ("in order", "at random"):
        opened = deepcopy(loaded)  # opens the files again, of which nothing is checked yet
        for time_of in ("first", "second"):
            took = seconds(partial(list, map(opened.__getitem__, order)))
            figures[f"{name}, {time_of} time"] = took / len(order)
        random.Random(0).shuffle(order)
    return figures


MEASURED = {"json.load": plain_json, "load": load, "samples": samples}


def measure(what: str, root: Path, cache: Path) -> dict[str, float]:
    out = subprocess.run(
        [sys.executable, __file__, "--measure", what, "--data", str(root)],
        env={**os.environ, "QRAG_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return dict(json.loads(out))


def compare(root: Path, folder: Path) -> None:
    source = next(root.rglob("*questions.json"))
    print(f"{source}: {source.stat().st_size / 1e6:.0f} MB; median of {ROUNDS} rounds")
    rounds: dict[str, list[dict[str, float]]] = {"json.load": [], "convert": [], "open": []}
    for number in range(ROUNDS):
        cache = folder / f"cache{number}"
        rounds["json.load"].append(measure("json.load", root, cache))
        rounds["convert"].append(measure("load", root, cache))
        rounds["open"].append(measure("load", root, cache))
    print(f"  {'':<12} {'seconds':>8} {'peak MB':>8}   both to json.load's")
    for what, figures in rounds.items():
        middle = {
            unit: statistics.median(figure[unit] for figure in figures)
            for unit in ("seconds", "megabytes")
        }
        ratios = [
            statistics.median(
                figure[unit] / plain[unit]
                for figure, plain in zip(figures, rounds["json.load"], strict=True)
            )
            for unit in ("seconds", "megabytes")
        ]
        print(
            f"  {what:<12} {middle['seconds']:8.2f} {middle['megabytes']:8.0f}   "
            f"{ratios[0]:.2f} and {ratios[1]:.2f}"
        )
    size = sum(path.stat().st_size for path in cache.rglob("*.arrow"))
    print(f"  on disk: {size / 1e6:.0f} MB, {size / source.stat().st_size:.2f} of the json")
    for name, took in measure("samples", root, cache).items():
        if name != "megabytes":
            print(f"  a sample {name}: {took * 1e3:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="data root with lamp3u")
    parser.add_argument("--keep", type=Path, help="folder for the made-up file")
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        figures = MEASURED[options.measure](options.data)
        # Not getrusage's ru_maxrss: that of a young process is its parent's where it was larger.
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(json.dumps({**figures, "megabytes": int(peak) / 1e3}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = options.data or options.keep or folder / "data"
        if not list(root.rglob("*questions.json")):
            write_lamp3(root)
        compare(root, folder)


if __name__ == "__main__":
    main()
