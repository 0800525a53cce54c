"""FP8 on a CPU, where torch would multiply it by oneDNN's reference kernel."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

_KERNELS = "vllm.model_executor.kernels.linear.scaled_mm.pytorch"
_METHOD = "apply_scaled_mm"
_CPU = Path("/proc/cpuinfo")


def multiply_by_rows() -> None:
    """Have vLLM's kernels for FP8 give every row a scale of its own, for all of this process.

    With AMX, ``torch._scaled_mm`` of a single scale is oneDNN's, which multiplies FP8 where AMX
    does FP16, and elsewhere has its reference: on two threads 31 s for 256 tokens and a layer of
    896 to 4,864, where torch with a scale a row takes .03 s (benchmarks/layers_cpu.py). Both are
    products of the same numbers, added in fp32. A vLLM whose kernels have other names stays as it
    is.
    """
    try:
        kernels = importlib.import_module(_KERNELS)
    except ImportError:
        return
    for name in (
        "PerTensorTorchFP8ScaledMMLinearKernel",
        "ChannelWiseTorchFP8ScaledMMLinearKernel",
    ):
        if _METHOD in vars(getattr(kernels, name, object)):
            setattr(getattr(kernels, name), _METHOD, _by_rows)


def has_only_reference(cpu: Path = _CPU) -> bool:
    """Return whether oneDNN has nothing but its reference for FP8 on a processor.

    :param cpu: what the system says of it.
    """
    try:
        text = cpu.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "amx_tile" in flags and "amx_fp16" not in flags


def _by_rows(
    _kernel: Any, *, out_dtype: Any, bias: Any, output_shape: list[int], **operands: Any
) -> Any:
    """Multiply as vLLM's own method does, of the same arguments.

    :param operands: ``A``, rows, with padding at the end; ``B``; ``As``, a scale for all rows or
        for each; ``Bs``, a scale for all columns of ``B`` or for each.
    """
    import torch

    tokens = math.prod(output_shape[:-1])
    right = operands["B"]
    of_rows, of_columns = operands["As"].reshape(-1, 1), operands["Bs"].reshape(1, -1)
    if len(of_rows) == 1:
        of_rows = of_rows.expand(tokens, 1)
    output = torch._scaled_mm(
        torch.narrow(operands["A"], 0, 0, tokens),
        right,
        scale_a=torch.narrow(of_rows, 0, 0, tokens).contiguous(),
        scale_b=of_columns.expand(1, right.shape[1]).contiguous(),
        out_dtype=out_dtype,
        bias=bias,
    )
    return output.view(*output_shape)
