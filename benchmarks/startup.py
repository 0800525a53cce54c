"""What the autoload .pth adds to every interpreter start: ``python benchmarks/startup.py``.

Run it in an environment where qrag-tasks is installed. Each round starts Python twice, with
``QRAG_AUTOLOAD=0`` and without, and the difference within a round is taken. Whole processes are
noisy, so the line itself is also timed alone, in fresh processes: the sharper number.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 60
PTH = Path(__file__).parents[1] / "qrag_tasks" / "harness" / "autoload.pth"
LINE = f"""
import os, time
line = {PTH.read_text(encoding="utf-8")!r}
os.environ["QRAG_AUTOLOAD"] = "1"
start = time.perf_counter()
exec(line)
print(time.perf_counter() - start)
"""


def start_seconds(autoload: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "pass"], env={**os.environ, "QRAG_AUTOLOAD": autoload}, check=True
    )
    return time.perf_counter() - start


def line_seconds() -> float:
    out = subprocess.run(
        [sys.executable, "-c", LINE],
        env={**os.environ, "QRAG_AUTOLOAD": "0"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(out)


def main() -> None:
    on, off = [], []
    for _ in range(ROUNDS):
        off.append(start_seconds("0"))
        on.append(start_seconds("1"))
    lines = [line_seconds() for _ in range(ROUNDS)]
    difference = statistics.median(a - b for a, b in zip(on, off, strict=True))
    print(f"interpreter start, median of {ROUNDS}: {statistics.median(off) * 1e3:.2f} ms without")
    print(f"                                 {statistics.median(on) * 1e3:.2f} ms with autoload")
    print(f"median difference within a round: {difference * 1e3:+.3f} ms")
    print(f"the .pth line alone:              {statistics.median(lines) * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
