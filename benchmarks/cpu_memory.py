"""What memory an arm takes on a CPU: ``python benchmarks/cpu_memory.py MODEL [PRECISION...]``.

For each precision, two batches of four prompts of some 900 words are answered in processes of their
own: as glibc's malloc does it by itself, and with a fixed ``MALLOC_MMAP_THRESHOLD_``, above which
what was used in passing goes back to the system at once. Printed are the memory before the first
batch, the peak, and the processor's time, with its ratio to the first row's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

THRESHOLDS = (None, 8_000_000, 1_000_000)
BATCHES, PROMPTS, WORDS = 2, 4, 900


def measure(model: str, precision: str) -> dict[str, float]:
    import psutil
    from lm_eval.api.instance import Instance

    from qrag_tasks.harness.model import QragLM

    arm = QragLM(model, precision=precision, device="cpu")
    generation: dict[str, Any] = {"until": [], "max_gen_toks": 8, "do_sample": False}
    before, start = psutil.Process().memory_info().rss, time.process_time()
    for batch in range(BATCHES):
        texts = [" ".join(["the kettle"] * (WORDS // 2 - 7 * i - batch)) for i in range(PROMPTS)]
        arm.generate_until(
            [Instance("generate_until", {}, (text, generation), i) for i, text in enumerate(texts)],
            disable_tqdm=True,
        )
    # In kilobytes, on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"before": before, "peak": peak, "seconds": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("precisions", nargs="*", default=["bf16", "int8"], metavar="PRECISION")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure(given.model, given.precisions[0])))
        return
    for precision in given.precisions:
        first = None
        for threshold in THRESHOLDS:
            fixed = {} if threshold is None else {"MALLOC_MMAP_THRESHOLD_": str(threshold)}
            done = subprocess.run(
                [sys.executable, __file__, "--here", given.model, precision],
                env={**os.environ, **fixed},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found["seconds"]
            print(
                f"{precision:9} threshold {threshold or 'its own':>9}  "
                f"before {found['before'] / 1e9:5.2f} GB  peak {found['peak'] / 1e9:5.2f} GB  "
                f"{found['seconds']:6.1f} s  x{found['seconds'] / first:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
