"""Runs of lm_eval in one process or several, and what they have left."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
POLL = 0.1
Row = dict[str, Any]
Answers = Mapping[tuple[str, int], str]


class Failed(Exception):  # noqa: N818 - what a row says
    """A part cannot be had."""


@dataclass
class Run:
    """A command line of lm_eval, its folder and its process.

    :ivar gpus: that it may see.
    :ivar ranks: processes that share it.
    :ivar limit: samples a task, where it is not that of all runs.
    :ivar more: of the command line.
    :ivar in_turn: whether it waits for its turn to answer.
    :ivar environment: variables beside those of this process.
    """

    name: str
    model: str
    options: argparse.Namespace
    gpus: Sequence[int] = (0,)
    ranks: int = 1
    limit: int | None = None
    more: Sequence[str] = ()
    in_turn: bool = True
    process: subprocess.Popen[bytes] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.options.work / self.name.replace(" ", "-").replace(",", "")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.log, self.turn = self.folder / "log.txt", self.folder / "turn"

    def command(self) -> list[str]:
        """Return the command line."""
        options = self.options
        arguments = [
            *("run", "--model", "qrag", "--model_args", f"pretrained={options.model},{self.model}"),
            *("--tasks", "lamp3u_rag_k5,lamp5u_rag_k5", "--log_samples", *self.more),
            *("--metadata", json.dumps({"data": data_of(options)})),
            *("--output_path", str(self.folder / "results")),
            *(["--apply_chat_template"] if options.chat_template else []),
            *(["--limit", str(limit)] if (limit := self.limit or options.limit) else []),
        ]
        script = [str(HERE / "lm_eval_in_turn.py"), str(self.turn)]
        return [*self.launcher(), *(script if self.in_turn else ["-m", "lm_eval"]), *arguments]

    def launcher(self) -> list[str]:
        """Return what starts the processes."""
        if self.ranks == 1:
            return [sys.executable]
        if self.options.device == "cpu":  # accelerate's own starts one process there
            start = (sys.executable, "-m", "torch.distributed.run", "--standalone")
            return [*start, "--nproc_per_node", str(self.ranks)]
        return [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", str(self.ranks), "--num_machines", "1"),
            *("--mixed_precision", "no", "--dynamo_backend", "no"),
            *("--main_process_port", str(free_port())),
        ]

    def start(self) -> None:
        """Start the command."""
        self.process = started(
            self.command(), self.log, environment(self.options, self.gpus, self.environment)
        )

    def wait_until_ready(self, deadline: float) -> None:
        """Wait until every rank has loaded its model."""
        while len(list(self.folder.glob("turn.ready-*"))) < self.ranks:
            if self.ended() or time.perf_counter() > deadline:
                raise Failed(self.last_words() if self.ended() else "no time left")
            time.sleep(POLL)

    def ended(self) -> bool:
        """Tell whether its process has ended, or was never started."""
        return self.process is None or self.process.poll() is not None

    def finish(self, deadline: float) -> Row:
        """Let it answer, and return what its results hold."""
        if self.process is None:
            raise Failed("it was not started")
        if self.in_turn:
            self.wait_until_ready(deadline)
            self.turn.touch()
        start = time.perf_counter()
        wait_for(self.process, deadline)
        if self.process.returncode != 0:
            raise Failed(self.last_words())
        row = self.results()
        row["wall_seconds"] = time.perf_counter() - start
        return row

    def results(self) -> Row:
        """Read the results; one file of them must be there."""
        files = list((self.folder / "results").rglob("results_*.json"))
        if len(files) != 1:
            raise Failed(f"{len(files)} files of results")
        config = json.loads(files[0].read_text())["config"]
        cost, arm = config["qrag"]["cost"], config["qrag"]["arm"]
        return {
            "seconds": cost["run_seconds"],
            "load_seconds": cost["load_seconds"],
            "ranks": cost["ranks"],
            "device": cost["device"],
            "prompt_tokens": cost["prompt_tokens"],
            "generated_tokens": cost["generated_tokens"],
            "batches": cost["batches"],
            "peak_reserved_bytes": cost["peak_device_reserved_bytes"],
            "joules": cost["energy_joules"],
            "vllm": {name: config.get("vllm", {}).get(name) for name in ("workers", "replicas")},
            "layers": arm["layers"],
            "identity": config["qrag"]["identity"],
            "samples": len(self.answers()),
        }

    def answers(self) -> Answers:
        """Return what was answered, by task and document."""
        return answers_in(self.folder / "results")

    def last_words(self) -> str:
        """Return the last line of its log that says something."""
        return last_words(self.log)


# ---------------------------------------------------------------------- processes
def started(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=env
        )


def environment(
    options: argparse.Namespace, gpus: Sequence[int], more: Mapping[str, str] | None = None
) -> dict[str, str]:
    given = {**os.environ, "PYTHONUNBUFFERED": "1", **(more or {})}
    if options.device == "cpu":
        # As many threads as torchrun gives each of its processes: more would wait for each other.
        return {"OMP_NUM_THREADS": "1", **given, "ACCELERATE_USE_CPU": "true"}
    # vLLM would try to add up by NVLink's multicast, which GPUs that are shared out do not have.
    given = {"VLLM_ALLREDUCE_USE_SYMM_MEM": "0", **given}
    return {**given, "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}


def wait_for(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.perf_counter()))
    except subprocess.TimeoutExpired:
        stop(process)
        raise Failed("no time left") from None


def stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a process and all that it has started."""
    if process is not None and process.poll() is None:
        for each in (*descendants(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait()


def descendants(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, file.read_text().split()):
                yield child
                yield from descendants(child)


def words_of(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").replace("\r", "\n").splitlines() if log.exists() else []
    # Behind that, the launcher speaks of itself.
    own = list(itertools.takewhile(lambda line: "torch/distributed/elastic" not in line, lines))
    said = [line.strip() for line in own or lines if line.strip() and "warn" not in line.lower()]
    errors = [line for line in said if "error" in line.lower()]
    return (errors or said or ["it said nothing"])[-1][:300]


def until(condition: Callable[[], Any], process: subprocess.Popen[bytes], deadline: float) -> Any:
    """Return what a condition returns once that is true; the process must run until then."""
    while not (value := condition()):
        if process.poll() is not None:
            raise Failed("it ended before anything could be killed")
        if time.perf_counter() > deadline:
            raise Failed("no time left")
        time.sleep(POLL / 4)
    return value


# ---------------------------------------------------------------------- answers
def answers_in(folder: Path) -> Answers:
    answers = {}
    for file in folder.rglob("samples_*.jsonl"):
        task = file.name.removeprefix("samples_").rpartition("_")[0]
        for line in file.read_text().splitlines():
            sample = json.loads(line)
            answers[task, int(sample["doc_id"])] = str(sample["resps"][0][0])
    return answers


def share(one: Answers, other: Answers) -> float:
    """Return the share of answers that are equal; the same prompts must have been answered."""
    if not one or one.keys() != other.keys():
        raise Failed(f"{len(one)} answers against {len(other)}, not of the same prompts")
    return sum(one[key] == other[key] for key in one) / len(one)


def data_of(options: argparse.Namespace) -> str:
    return str(options.data) if str(options.data) == "mini" else str(options.data.resolve())


# ---------------------------------------------------------------------- rows
def row_of(name: str, make: Callable[[], Row]) -> Row:
    try:
        return {"name": name, **make()}
    except Failed as error:
        return {"name": name, "error": str(error)}


def together(calls: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
