"""How the linear layers of a checkpoint are stored, told from names and shapes of tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from qrag_tasks.arms.precisions import Method
from qrag_tasks.arms.safetensors_files import TensorFacts

_FLOATS = ("F64", "F32", "F16", "BF16")
_WORD_BITS = {"I64": 64, "I32": 32, "I16": 16, "I8": 8}
# Of models that see or hear; only the text part is loaded.
_TOWERS = ("vision", "visual", "audio", "image")
_ROUTERS = ("gate", "router", "shared_expert_gate")
_QUANT_STATE = "quant_state.bitsandbytes__"


@dataclass(frozen=True)
class StoredLayer:
    """A linear layer of a transformer block, as a file holds it.

    :ivar method: ``other`` for integers or 8-bit floats in a layout that is not known.
    :ivar bits: of a weight.
    :ivar quant_type: bitsandbytes' 4-bit data type.
    :ivar groups: of weights that share a scale, along the input; GPTQ and AWQ only.
    :ivar dtype: of the tensor, as safetensors names it.
    """

    name: str
    method: Method | str
    bits: int | None
    dtype: str
    quant_type: str | None = None
    groups: int | None = None
    in_features: int | None = None

    def __str__(self) -> str:
        if self.method == "none":
            return f"{self.name} ({self.dtype}, not quantized)"
        bits = f" {self.bits} bits" if self.bits else ""
        kind = f" {self.quant_type}" if self.quant_type else ""
        return f"{self.name} ({self.method}{bits}{kind})"


def in_block(name: str) -> bool:
    """Tell whether a module is in a transformer block: those have a number in their names."""
    return any(part.isdecimal() for part in name.split("."))


def is_norm(name: str) -> bool:
    """Tell whether a module is a norm, by its name."""
    last = name.rpartition(".")[2].lower()
    return "norm" in last or last.startswith("ln")


def matches(name: str, patterns: Collection[str]) -> bool:
    """Tell whether one of ``patterns`` names a module, as ``modules_to_not_convert`` does.

    Which transformers reads as: a regular expression for the beginning of a module's full name, up
    to the end of a part, or its literal end.
    """
    return any(name.endswith(pattern) or _begins(name, pattern) for pattern in patterns)


def _begins(name: str, pattern: str) -> bool:
    try:
        return re.match(rf"(?:{pattern})(?:(?<=\.)|(?=\.|$))", name) is not None
    except re.error:
        return False


def block_layers(tensors: Mapping[str, TensorFacts]) -> list[StoredLayer]:
    """Return the linear layers of all blocks; norms, embeddings and routers are none."""
    return list(_layers(tensors))


def _layers(tensors: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
    for name, facts in tensors.items():
        module, _, kind = name.rpartition(".")
        if not in_block(module) or any(part.startswith(_TOWERS) for part in name.split(".")):
            continue
        if kind == "qweight":
            yield _packed(module, facts, tensors)
        elif kind == "weight":
            yield from _of_weight(module, facts, tensors)
        elif kind == "weight_packed":
            yield StoredLayer(module, "other", None, facts.dtype)
        elif facts.dtype in _FLOATS and len(facts.shape) == 3 and min(facts.shape) > 1:
            # The experts of a mixture, in one tensor.
            yield StoredLayer(name, "none", None, facts.dtype)


def _of_weight(
    module: str, facts: TensorFacts, tensors: Mapping[str, TensorFacts]
) -> Iterator[StoredLayer]:
    name = f"{module}.weight"
    if f"{name}.absmax" in tensors:
        start = f"{name}.{_QUANT_STATE}"
        kinds = [key.removeprefix(start) for key in tensors if key.startswith(start)]
        yield StoredLayer(module, "bitsandbytes", 4, facts.dtype, kinds[0] if kinds else None)
    elif f"{module}.SCB" in tensors:
        yield StoredLayer(module, "bitsandbytes", 8, facts.dtype)
    elif len(facts.shape) == 2 and not _is_exempt(module, facts.shape):
        method = "none" if facts.dtype in _FLOATS else "other"
        yield StoredLayer(module, method, None, facts.dtype)


def _is_exempt(module: str, shape: tuple[int, ...]) -> bool:
    last = module.rpartition(".")[2].lower()
    router = last in _ROUTERS and shape[0] * 8 <= shape[1]
    return router or is_norm(module) or "embed" in last


def _packed(module: str, weight: TensorFacts, tensors: Mapping[str, TensorFacts]) -> StoredLayer:
    """Tell GPTQ from AWQ: the first packs along the input, the second along the output."""
    unknown = StoredLayer(module, "other", None, weight.dtype)
    scales, zeros = tensors.get(f"{module}.scales"), tensors.get(f"{module}.qzeros")
    word = _WORD_BITS.get(weight.dtype)
    if scales is None or zeros is None or word is None:
        return unknown
    if not len(weight.shape) == len(scales.shape) == len(zeros.shape) == 2:
        return unknown
    (rows, columns), (groups, outputs) = weight.shape, scales.shape
    bits = word * zeros.shape[1] // outputs
    if columns == outputs:
        found, inputs = "gptq", rows * word // max(bits, 1)
    elif columns == zeros.shape[1]:
        found, inputs = "awq", rows
    else:
        return unknown
    return StoredLayer(module, found, bits, weight.dtype, groups=groups, in_features=inputs)
