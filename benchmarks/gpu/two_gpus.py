"""What two GPUs do that one does not: ranks, shards, parallel vLLM, and one that is lost.

``python benchmarks/gpu/two_gpus.py MODEL --data FOLDER --out FILE --page docs/speed.md``

All models are loaded side by side and then answer in turn (``lm_eval_in_turn.py``), so that the
seconds of answering are theirs alone. What is not timed runs together in the end: deterministic
runs on one GPU and on two, a grid in two parts and on Ray, and runs of which a process is killed
and that are continued. Every row is written to ``FILE`` as it comes; a part that fails is a row
with its error. ``--device cpu`` runs the same on two processes of a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from launched_runs import Failed, Row, Run, share, stop, together
from lost_processes import deterministic, shards
from marked_page import between_marks
from precisions import machine

MARKS = ("<!-- two GPUs: begin -->", "<!-- two GPUs: end -->")
MOST_SHOWN = 20
"""Answers unlike those of the first run that are written down, of each run."""
KINDS = ("ranks", "vllm", "deterministic", "shards", "ray", "lost")


def ranks_runs(options: argparse.Namespace) -> list[tuple[Run, ...]]:
    """Return the turns: one process of each arm on a GPU of its own, then both on each arm."""
    alone = [
        Run(f"transformers {arm} on one GPU", f"precision={arm}", options, (number % 2,))
        for number, arm in enumerate(options.arms)
    ]
    both = [
        Run(f"transformers {arm} on two GPUs", f"precision={arm}", options, (0, 1), ranks=2)
        for arm in options.arms
    ]
    turns: list[tuple[Run, ...]] = [tuple(alone)]
    return [*turns, *((each,) for each in both)]


def vllm_runs(options: argparse.Namespace) -> list[tuple[Run, ...]]:
    arguments = f"engine=vllm,precision={options.arms[0]},deterministic=True,{options.vllm_args}"
    cpu = {"VLLM_CPU_OMP_THREADS_BIND": "0|1"} if options.device == "cpu" else {}
    # The same run again, and on the other GPU, tell what several replicas change from what a
    # start or a GPU does.
    runs = [
        ("on one GPU", "", (0,), {}),
        ("on one GPU, started again", "", (0,), {}),
        ("on the other GPU", "", (1,), {}),
        ("tensor_parallel_size=2", ",tensor_parallel_size=2", (0, 1), cpu),
        ("data_parallel_size=2", ",data_parallel_size=2", (0, 1), {}),
    ]
    return [
        (
            Run(
                *(f"vllm {options.arms[0]} {name}", arguments + more, options),
                gpus=gpus,
                environment=environment,
            ),
        )
        for name, more, gpus, environment in runs
    ]


def timed(
    turns: Sequence[tuple[Run, ...]],
    every: Sequence[Run],
    deadline: float,
    note: Callable[[Row], None],
) -> None:
    """Have runs answer in turn; note each, compared with the first of its engine and arm.

    :param every: all that are timed.
    """
    for turn in turns:

        def finish(run: Run) -> None:
            row: Row = {"name": run.name}
            try:
                row |= run.finish(deadline)
                if base := first_of(run, every).answers():
                    answers = run.answers()
                    row["equal"] = share(answers, base)
                    row["other_answers"] = [
                        [*place, base[place], answer]
                        for place, answer in answers.items()
                        if answer != base[place]
                    ][:MOST_SHOWN]
            except Failed as error:
                stop(run.process)
                row["error"] = str(error)
            note(row)

        # Each of a turn answers on a GPU of its own, at the same time.
        together([partial(finish, run) for run in turn])


def first_of(run: Run, every: Sequence[Run]) -> Run:
    """Return the first run of the same engine and arm."""
    return next(each for each in every if kind_of(each.name) == kind_of(run.name))


def kind_of(name: str) -> str:
    return " ".join(name.split()[:2])


# ---------------------------------------------------------------------- the table
def table(report: Mapping[str, Any]) -> str:
    head = (
        *("run", "seconds", "x", "models", "prompts", "prompt tokens", "peak GB", "energy kJ"),
        *("equal answers", "what else"),
    )
    rows = [head, ("---", *["---:"] * (len(head) - 2), "---")]
    base = {kind_of(row["name"]): row.get("seconds") for row in report["rows"][::-1]}
    for row in report["rows"]:
        seconds = row.get("seconds") if row.get("timed") else None
        first = base[kind_of(row["name"])]
        rows.append(
            (
                row["name"],
                figure(seconds, ".1f"),
                figure(seconds and first and seconds / first, ".2f"),
                figure(row.get("ranks"), ","),
                figure(row.get("samples"), ","),
                figure(row.get("prompt_tokens"), ","),
                figure((row.get("peak_reserved_bytes") or 0) / 1e9 or None, ".1f"),
                figure((row.get("joules") or 0) / 1e3 or None, ".1f"),
                figure(row.get("equal"), ".1%"),
                row["error"].replace("|", "/") if "error" in row else remark(row),
            )
        )
    return "\n".join("| " + " | ".join(each) + " |" for each in rows)


def remark(row: Row) -> str:
    """Say of a row what no other column has."""
    said = []
    vllm = row.get("vllm") or {}
    replicas = vllm.get("replicas") or ([vllm["workers"]] if vllm.get("workers") else [])
    if replicas:
        layers = [str(worker["linear_layers"]) for one in replicas for worker in one]
        said.append(f"linear layers read of each worker: {', '.join(layers)}")
    if "cells" in row:
        said.append(f"{row['cells']} cells")
    if "kept" in row:
        said.append(f"{row['kept']} answers kept")
    if "answered_again" in row:
        said.append(f"{row['answered_again']} of them answered again")
    return "; ".join(said)


def figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def heading(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    samples = f"{report['limit']} samples a task" if report["limit"] else "all samples"
    return (
        f"{machine['gpu'] or 'CPU'}; {report['model']}; `lamp3u_rag_k5` and `lamp5u_rag_k5`, "
        f"{samples} where it is timed, else {report['few']} a task; {versions}."
    )


def main(arguments: Sequence[str] | None = None) -> Mapping[str, Any]:
    """Run all parts, and return the report."""
    options = parse(arguments)
    deadline = time.perf_counter() + options.seconds
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "machine": machine(),
        "model": options.model.name,
        "limit": options.limit,
        "few": options.few,
        "rows": [],
    }
    writing = threading.Lock()
    begun = time.perf_counter()

    def note(row: Row) -> None:
        with writing:
            report["rows"].append({**row, "at_second": round(time.perf_counter() - begun, 1)})
            options.out.write_text(json.dumps(report, indent=1))
        said = row.get("error") or {key: row[key] for key in ("seconds", "equal") if key in row}
        print(f"{time.perf_counter() - begun:5.0f} s  {row['name']:45} {said}", flush=True)

    def timed_row(row: Row) -> None:
        note({**row, "timed": True})

    def note_all(part: Callable[..., Iterator[Row]]) -> None:
        for row in part(options, deadline):
            note(row)

    turns = ranks_runs(options) if "ranks" in options.kinds else []
    of_vllm = vllm_runs(options) if "vllm" in options.kinds else []
    runs = [run for turn in (*turns, *of_vllm) for run in turn]
    rest = [deterministic] if "deterministic" in options.kinds else []
    rest += [shards] if {"shards", "ray", "lost"} & set(options.kinds) else []
    try:
        for run in runs:
            run.start()
        # What transformers loads is to be loaded before the first is timed.
        for run in (run for turn in turns for run in turn):
            with contextlib.suppress(Failed):  # which the run's own row says
                run.wait_until_ready(deadline)
        timed(turns[:-1], runs, deadline, timed_row)
        # While the last ones answer, these only import what they need.
        threads = [threading.Thread(target=note_all, args=(part,)) for part in rest]
        for each in threads:
            each.start()
        timed([*turns[-1:], *of_vllm], runs, deadline, timed_row)
        for each in threads:
            each.join()
    finally:
        for run in runs:
            stop(run.process)
    order = [run.name for run in runs]
    report["rows"].sort(key=lambda row: order.index(row["name"]) if row["name"] in order else 99)
    options.out.write_text(json.dumps(report, indent=1))
    text = f"{heading(report)}\n\n{table(report)}"
    print(f"\n{text}")
    if options.page:
        options.page.write_text(between_marks(options.page.read_text(), text, MARKS))
    return report


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("model", type=Path, help="folder of a checkpoint in 16 bits")
    add("--data", type=Path, required=True, help="data root with lamp3u and lamp5u, or mini")
    add("--out", type=Path, required=True, help="JSON file for all that was measured")
    add("--page", type=Path, help="page whose table is written again")
    add("--work", type=Path, default=Path("two-gpus"), help="folder for logs and results")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--arms", type=lambda text: text.split(","), default=["fp16", "int4-nf4"])
    add("--kinds", type=lambda text: text.split(","), default=list(KINDS), help=",".join(KINDS))
    add("--limit", type=int, help="samples a task of what is timed; all by default")
    add("--few", type=int, default=24, help="samples a task of what is not timed")
    add("--chat_template", action="store_true", help="put the prompts into the model's template")
    add("--seconds", type=float, default=280, help="what runs is stopped when these are over")
    add(
        "--vllm_args",
        default="enforce_eager=True,gpu_memory_utilization=0.15,kv_cache_memory_bytes=8000000000",
        help="further model arguments of vLLM: models of all parts are loaded side by side",
    )
    options = parser.parse_args(arguments)
    options.model = options.model.resolve()
    options.work = options.work.resolve()
    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        parser.error(f"unknown kinds {', '.join(unknown)} (known: {', '.join(KINDS)})")
    return options


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
