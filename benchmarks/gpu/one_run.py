"""Run lm_eval in a process of its own, and read what it measured.

``python one_run.py RECORD MARLIN ARGUMENTS...`` is that process; ``Run`` starts it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from random_models import FOLDERS, load_kernels

HF_ARGUMENTS = {
    "fp16": "dtype=float16",
    "bf16": "dtype=bfloat16",
    "int8": "dtype=float16,load_in_8bit=True",
    "int4-nf4": "dtype=float16,load_in_4bit=True",
    "int4-gptq": "dtype=float16",
    "int4-awq": "dtype=float16",
}


def child(record: Path, marlin: str | None, arguments: list[str]) -> None:
    """Run lm_eval's command line once told to on stdin; write what was measured to ``record``."""
    measured: dict[str, Any] = {}
    import lm_eval.api.model
    import lm_eval.evaluator
    import lm_eval.models.huggingface as huggingface
    import lm_eval.tasks
    import torch
    from lm_eval.__main__ import cli_evaluate

    from qrag_tasks.locations import task_yamls
    from qrag_tasks.metering.energy import energy_counter

    with contextlib.suppress(Exception):
        import qrag_tasks.harness.model  # noqa: F401 - before the clock runs

    if torch.cuda.is_initialized():
        print("WARNING: the imports put the GPU in use", flush=True)
    sys.stdin.readline()
    gpu = torch.cuda.is_available()
    joules = energy_counter(torch.device("cuda" if gpu else "cpu"))
    if marlin and gpu:
        load_kernels(marlin)
    pretrained = arguments[arguments.index("--model_args") + 1].partition(",")[0]
    if Path(pretrained).name in FOLDERS.values():
        with contextlib.suppress(ImportError):
            import gptqmodel  # noqa: F401 - likewise

    if any("vllm" in argument for argument in arguments):
        with contextlib.suppress(ImportError):
            # Of the package alone next to nothing is imported.
            import vllm.entrypoints.llm  # noqa: F401 - likewise

    def now() -> float:
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    base = lm_eval.api.model.LM
    created = {name: vars(base)[name].__func__ for name in CREATORS}
    manager, create = lm_eval.tasks.TaskManager, huggingface.HFLM._create_model
    evaluate = lm_eval.evaluator.evaluate
    index = manager.__init__

    def ours_only(self: Any, *args: Any, **kwargs: Any) -> None:
        index(self, *args, **{**kwargs, "include_defaults": False, "include_path": [task_yamls()]})

    def timed(name: str) -> Any:
        def create_lm(cls: Any, *args: Any, **kwargs: Any) -> Any:
            start = now()
            lm = created[name](cls, *args, **kwargs)
            measured["start_seconds"] = now() - start
            return lm

        return classmethod(create_lm)

    def timed_create(self: Any, *args: Any, **kwargs: Any) -> None:
        start = now()
        create(self, *args, **kwargs)
        measured["load_seconds"] = now() - start
        kinds = {type(module).__name__ for module in self.model.modules()}
        measured["layers"] = sorted(name for name in kinds if "Linear" in name)
        measured["weight_bytes"] = bytes_of(self.model)
        if gpu:
            measured["loaded_bytes"] = torch.cuda.memory_allocated()

    def timed_evaluate(lm: Any, *args: Any, **kwargs: Any) -> Any:
        answer = lm.generate_until

        def generate_until(requests: Any, *more: Any, **options: Any) -> Any:
            before, start = joules(), now()
            answers = answer(requests, *more, **options)
            measured["generate_seconds"] = now() - start
            after = joules()
            measured["joules"] = None if before is None or after is None else after - before
            measured["answers"] = list(answers)
            write()
            return answers

        lm.generate_until = generate_until
        return evaluate(lm, *args, **{**kwargs, "bootstrap_iters": 0})

    def write() -> None:
        if gpu:
            measured["peak_bytes"] = torch.cuda.max_memory_allocated()
            measured["peak_reserved_bytes"] = torch.cuda.max_memory_reserved()
        record.write_text(json.dumps(measured))

    for name in CREATORS:
        setattr(base, name, timed(name))
    manager.__init__ = ours_only
    huggingface.HFLM._create_model = timed_create
    lm_eval.evaluator.evaluate = timed_evaluate
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()


def bytes_of(model: Any) -> int:
    """Return the bytes of all that a model holds, once each."""
    tensors = [plain for held in (*model.parameters(), *model.buffers()) for plain in parts(held)]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def parts(tensor: Any) -> Iterator[Any]:
    """Yield the tensors with memory of their own that a quantized tensor is made of."""
    if hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from parts(getattr(tensor, name))
    else:
        yield tensor


CREATORS = ("create_from_arg_string", "create_from_arg_obj")
"""How lm_eval creates a model of any kind."""


def model_of(arm: str, engine: str, options: argparse.Namespace) -> list[str]:
    """Return the part of lm_eval's command line that names an arm."""
    pretrained = f"pretrained={options.work / FOLDERS.get(arm, 'fp16')}"
    if engine == "qrag":
        return ["--model", engine, "--model_args", pretrained + f",precision={arm}"]
    arguments = ["--model", engine, "--model_args", pretrained + "," + HF_ARGUMENTS[arm]]
    return [*arguments, "--batch_size", str(options.batch)]


class Run:
    """One run of lm_eval.

    :param name: of the run, and of its folder.
    :param model: the part of the command line that names the model.
    :param options: ``work``, ``tasks``, ``limit``, ``data``, ``marlin``; ``metadata`` where there
        is more to say of the prompts.
    :param environment: variables beside those of this process.
    """

    def __init__(
        self,
        name: str,
        model: Sequence[str],
        options: argparse.Namespace,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.model, self.options = name, model, options
        self.environment = {**os.environ, **(environment or {})}
        self.folder = options.work / "runs" / name.replace(" ", "-")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log.txt"
        self.process: subprocess.Popen[str] | None = None

    def arguments(self) -> list[str]:
        """Return lm_eval's command line."""
        options = self.options
        more = getattr(options, "metadata", {})
        return [
            *("run", *self.model),
            *("--tasks", ",".join(options.tasks), "--limit", str(options.limit)),
            *("--metadata", json.dumps({"data": str(options.data.resolve()), **more})),
            *("--output_path", str(self.folder / "results")),
        ]

    def start(self) -> None:
        """Start the process, which then waits for its turn."""
        command = [sys.executable, __file__, str(self.folder / "record.json")]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, self.options.marlin or "", *self.arguments()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=self.environment,
            )

    def finish(self, seconds: float) -> dict[str, Any]:
        """Let it run, and return what it measured."""
        process, start = self.process, time.perf_counter()
        if process is None or process.stdin is None:
            raise RuntimeError("start() comes first")
        problem = None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("go\n")
                process.stdin.close()
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            problem = f"stopped after {seconds:.0f} s"
        found: dict[str, Any] = {"name": self.name}
        found["wall_seconds"] = time.perf_counter() - start
        with contextlib.suppress(OSError):
            found |= json.loads((self.folder / "record.json").read_text())
        for file in (self.folder / "results").rglob("results_*.json"):
            written = json.loads(file.read_text())
            found["qrag"] = (written.get("config") or {}).get("qrag")
            found["scores"] = written.get("results")
        if process.returncode != 0 or "generate_seconds" not in found:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            # What libraries warn of as they end comes after it.
            said = [line for line in lines if "rror: " in line] or lines or ["no output"]
            found["error"] = problem or said[-1]
            found["log_end"] = lines[-25:]
        return found


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3:])
