"""Logits that are not numbers: an error, where they would pass for an empty answer."""

from __future__ import annotations

from qrag_tasks.engines.base import Engine
from qrag_tasks.errors import ModelError


def not_a_number(name: str, engine: Engine) -> ModelError:
    """Return the error for a request whose logits are not numbers (NaN).

    :param name: of the request.
    """
    advice = (
        "The largest number of float16 is 65,504, and this model exceeds it: take precision=bf16, "
        "and dtype=bfloat16 for the quantized arms"
        if engine.computing == "float16"
        else "The weights may be damaged, or a kernel broken: try precision=fp32, or another device"
    )
    return ModelError(
        f"{name}: the model's logits are not numbers (NaN) in precision={engine.precision.name}, "
        f"which computes in {engine.computing} on {engine.device}. Its answers would mean nothing. "
        f"{advice}."
    )
