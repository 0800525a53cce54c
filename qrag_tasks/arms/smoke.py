"""A first pass through one quantized layer, which finds a kernel that computes something else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.arms.adapters import name_without_adapter
from qrag_tasks.arms.checkpoints import read_checkpoint
from qrag_tasks.arms.layers import Layer, linear_layers
from qrag_tasks.arms.unpacking import bitsandbytes_weight, stored_weight
from qrag_tasks.errors import ModelError

ROWS = 8
WEIGHTS_ONLY = 1e-2
"""Sums and scales in 16 bits: bfloat16 rounds by up to 2 ** -9 = 0.2 %, some of it several times.
A kernel that takes one zero or scale for another is off by 10 % and more."""
WITH_ACTIVATIONS = 2e-2
"""Activations in 8 bits, too: a row's 255 steps reach to its largest value, some 3 to 4 standard
deviations, so they round by about 4 / 127 / sqrt(12) = 0.9 % of one."""


@dataclass(frozen=True)
class SmokeResult:
    """How far a layer was from its dequantized weights.

    :ivar error: norm of the difference over norm of the result.
    :ivar tolerance: the most that is allowed.
    """

    layer: str
    kernel: str
    error: float
    tolerance: float

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, as JSON has it."""
        return dataclasses.asdict(self)


def smoke_check(model: Any, folder: Path | None = None) -> SmokeResult:
    """Run the smallest quantized layer of a block, and compare with its dequantized weights.

    :param folder: of the checkpoint. GPTQ's and AWQ's kernels pack weights again, so theirs are
        read from there; bitsandbytes' need none.
    :raises ModelError: when the kernel fails or computes something else, or cannot be checked.
    """
    import torch

    quantized = [layer for layer in linear_layers(model) if layer.quantized]
    layers = [layer for layer in quantized if layer.role == "block"] or quantized
    if not layers:
        raise ModelError("no layer of the model is quantized: there is no kernel to check")
    layer = min(layers, key=lambda each: each.in_features * each.out_features)
    module = model.get_submodule(layer.name)
    device = next(
        tensor.device for tensor in (*module.parameters(), *module.buffers()) if tensor.numel()
    )
    # Before the layer runs: some pack their weights again at the first pass.
    weight = _weight(layer, module, folder).to(device)
    bias = getattr(module, "bias", None)
    bias = None if bias is None else bias.detach().float().clone()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, layer.in_features, generator=generator).to(device, model.dtype)
    try:
        with torch.no_grad():
            outputs = module(inputs)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"the kernel of {layer} fails on {device}: {type(error).__name__}: {reason}. Quantize "
            f"otherwise (group size, format), or take another device or version of its package."
        ) from error
    expected = torch.nn.functional.linear(inputs.float(), weight, bias)
    distance = (outputs.float() - expected).norm() / expected.norm()
    tolerance = WITH_ACTIVATIONS if layer.bits == 8 else WEIGHTS_ONLY
    result = SmokeResult(layer.name, layer.kernel, float(distance), tolerance)
    if not result.error <= tolerance:
        raise ModelError(
            f"the kernel of {layer} computes something else than its weights say, on {device}: "
            f"relative error {result.error:.2g}, where {tolerance:.2g} is allowed. Its answers "
            f"would mean nothing; take another version of its package, or another device."
        )
    return result


def _weight(layer: Layer, module: Any, folder: Path | None) -> Any:
    if layer.method == "bitsandbytes":
        return bitsandbytes_weight(module)
    if layer.method in ("gptq", "awq") and folder is not None:
        name = name_without_adapter(layer.name)
        return stored_weight(folder, name, read_checkpoint(str(folder)))
    raise ModelError(f"{layer}: its kernel cannot be checked without the folder of its checkpoint")
