"""One run of lm_eval on a CPU in a process of its own, and what it took.

A way to run is an interpreter, a model of lm_eval's and its arguments. Seconds are those of
lm_eval's ``generate_until``, and those of all threads together where others use the processor, too;
memory is the most that the process held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"


@dataclass(frozen=True)
class Way:
    """One way to run the workload.

    :ivar python: name of the interpreter.
    :ivar model: lm_eval's name of the model.
    :ivar arguments: of the model; ``{model}`` is its folder, ``{work}`` that of the files that are
        made of it.
    """

    name: str
    python: str
    model: str
    arguments: str
    batch_size: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """What every way is asked.

    :ivar model: folder of the model; ``None`` for the embedded one.
    :ivar work: folder for the files that are made of it, and for records.
    :ivar tasks: of lm_eval, commas between them.
    :ivar limit: samples a task; ``None`` for all.
    :ivar record: name of the file in ``work`` that a run writes; one for each that runs at a time.
    """

    model: Path | None
    work: Path
    tasks: str
    metadata: Mapping[str, Any]
    limit: int | None
    threads: int
    chat: bool = True
    record: str = "record.json"


def lacks(python: str, package: str) -> str:
    """Say what an interpreter lacks; nothing where it has the package."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    try:
        if subprocess.run([python, "-c", code], check=False).returncode == 0:
            return ""
    except OSError as error:
        return str(error)
    return f"{python} has no {package}"


def measure(way: Way, load: Workload, pythons: Mapping[str, str]) -> dict[str, Any]:
    """Run a way; return what was measured, or ``error``, and the seconds of all of it."""
    record = load.work / load.record
    record.unlink(missing_ok=True)
    arguments = way.arguments.format(model=load.model, work=load.work)
    command = [
        *(pythons[way.python], __file__, record, "run"),
        *("--model", way.model, "--model_args", arguments, "--tasks", load.tasks),
        *("--metadata", json.dumps(load.metadata), "--output_path", load.work / "results"),
        *(["--apply_chat_template"] if load.chat else []),
        *(["--limit", load.limit] if load.limit else []),
        *(["--batch_size", way.batch_size] if way.batch_size else []),
    ]
    start = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": str(load.threads), **way.environment},
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


def make_gguf(model: Path, work: Path, kinds: Sequence[str], python: str) -> None:
    """Write a model's GGUF files that are not there yet, by an interpreter with llama.cpp.

    They are ``work/KIND.gguf``, of file types that need no text to be calibrated with.
    """
    code = (
        "import sys; from pathlib import Path; from gguf_models import *\n"
        "model, work = map(Path, sys.argv[1:3])\n"
        "source = work / 'f16.gguf'\n"
        "source.exists() or write_gguf(model, source, 'f16')\n"
        "[quantize_gguf(source, work / f'{kind}.gguf', kind) for kind in sys.argv[3:]]\n"
    )
    missing = [kind for kind in kinds if not (work / f"{kind}.gguf").exists()]
    if missing:
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        subprocess.run(
            [python, "-c", code, model, work, *missing],
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )


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


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def same(run: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    pairs = list(zip(run["answers"], base["answers"], strict=True))
    return sum(one.strip() == other.strip() for one, other in pairs) / len(pairs)


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2:])
