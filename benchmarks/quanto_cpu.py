"""What a layer of optimum-quanto's takes on a CPU: ``python benchmarks/quanto_cpu.py``.

In bfloat16, 8 bits (where a processor allows it, 4 bits in groups of 128, too) compute in torch's
kernels for packed weights; what is left is unpacked for every pass. Printed are the milliseconds
that a layer takes for so many tokens (the shortest of five passes), beside one of bfloat16.
"""

from __future__ import annotations

import time

import torch
from optimum.quanto import QLinear, qfloat8_e4m3fn, qint2, qint4, qint8

from qrag_tasks.arms.formats.quanto import unpack_with_torch

INPUTS, OUTPUTS = 896, 4864  # of a feed-forward layer of Qwen2.5-0.5B
TOKENS = (1, 16, 64, 256, 1024)
PASSES = 5
KINDS = {"fp8": qfloat8_e4m3fn, "int8": qint8, "int4": qint4, "int2": qint2}


@torch.inference_mode()
def main() -> None:
    unpack_with_torch()
    torch.manual_seed(0)
    plain = torch.nn.Linear(INPUTS, OUTPUTS, bias=False, dtype=torch.bfloat16)
    layers = {"bfloat16": plain}
    for name, kind in KINDS.items():
        layers[name] = QLinear.from_module(plain, weights=kind)
        layers[name].freeze()
    for tokens in TOKENS:
        inputs = torch.randn(tokens, INPUTS, dtype=torch.bfloat16)
        for name, layer in layers.items():
            layer(inputs)
            taken = 1000 * min(seconds(layer, inputs) for _ in range(PASSES))
            print(f"{tokens:5} tokens, {name:8}: {taken:7.2f} ms")


def seconds(layer: torch.nn.Module, inputs: torch.Tensor) -> float:
    start = time.perf_counter()
    layer(inputs)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
