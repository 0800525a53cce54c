"""Runs of two processes that end where one did, though one of the two is killed on the way."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from launched_runs import (
    Answers,
    Failed,
    Row,
    Run,
    answers_in,
    data_of,
    descendants,
    environment,
    last_words,
    row_of,
    share,
    started,
    stop,
    together,
    until,
    wait_for,
    words_of,
)


def deterministic(options: argparse.Namespace, deadline: float) -> Iterator[Row]:
    """One process against two, both with ``deterministic=True``; then one of two is lost."""
    arguments = f"precision={options.arms[0]},deterministic=True"
    make = partial(Run, model=arguments, options=options, in_turn=False, limit=options.few)
    one = make("deterministic on one GPU", gpus=(1,))
    two = make("deterministic on two GPUs", gpus=(0, 1), ranks=2)
    runs = [one, two]
    if "lost" in options.kinds:
        kept = options.work / "kept" / "answers"
        shutil.rmtree(kept.parent, ignore_errors=True)
        kept.parent.mkdir(parents=True)
        cached = ("--use_cache", str(kept))
        runs.append(make("a lost rank", gpus=(0, 1), ranks=2, more=cached))
    for run in runs:
        run.start()
    try:
        if len(runs) > 2:
            lost = row_of("a lost rank, continued", partial(lose_a_rank, runs[2], kept, deadline))
        for run in (one, two):
            row = row_of(run.name, partial(run.finish, deadline))
            if run is two and "error" not in row:
                row |= row_of(run.name, lambda: {"equal": share(two.answers(), one.answers())})
            yield row
        if len(runs) > 2:
            if "error" not in lost:
                lost |= row_of(
                    lost["name"], lambda: {"equal": share(runs[2].answers(), two.answers())}
                )
            yield lost
    finally:
        for run in runs:
            stop(run.process)


def lose_a_rank(run: Run, kept: Path, deadline: float) -> Row:
    """Kill the last rank once some of its answers are kept; then run the same command again."""
    process = run.process
    if process is None:
        raise Failed("it was not started")
    until(lambda: count_kept(kept, 1) > 1, process, deadline)
    rank = next(each for each in descendants(process.pid) if environ_of(each).get("RANK") == "1")
    os.kill(rank, signal.SIGKILL)
    wait_for(process, deadline)
    if process.returncode == 0:
        raise Failed("the launcher did not notice that a rank was lost")
    if list((run.folder / "results").rglob("results_*.json")):
        raise Failed("there are results of a run that was cut short")
    before = count_kept(kept, 0) + count_kept(kept, 1)
    run.start()
    row = run.finish(deadline)
    # Each prompt is a batch of its own here, so these are the answers that were not kept.
    row["kept"] = before
    row["answered_again"] = row["batches"] - (row["samples"] - before)
    return row


def environ_of(process: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{process}/environ").read_text(errors="replace")
    except OSError:
        return {}
    return dict(each.split("=", 1) for each in text.split("\0") if "=" in each)


def count_kept(kept: Path, rank: int) -> int:
    """Return how many answers a rank has in ``--use_cache``."""
    file = Path(f"{kept}_rank{rank}.db")
    if not file.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
            query = "SELECT COUNT(*) FROM unnamed WHERE key NOT LIKE 'qrag-arm:%'"
            return int(base.execute(query).fetchone()[0])
    except sqlite3.Error:  # not made yet, or just being written
        return 0


def write_plan(options: argparse.Namespace) -> Path:
    file: Path = options.work / "plan.yaml"
    plan = {
        "name": "two-gpus",
        "data": data_of(options),
        "models": [{"name": "m", "pretrained": str(options.model), "args": {"batch_size": 4}}],
        "precisions": options.arms,
        "tasks": ["lamp3u", "lamp5u"],
        "k": [5],
        "limit": options.few,
        "chat_template": options.chat_template,
    }
    file.write_text(json.dumps(plan))  # which is YAML
    return file


def shards(options: argparse.Namespace, deadline: float) -> Iterator[Row]:
    """A grid of two arms, a part on each GPU; the same on Ray; and one whose arm is killed."""
    command = [sys.executable, "-m", "qrag_tasks.cli", "run", str(write_plan(options))]
    grids = {name: options.work / "grids" / name for name in ("shards", "lost", "ray")}
    shutil.rmtree(options.work / "grids", ignore_errors=True)
    (options.work / "grids").mkdir(parents=True)
    running: list[subprocess.Popen[bytes]] = []

    def run(name: str, part: int | None = None, *more: str) -> subprocess.Popen[bytes]:
        gpus = (0, 1) if part is None else (part - 1,)
        shard = () if part is None else ("--shard", f"{part}/2")
        running.append(
            started(
                [*command, "--out", str(grids[name]), *shard, *more],
                options.work / "grids" / f"{name}.log",
                environment(options, gpus),
            )
        )
        return running[-1]

    def finish(name: str, *processes: subprocess.Popen[bytes]) -> Row:
        start = time.perf_counter()
        for each in processes:
            wait_for(each, deadline)
            if each.returncode != 0:
                raise Failed(last_words(options.work / "grids" / f"{name}.log"))
        seconds = time.perf_counter() - start
        cells = sum(1 for _ in grids[name].rglob("complete.json"))
        samples = len(cell_answers(grids[name]))
        return {"cells": cells, "samples": samples, "wall_seconds": seconds}

    def lost() -> Row:
        process = run("lost", 1)
        file = until(partial(midway, grids["lost"]), process, deadline)
        arm = next(each for each in descendants(process.pid) if ".arm" in " ".join(words_of(each)))
        before = kept_lines(file)
        os.kill(arm, signal.SIGKILL)
        wait_for(process, deadline)
        if process.returncode == 0:
            raise Failed("the run did not notice that its arm was lost")
        row = finish("lost", run("lost", 1), run("lost", 2))
        after = kept_lines(file)
        kept = after[: len(before)] == before
        row |= {"kept": sum(len(json.loads(line)["answers"]) for line in before[1:])}
        if not kept:
            raise Failed("what was answered before the loss was written over")
        return row

    def by_ray() -> Row:
        if importlib.util.find_spec("ray") is None:
            raise Failed("ray is not installed here")
        return finish("ray", run("ray", None, "--launcher", "ray"))

    rows: dict[str, Row] = {}
    jobs: dict[str, Callable[[], Row]] = {}
    if "shards" in options.kinds or "lost" in options.kinds:
        jobs["shards"] = lambda: finish("shards", run("shards", 1), run("shards", 2))
    if "lost" in options.kinds:
        jobs["lost"] = lost
    if "ray" in options.kinds:
        jobs["ray"] = by_ray
    names = {
        "shards": "grid of two arms, by --shard",
        "lost": "grid whose arm was lost, continued",
        "ray": "grid of two arms, by --launcher ray",
    }

    def equal(name: str) -> dict[str, Any]:
        return {"equal": share(cell_answers(grids[name]), cell_answers(grids["shards"]))}

    def do(name: str) -> None:
        rows[name] = row_of(names[name], jobs[name])

    try:
        together([partial(do, name) for name in jobs])
        for name, row in rows.items():
            if name != "shards" and "error" not in row:
                row |= row_of(row["name"], partial(equal, name))
            yield row
    finally:
        for each in running:
            stop(each)


def cell_answers(grid: Path) -> Answers:
    return {
        (f"{cell.relative_to(grid)} {task}", number): answer
        for cell in sorted({file.parent for file in grid.rglob("samples_*.jsonl")})
        for (task, number), answer in answers_in(cell).items()
    }


def midway(grid: Path) -> Path | None:
    """Return the journal of a cell that is answered in part."""
    for file in grid.rglob("answers.jsonl"):
        if len(kept_lines(file)) > 1 and not (file.parent / "complete.json").exists():
            return file
    return None


def kept_lines(journal: Path) -> list[str]:
    text = journal.read_text() if journal.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
