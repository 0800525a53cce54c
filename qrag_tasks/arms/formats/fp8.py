"""8-bit floating point, arXiv 2209.05433: made on loading, by vLLM alone."""

from __future__ import annotations

from qrag_tasks.arms.formats.base import FormatOfEngine, Precision
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

_SCALE = 4  # bytes: a tensor has one, of 32 bits


class Fp8(FormatOfEngine):
    """Weights and activations as E4M3: a scale a weight tensor, and activations as they come."""

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
    )

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return a byte for each weight, and the scale."""
        return outputs * inputs + _SCALE


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of 8-bit floating-point weights."""
    register(Fp8.name, Fp8())
