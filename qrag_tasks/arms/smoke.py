"""A first pass through one quantized layer, which finds a kernel that computes something else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.checkpoints import Checkpoint
from qrag_tasks.arms.formats.facts import Declaration
from qrag_tasks.arms.layers import linear_layers
from qrag_tasks.arms.precisions import formats
from qrag_tasks.errors import ModelError

ROWS = 8


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


def smoke_check(model: Any, checkpoint: Checkpoint | None = None) -> SmokeResult:
    """Run the smallest quantized layer of a block, and compare with its dequantized weights.

    :param checkpoint: that the model was loaded from. Some kernels pack weights again, as
        GPT-QModel's do: theirs are read from its files.
    :raises ModelError: when the kernel fails or computes something else, or cannot be checked.
    """
    import torch

    quantized = [layer for layer in linear_layers(model) if layer.quantized]
    layers = [layer for layer in quantized if layer.role == "block"] or quantized
    if not layers:
        raise ModelError("no layer of the model is quantized: there is no kernel to check")
    layer = min(layers, key=lambda each: each.in_features * each.out_features)
    module = model.get_submodule(layer.name)
    if (form := formats().get(layer.method)) is None:
        raise ModelError(f"{layer}: no format knows it, so its kernel cannot be checked")
    device = next(
        tensor.device for tensor in (*module.parameters(), *module.buffers()) if tensor.numel()
    )
    # Before the layer runs: some pack their weights again at the first pass.
    declared = Declaration() if checkpoint is None else checkpoint.declared
    folder = None if checkpoint is None else checkpoint.folder
    weight = form.dequantized(module, layer.name, declared, folder).to(device)
    bias = getattr(module, "bias", None)
    bias = None if bias is None else bias.detach().float().clone()
    generator = torch.Generator().manual_seed(0)
    # As in a model, where a scale may belong to a token: one text of so many tokens.
    inputs = torch.randn(1, ROWS, layer.in_features, generator=generator).to(device, model.dtype)
    try:
        with torch.no_grad():
            outputs = module(inputs)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"the kernel of {layer} fails on {device}: {type(error).__name__}: {reason}. Quantize "
            f"otherwise (group size, format), or take another device or version of its package."
        ) from error
    inputs = form.rounded_inputs(module, inputs)
    expected = torch.nn.functional.linear(inputs.float(), weight, bias)
    distance = (outputs.float() - expected).norm() / expected.norm()
    tolerance = form.tolerance(layer)
    result = SmokeResult(layer.name, layer.kernel, float(distance), tolerance)
    if not result.error <= tolerance:
        raise ModelError(
            f"the kernel of {layer} computes something else than its weights say, on {device}: "
            f"relative error {result.error:.2g}, where {tolerance:.2g} is allowed. Its answers "
            f"would mean nothing; take another version of its package, or another device."
        )
    return result
