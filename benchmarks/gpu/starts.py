"""How long vLLM takes to start, again and again: ``python benchmarks/gpu/starts.py MODEL``.

Each start is a process of its own, one after the other, so that the first finds what others have
compiled on this machine, if anything, and the last finds all of it. Imports are timed apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time


def start(model: str, arguments: str) -> None:
    """Import all that a run imports, start the engine, and print the seconds of both."""
    begun = time.perf_counter()
    import lm_eval.models  # noqa: F401 - a run has imported it
    import torch

    from qrag_tasks.engines.vllm import environment

    # vLLM reads it as it is imported.
    environment.prepare(invariant=False)
    import vllm.entrypoints.llm  # noqa: F401 - of the package alone next to nothing is imported
    from lm_eval.api.registry import get_model

    import qrag_tasks.harness.model  # noqa: F401 - what Python's start leaves until it is asked for

    torch.zeros(1, device="cuda" if torch.cuda.is_available() else "cpu")
    imported = time.perf_counter()
    given = f"pretrained={model},engine=vllm,{arguments}"
    get_model("qrag").create_from_arg_string(given, {"batch_size": "auto"})
    done = time.perf_counter()
    print(f"imports {imported - begun:6.1f} s, start {done - imported:6.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--model_args", default="precision=fp16", help="further model arguments")
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    for number in range(options.starts):
        print(f"start {number + 1}: ", end="", flush=True)
        command = [sys.executable, __file__, options.model, "--model_args", options.model_args]
        subprocess.run([*command, "--starts", "0"], check=True, stderr=subprocess.DEVNULL)
    if not options.starts:
        start(options.model, options.model_args)


if __name__ == "__main__":
    main()
