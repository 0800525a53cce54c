"""optimum-quanto: 8 to 2 bits, made on loading; transformers keeps no checkpoints of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import (
    Format,
    common_declaration,
    declared_method,
    setting,
    words_for_bits,
)
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

GROUP_SIZE = 128
"""Weights that share a scale and a shift in 4 and 2 bits, where that divides a row."""
_NAME = "quanto"
_NEEDS = ("optimum.quanto",)
_INSTALL = "pip install 'qrag-tasks[quanto]'"
_FLOAT8 = "e4m3"
_SCALE = 2  # bytes: scales and shifts are in the dtype that the arm computes in, 16 bits
_BESIDE = 2 * 2  # bytes: a layer has two scales for activations, which nothing here quantizes


class Quanto(Format):
    """Weights of 8 bits with a scale for each row, or of 4 and 2 bits in groups; weights only."""

    name = _NAME
    precisions = (
        *(
            Precision(
                f"int{bits}-quanto",
                bits,
                _NAME,
                f"optimum-quanto's {bits}-bit weights, {scales}: weights only",
                has_groups=bits < 8,
                aliases=("quanto",) if bits == 8 else words_for_bits(bits),
                needs=_NEEDS,
                install=_INSTALL,
                ci="extras",
            )
            for bits, scales in (
                (8, "a scale for each row"),
                (4, f"in groups of {GROUP_SIZE}"),
                (2, f"in groups of {GROUP_SIZE}"),
            )
        ),
        Precision(
            "fp8-quanto",
            8,
            _NAME,
            "optimum-quanto's 8-bit floating-point (E4M3) weights, a scale for each row",
            quant_type=_FLOAT8,
            needs=_NEEDS,
            install=_INSTALL,
            ci="extras",
        ),
    )
    packages = _NEEDS
    has_checkpoints = False

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what names quanto, to say that nothing reads it."""
        return declared_method(config) == _NAME

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read the kind of weights."""
        kind = str(setting(config, "weights") or "")
        bits = {"int8": 8, "int4": 4, "int2": 2, "float8": 8}.get(kind)
        return replace(
            common_declaration(_NAME, config),
            bits=bits,
            quant_type=_FLOAT8 if kind == "float8" else None,
            refused=(
                "transformers reads no checkpoints of quanto: load the checkpoint that this one "
                "was made from, and it is quantized on loading"
            ),
        )

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise what quanto itself saves."""
        codes = parts.get("weight._data") or parts.get("weight._data._data")
        if codes is not None and "weight._scale" in parts:
            yield StoredLayer(module, _NAME, None, codes.dtype)

    # ------------------------------------------------------------------ loading
    def prepare(self) -> None:
        """See :func:`unpack_with_torch`."""
        unpack_with_torch()

    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return a ``QuantoConfig``."""
        try:
            import optimum.quanto  # noqa: F401
            from transformers import QuantoConfig
        except ImportError as error:
            raise ModelError(
                f"precision={row.name}: optimum-quanto cannot be imported ({error}): {_INSTALL}"
            ) from error
        return QuantoConfig(weights="float8" if row.quant_type else f"int{row.bits}")

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a ``QLinear`` whose weight is quantized already."""
        library = sys.modules.get("optimum.quanto")
        if library is None or not isinstance(module, library.QLinear) or not module.frozen:
            return None
        weight = module.weight
        kind = weight.qtype.name
        return LayerFacts(
            module.in_features,
            module.out_features,
            bits=weight.qtype.bits,
            quant_type={"qfloat8_e4m3fn": _FLOAT8}.get(kind, None if kind[:4] == "qint" else kind),
            group_size=getattr(weight, "_group_size", None),
            dtype=str(weight.dtype).removeprefix("torch."),
        )

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return code * scale, and less a shift in 4 and 2 bits, a row or group of a row each.

        Where torch's own kernel for 4 bits computes, whose packing each processor has otherwise,
        the codes are what it returns for a matrix of ones on the diagonal.
        """
        weight = module.weight
        if hasattr(weight, "_scale_shift"):
            scale, middle = weight._scale_shift.float().transpose(0, 1).unbind(-1)
            codes = weight._data.unpack().float().reshape(*scale.shape, -1)
            grouped = (codes - 2 ** (weight.qtype.bits - 1)) * scale[..., None] + middle[..., None]
            return grouped.reshape(weight.shape)
        scale = weight._scale.float()
        if not hasattr(weight, "_shift"):
            return weight._data.float() * scale
        packed = weight._data
        codes = unpacked(packed._data, weight.qtype.bits)[: packed.shape[0]].float()
        return (codes * scale - weight._shift.float()).reshape(weight.shape)

    # ------------------------------------------------------------------ planning
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of codes, and of a scale a row, or a scale and a shift a group."""
        if row.bits == 8:
            return outputs * inputs + outputs * _SCALE + _BESIDE
        groups = outputs * inputs // group_size(inputs)
        return outputs * inputs * row.bits // 8 + groups * 2 * _SCALE + _BESIDE


def group_size(inputs: int) -> int:
    """Return how many weights share a scale in 4 and 2 bits: 128, 96, 64, 32, or a whole row."""
    fitting = [size for size in (128, 96, 64, 32) if inputs > GROUP_SIZE and inputs % size == 0]
    return fitting[0] if fitting else inputs


def unpack_with_torch() -> None:
    """Have quanto unpack codes with torch: it would first compile C++, or CUDA, for that.

    Nor does it choose its own CUDA kernels then, for 4 bits in float16 and for floating point: nvcc
    would compile them first. On an H200 that made a start of two minutes, and 4 bits by such a
    kernel took longer than 2 bits that torch unpacked.
    """
    from optimum.quanto.library.extensions.extension import _extensions

    for extension in _extensions.values():
        extension._lib = SimpleNamespace(unpack=unpacked)
    _extensions.pop("quanto_cuda", None)


def unpacked(packed: Any, bits: int) -> Any:
    """Return the codes in bytes; the first rows are in the lowest bits of all bytes."""
    import torch

    return torch.cat([(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of optimum-quanto."""
    register(Quanto.name, Quanto())
