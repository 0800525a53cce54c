"""How fast this CPU multiplies matrices in each dtype: ``python benchmarks/cpu_dtypes.py``.

The shapes are those of one MLP layer of a 0.5B model reading 500 tokens. Each round times every
dtype once, so that a noisy machine slows all alike; printed are medians, and the ratio to float16.
"""

from __future__ import annotations

import statistics
import time

import torch

TOKENS, HIDDEN, MLP, ROUNDS = 500, 896, 4864, 7
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def main() -> None:
    operands = {
        dtype: (torch.randn(TOKENS, HIDDEN).to(dtype), torch.randn(MLP, HIDDEN).to(dtype))
        for dtype in DTYPES
    }
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in DTYPES}
    for _ in range(ROUNDS):
        for dtype, (inputs, weights) in operands.items():
            start = time.perf_counter()
            torch.nn.functional.linear(inputs, weights)
            seconds[dtype].append(time.perf_counter() - start)
    base = statistics.median(seconds[torch.float16])
    for dtype, times in seconds.items():
        median = statistics.median(times)
        rate = 2 * TOKENS * HIDDEN * MLP / median / 1e9
        print(f"{dtype!s:16} {median * 1e3:8.1f} ms {rate:8.1f} GFLOP/s   x{base / median:.1f}")


if __name__ == "__main__":
    main()
