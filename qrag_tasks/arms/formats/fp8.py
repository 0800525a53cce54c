"""8-bit floating point, arXiv 2209.05433: made on loading, by vLLM alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import Format, LayerFacts, Precision, StoredLayer
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

_SCALE = 4  # bytes: a tensor has one, of 32 bits


class Fp8(Format):
    """Weights and activations as E4M3: a scale a weight tensor, and activations as they come."""

    name = "fp8"
    engine = "vllm"
    precisions = (
        Precision(
            "fp8",
            8,
            "fp8",
            "8-bit floating point (E4M3), arXiv 2209.05433: weights and activations",
            aliases=("float8", "e4m3", "w8a8", "w8a8-fp8"),
        ),
    )

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim nothing: it is made on loading, and checkpoints in it are not read yet."""
        return False

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise nothing, as no checkpoint in it is read."""
        yield from ()

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise nothing: the layers are vLLM's, whose engine reads them."""
        return None

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return a byte for each weight, and the scale."""
        return outputs * inputs + _SCALE


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of 8-bit floating-point weights."""
    register(Fp8.name, Fp8())
