"""What a quantized layer takes on a CPU: ``python benchmarks/layers_cpu.py LIBRARY``.

``bitsandbytes``
    4 bits, in bfloat16 and float32. On a processor with AVX512-BF16 it packs a layer again at its
    first pass, for a kernel of its own; qrag-tasks has it unpack the weights for every pass
    instead.
``fp8``
    torch's product of FP8. Where AMX does not compute FP16, one with single scales is left to
    oneDNN's reference kernel; with a scale a row torch computes it.
``gptqmodel``
    GPTQ by the kernels of GPT-QModel that a CPU has: ``torch_aten``, its choice for 4 bits, and
    ``torch``, for all other bits, which unpacks the weights for every pass, or once, if
    ``GPTQ_TORCH_CACHE_WEIGHTS`` says so.
``quanto``
    In bfloat16, 8 bits (where a processor allows it, 4 bits in groups of 128, too) compute in
    torch's kernels for packed weights; what is left is unpacked for every pass.

Printed are the milliseconds that a layer takes for so many tokens, beside one of bfloat16: the
shortest of six passes, or of those that begin within ten seconds. For bitsandbytes, printed is also
how far its output is from what the weights say, as a share of the output's size.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from itertools import chain, product
from typing import Any, NamedTuple

import torch

INPUTS, OUTPUTS = 896, 4864  # of a feed-forward layer of Qwen2.5-0.5B
TOKENS = (1, 16, 64, 256, 1024)
PASSES, ENOUGH = 5, 10.0
DTYPES = (torch.bfloat16, torch.float32)

Layer = Callable[[torch.Tensor], torch.Tensor]


class Tested(NamedTuple):
    """A layer that is timed.

    :ivar dtype: of its inputs.
    :ivar weight: float32, of shape (outputs, inputs): what its output is compared with.
    """

    name: str
    layer: Layer
    dtype: torch.dtype = torch.bfloat16
    weight: torch.Tensor | None = None


def bitsandbytes() -> Iterator[Tested]:
    from bitsandbytes.nn import Linear4bit

    from qrag_tasks.arms.formats.bitsandbytes import unpack_for_every_pass, weight_of

    for dtype, way in product(DTYPES, ("packed", "unpacked")):
        made = Linear4bit(INPUTS, OUTPUTS, bias=False, compute_dtype=dtype, quant_type="nf4")
        made.load_state_dict(plain(dtype).state_dict())
        made = made.to("cpu").eval()
        weight = weight_of(made)
        if way == "unpacked":
            unpack_for_every_pass(made)
        elif not made.support_avx512bf16_for_cpu:
            print("packed: this CPU has no AVX512-BF16")
            continue
        yield Tested(f"{way}, {str(dtype).removeprefix('torch.')}", made, dtype, weight)


def fp8() -> Iterator[Tested]:
    right = plain().weight.to(torch.float8_e4m3fn).t()

    def single(inputs: torch.Tensor) -> torch.Tensor:
        return scaled(inputs, torch.ones(()), torch.ones(()))

    def by_row(inputs: torch.Tensor) -> torch.Tensor:
        return scaled(inputs, torch.ones(len(inputs), 1), torch.ones(1, OUTPUTS))

    def scaled(
        inputs: torch.Tensor, of_rows: torch.Tensor, of_columns: torch.Tensor
    ) -> torch.Tensor:
        left = inputs.to(torch.float8_e4m3fn)
        return torch._scaled_mm(
            left, right, scale_a=of_rows, scale_b=of_columns, out_dtype=torch.bfloat16
        )

    yield Tested("single scales", single)
    yield Tested("a scale a row", by_row)


def gptqmodel() -> Iterator[Tested]:
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.nn_modules.qlinear.torch_aten_kernel import TorchAtenLinear

    TorchAtenLinear.validate_once()
    yield Tested("4 bits, torch_aten", gptq_layer(TorchAtenLinear, 4))
    for once in ("0", "1"):
        os.environ["GPTQ_TORCH_CACHE_WEIGHTS"] = once
        for bits in (8, 4, 3, 2):
            kept = ", unpacked once" if once == "1" else ""
            yield Tested(f"{bits} bits, torch{kept}", gptq_layer(TorchLinear, bits))


def gptq_layer(kind: type, bits: int) -> torch.nn.Module:
    made: Any = kind(
        bits=bits,
        group_size=128,
        sym=True,
        desc_act=False,
        in_features=INPUTS,
        out_features=OUTPUTS,
        bias=False,
    )
    for name, codes in made.named_buffers():
        if name in ("qweight", "qzeros"):
            codes.random_(-(2**31), 2**31 - 1)
    made.scales.uniform_(0.001, 0.002)
    made.post_init()
    layer: torch.nn.Module = made.eval()
    return layer


def quanto() -> Iterator[Tested]:
    from optimum.quanto import QLinear, qfloat8_e4m3fn, qint2, qint4, qint8

    from qrag_tasks.arms.formats.quanto import unpack_with_torch

    unpack_with_torch()
    kinds = {"fp8": qfloat8_e4m3fn, "int8": qint8, "int4": qint4, "int2": qint2}
    for name, kind in kinds.items():
        layer = QLinear.from_module(plain(), weights=kind)
        layer.freeze()
        yield Tested(name, layer)


LIBRARIES = {each.__name__: each for each in (bitsandbytes, fp8, gptqmodel, quanto)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", choices=LIBRARIES)
    library = LIBRARIES[parser.parse_args().library]
    with torch.inference_mode():
        for tested in chain([Tested("bfloat16", plain())], library()):
            for tokens in TOKENS:
                inputs = torch.randn(tokens, INPUTS, dtype=tested.dtype)
                taken, outputs = shortest(tested.layer, inputs)
                weight = tested.weight
                off = "" if weight is None else f", off by {share(outputs, inputs, weight):.1e}"
                print(
                    f"{tested.name:28} {tokens:5} tokens: {1000 * taken:9.2f} ms{off}", flush=True
                )


def plain(dtype: torch.dtype = torch.bfloat16) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(INPUTS, OUTPUTS, bias=False, dtype=dtype)


def shortest(layer: Layer, inputs: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return the seconds of the shortest pass, and what it returned."""
    taken: list[float] = []
    while len(taken) < 1 + PASSES and sum(taken) < ENOUGH:  # the first makes things ready
        start = time.perf_counter()
        outputs = layer(inputs)
        taken.append(time.perf_counter() - start)
    return min(taken), outputs


def share(outputs: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor) -> float:
    right = inputs.float() @ weight.T
    return float((outputs.float() - right).norm() / right.norm())


if __name__ == "__main__":
    main()
