"""What 4 bits of bitsandbytes take on a CPU with AVX512-BF16: ``python benchmarks/nf4_cpu.py``.

There bitsandbytes packs a layer again at its first pass, for a kernel of its own; qrag-tasks has it
unpack the weights for every pass instead. Printed are the milliseconds that a layer takes for so
many tokens (the shortest of five passes), and how far its output is from what the weights say, as
a share of the output's size.
"""

from __future__ import annotations

import time

import torch
from bitsandbytes.nn import Linear4bit

from qrag_tasks.arms.formats.bitsandbytes import unpack_for_every_pass, weight_of

INPUTS, OUTPUTS = 896, 4864  # of a feed-forward layer of Qwen2.5-0.5B
TOKENS = (1, 16, 64, 256, 1024)
PASSES = 5


def layer(dtype: torch.dtype) -> Linear4bit:
    torch.manual_seed(0)
    plain = torch.nn.Linear(INPUTS, OUTPUTS, bias=False, dtype=dtype)
    made = Linear4bit(INPUTS, OUTPUTS, bias=False, compute_dtype=dtype, quant_type="nf4")
    made.load_state_dict(plain.state_dict())
    return made.to("cpu").eval()


@torch.inference_mode()
def main() -> None:
    for dtype in (torch.bfloat16, torch.float32):
        for way in ("packed", "unpacked"):
            tested = layer(dtype)
            weight = weight_of(tested)
            if way == "unpacked":
                unpack_for_every_pass(tested)
            elif not tested.support_avx512bf16_for_cpu:
                print("packed: this CPU has no AVX512-BF16")
                continue
            for tokens in TOKENS:
                inputs = torch.randn(tokens, INPUTS).to(dtype)
                error = off(tested(inputs), inputs.float() @ weight.T)
                taken = 1000 * min(seconds(tested, inputs) for _ in range(PASSES))
                kind = f"{way:8} {str(dtype).removeprefix('torch.'):8}"
                print(f"{kind} {tokens:5} tokens: {taken:7.2f} ms, off by {error:.1e}")


def off(outputs: torch.Tensor, right: torch.Tensor) -> float:
    return float((outputs.float() - right).norm() / right.norm())


def seconds(tested: Linear4bit, inputs: torch.Tensor) -> float:
    start = time.perf_counter()
    tested(inputs)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
