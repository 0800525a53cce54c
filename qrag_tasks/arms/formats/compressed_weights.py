"""The weights that tensors of compressed-tensors stand for, by formulas of ours.

``weight_packed`` of integers holds codes of b bits from the lowest bit of 32-bit words on, along
the inputs, as code + 2 ** (b - 1); of 4-bit floating point two codes a byte, the first in its lower
half. ``weight_scale`` has a scale a row, a group of inputs, a block or the whole; the
``weight_zero_point`` of packed integers is packed along the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.arms.formats.compressed_schemes import Rounding

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes of the 4-bit floating-point number E2M1, by its lower three bits."""
E4M3_LARGEST = 448.0
_MX_BIAS = 127


def stored_weight(parts: Mapping[str, Any], weights: Rounding, in_features: int) -> Any:
    """Return the weight that a layer's stored tensors stand for.

    :param parts: ``weight_packed`` or ``weight``, ``weight_scale`` and, where they are stored,
        ``weight_zero_point`` and ``weight_global_scale``.
    :returns: float32 tensor of shape (outputs, inputs).
    """
    scales = parts["weight_scale"]
    if "weight_packed" not in parts:
        codes = parts["weight"].float()
    elif weights.type == "float":
        codes = _fp4_codes(parts["weight_packed"])
    else:
        codes = _integers(parts["weight_packed"], weights.bits, in_features).float()
    if scales.dtype.itemsize == 1 and not scales.is_floating_point():
        scales = 2.0 ** (scales.float() - _MX_BIAS)
    scales = scales.float()
    if "weight_global_scale" in parts:
        scales = scales / parts["weight_global_scale"].float()
    zeros = parts.get("weight_zero_point")
    if zeros is not None and "weight_packed" in parts:
        zeros = _integers(zeros.T, weights.bits, len(codes)).T
    if zeros is not None:
        codes = codes - spread(zeros.float(), codes.shape, weights)
    return codes * spread(scales, codes.shape, weights)


def spread(values: Any, shape: Any, weights: Rounding) -> Any:
    """Return scales or zeros so that they multiply a matrix: each beside what shares it."""
    outputs, inputs = shape
    if weights.strategy == "tensor" or values.numel() == 1:
        return values.reshape(1, 1)
    if weights.block is not None:
        rows, columns = weights.block
        whole = values.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
        return whole[:outputs, :inputs]
    values = values.reshape(outputs, -1)
    return values.repeat_interleave(-(-inputs // values.shape[1]), 1)[:, :inputs]


def lies_on_grid(weight: Any, scales: Any, zeros: Any, weights: Rounding) -> bool:
    """Tell whether every weight is one of the values that a scheme has for it.

    What was unpacked is: rounded again, it is the same to the last bit. Of weights that were never
    rounded hardly any is.

    :param weight: of shape (outputs, inputs), in the dtype it was unpacked to.
    :param scales: one each as in :func:`stored_weight`, not rounded to 8 bits any more.
    :param zeros: as the scales; ``None`` for none.
    """
    rows = max(1, (1 << 24) // max(1, weight.shape[1]))
    if weights.block is not None:
        rows = max(1, rows // weights.block[0]) * weights.block[0]
    scales = spread(scales, weight.shape, weights)
    zeros = None if zeros is None else spread(zeros, weight.shape, weights)
    for start in range(0, len(weight), rows):
        part = weight[start : start + rows]
        scale = scales if len(scales) == 1 else scales[start : start + rows]
        zero = zeros if zeros is None or len(zeros) == 1 else zeros[start : start + rows]
        if not _rounds_to_itself(part, scale, zero, weights):
            return False
    return True


def _rounds_to_itself(weight: Any, scale: Any, zero: Any, weights: Rounding) -> bool:
    import torch

    codes, unpacked = weight.float() / scale.float(), weight.dtype
    if weights.type == "int":
        least = -(2 ** (weights.bits - 1))
        shift = 0 if zero is None else zero.float()
        codes = (codes + shift).round().clamp(least, -least - 1) - shift
    elif weights.bits == 4:
        values = torch.tensor(E2M1, device=weight.device)
        edges = (values[1:] + values[:-1]) / 2
        codes = values[torch.bucketize(codes.abs(), edges)] * codes.sign()
        unpacked = torch.bfloat16
    else:
        codes = codes.clamp(-E4M3_LARGEST, E4M3_LARGEST).to(torch.float8_e4m3fn).float()
    again = (codes.to(scale.dtype) * scale).to(unpacked)
    return bool(torch.equal(again.to(weight.dtype), weight))


def rounded_inputs(inputs: Any, rounding: Rounding, scale: Any = None) -> Any:
    """Return activations as a scheme rounds them; float32, of the shape that was given.

    :param inputs: of shape (1, tokens, inputs).
    :param scale: that was fixed beforehand; ``None`` for one that is computed from the inputs.
    """
    import torch

    rows = inputs.float()
    if rounding.strategy == "group" and rounding.group_size:
        rows = rows.reshape(-1, rounding.group_size)
    largest = E4M3_LARGEST if rounding.type == "float" else (2**rounding.bits - 1) / 2
    if scale is None:
        over = rows.abs().amax() if rounding.strategy == "tensor" else rows.abs().amax(-1, True)
        scale = over / largest
    codes = rows / scale.float()
    if rounding.type == "float":
        codes = codes.clamp(-largest, largest).to(torch.float8_e4m3fn).float()
    else:
        least = -(2 ** (rounding.bits - 1))
        codes = codes.round().clamp(least, -least - 1)
    rounded = codes * scale.float()
    return rounded.reshape(inputs.shape)


def _integers(packed: Any, bits: int, count: int) -> Any:
    """Return integers out of 32-bit words along the last dimension; each less 2 ** (bits - 1)."""
    import torch

    places = torch.arange(count, device=packed.device) * bits
    words = packed.long() & 0xFFFFFFFF
    # A code may begin in one word and end in the next.
    following = torch.cat([words[:, 1:], torch.zeros_like(words[:, :1])], 1)
    both = words[:, places // 32] | (following[:, places // 32] << 32)
    return ((both >> (places % 32)) & (2**bits - 1)) - 2 ** (bits - 1)


def _fp4_codes(packed: Any) -> Any:
    import torch

    values = torch.tensor(E2M1, device=packed.device)
    halves = torch.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1).long()
    return values[halves & 7] * (1 - 2 * (halves >> 3).float())
