"""The weights that packed layers stand for, by the formulas of their formats: no kernel is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.arms.declared_precision import Checkpoint
from qrag_tasks.arms.safetensors_files import read_tensor, tensor_files
from qrag_tasks.errors import ModelError

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight columns a 32-bit word of AWQ's GEMM layout holds, from its lowest bits on."""


def bitsandbytes_weight(layer: Any) -> Any:
    """Return the weight of a ``Linear4bit`` or ``Linear8bitLt`` that has not run yet.

    4 bits (QLoRA, arXiv 2305.14314): a code's value times its block's largest absolute value; the
    first of two codes in a byte's upper half. 8 bits (LLM.int8(), arXiv 2208.07339): an integer
    times its row's largest absolute value over 127.

    :returns: float32 tensor of shape (outputs, inputs).
    """
    import torch

    weight = layer.weight
    state = getattr(weight, "quant_state", None)
    if state is None:
        scales = weight.SCB if getattr(weight, "SCB", None) is not None else layer.state.SCB
        return weight.data.float() * scales.float()[:, None] / 127
    if getattr(state, "packing_format_for_cpu", False):
        # Its first pass on a CPU has packed it for a kernel of its own.
        layer._save_to_state_dict({}, "", False)
        state = weight.quant_state
    packed = weight.data.reshape(-1).view(torch.uint8)
    codes = torch.stack([packed >> 4, packed & 15], dim=1).reshape(-1).long()
    largest = state.absmax
    if state.nested:
        inner = state.state2
        values = inner.code.float()[state.absmax.long()]
        largest = values * _each(inner.absmax, inner.blocksize, len(values)) + state.offset
    scales = _each(largest, state.blocksize, len(codes))
    return (state.code.float()[codes] * scales)[: state.shape.numel()].reshape(state.shape)


def stored_weight(folder: Path, name: str, checkpoint: Checkpoint) -> Any:
    """Return the weight that a layer of a GPTQ or AWQ checkpoint stands for.

    :param name: of the layer in the model; in the file it may begin otherwise.
    :param checkpoint: what the files in ``folder`` say.
    :returns: float32 tensor of shape (outputs, inputs), on the CPU.
    :raises ModelError: when the files do not hold it.
    """
    files = tensor_files(folder) or {}
    packed = [key.removesuffix(".qweight") for key in files if key.endswith(".qweight")]
    last = name.split(".")
    found = [key for key in packed if key == name] or [
        # The text part of a larger model has another beginning.
        key
        for key in packed
        if any(key.endswith("." + ".".join(last[i:])) for i in (1, 2))
    ]
    if len(found) != 1:
        raise ModelError(
            f"{folder}: holds no {name}.qweight in safetensors, so that the kernel of this layer "
            f"cannot be checked"
        )
    parts = {
        part: read_tensor(files[key], key)
        for part in ("qweight", "qzeros", "scales", "g_idx")
        if (key := f"{found[0]}.{part}") in files
    }
    bits = checkpoint.bits or 4
    if checkpoint.method == "awq":
        return awq_weight(parts, bits)
    return gptq_weight(parts, bits, zeros_less_one=checkpoint.format != "gptq_v2")


def gptq_weight(parts: Mapping[str, Any], bits: int, *, zeros_less_one: bool) -> Any:
    """Return (code - zero) * scale of a GPTQ layer, arXiv 2210.17323; codes packed along inputs.

    :param parts: ``qweight``, ``qzeros``, ``scales`` and, where inputs are not in order, ``g_idx``.
    :param zeros_less_one: whether zeros are stored less one, as in all but format ``gptq_v2``.
    """
    import torch

    codes = _unpacked(parts["qweight"].T, bits).T
    zeros = _unpacked(parts["qzeros"], bits)
    if zeros_less_one:
        zeros = (zeros + 1) & (2**bits - 1)
    scales = parts["scales"].float()
    size = -(-codes.shape[0] // scales.shape[0])
    groups = parts.get("g_idx", torch.arange(codes.shape[0]) // size).long()
    return ((codes - zeros[groups]) * scales[groups]).T


def awq_weight(parts: Mapping[str, Any], bits: int) -> Any:
    """Return (code - zero) * scale of an AWQ layer, arXiv 2306.00978, in the layout GEMM.

    :param parts: ``qweight``, ``qzeros`` and ``scales``; codes packed along outputs.
    """
    import torch

    order = torch.tensor(AWQ_ORDER).argsort()

    def unpacked(packed: Any) -> Any:
        values = _unpacked(packed, bits)
        return values.reshape(len(values), -1, len(AWQ_ORDER))[:, :, order].reshape(values.shape)

    codes, zeros, scales = unpacked(parts["qweight"]), unpacked(parts["qzeros"]), parts["scales"]
    groups = torch.arange(len(codes)) // -(-len(codes) // len(scales))
    return ((codes - zeros[groups]) * scales.float()[groups]).T


def _unpacked(packed: Any, bits: int) -> Any:
    """Return the codes in words of 32 bits: from (rows, words) to (rows, words * 32 / bits)."""
    import torch

    shifts = torch.arange(0, 32, bits)
    codes = (packed.long()[:, :, None] >> shifts) & (2**bits - 1)
    return codes.reshape(packed.shape[0], -1)


def _each(values: Any, size: int, count: int) -> Any:
    return values.float().repeat_interleave(size)[:count]
