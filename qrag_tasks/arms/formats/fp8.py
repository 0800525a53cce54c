"""8-bit floating point, arXiv 2209.05433: made on loading, by vLLM alone."""

from __future__ import annotations

from math import ceil

from qrag_tasks.arms.formats.base import FormatOfEngine
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

_SCALE = 4  # bytes: 32 bits
_BLOCK = 128


class Fp8(FormatOfEngine):
    """Weights and activations as E4M3; activations have their scales as they come."""

    name = "fp8"
    engine = "vllm"
    precisions = (
        Precision(
            "fp8",
            8,
            "fp8",
            "8-bit floating point (E4M3), arXiv 2209.05433: weights and activations",
            aliases=("float8", "e4m3", "w8a8"),
            devices=("cuda",),
        ),
        Precision(
            "fp8-channel",
            8,
            "fp8",
            "8-bit floating point (E4M3): weights and activations, a scale a row and a token",
            quant_type="channel",
            aliases=("fp8_per_channel", "fp8_dynamic"),
            ci="vllm",
        ),
        Precision(
            "fp8-block",
            8,
            "fp8",
            "8-bit floating point (E4M3): weights in blocks of 128 x 128, activations in 128",
            quant_type="block",
            aliases=("fp8_per_block",),
            devices=("cuda",),
        ),
    )

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return a byte for each weight, and the scales."""
        if row.quant_type == "block":
            scales = ceil(outputs / _BLOCK) * ceil(inputs / _BLOCK)
        else:
            scales = outputs if row.quant_type == "channel" else 1
        return outputs * inputs + scales * _SCALE


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of 8-bit floating-point weights."""
    register(Fp8.name, Fp8())
