"""torchao, PyTorch's own quantization: 8 bits, made on loading, or read from what was saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import (
    WEIGHTS_ONLY,
    WITH_ACTIVATIONS,
    Format,
    common_declaration,
    declared_method,
)
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

_NAME = "torchao"
_INSTALL = "pip install 'qrag-tasks[torchao]'"
_INT8, _DYNAMIC, _FLOAT8 = "int8", "int8-dynamic", "e4m3"
_CONFIGS = {
    _INT8: "Int8WeightOnlyConfig",
    _DYNAMIC: "Int8DynamicActivationInt8WeightConfig",
    _FLOAT8: "Float8WeightOnlyConfig",
}
"""``quant_type`` -> torchao's name of the configuration that makes it."""
_STORED = {"I8": None, "F8_E4M3": _FLOAT8}
"""Dtype of the stored codes -> ``quant_type``; that of integers, the tensors do not tell."""
_SCALE, _ZERO = 4, 1  # bytes: a row has a scale of 32 bits, and of integers a zero point of 8


class TorchAo(Format):
    """8-bit weights with a scale for each row; with activations in 8 bits as they come, or not."""

    name = _NAME
    precisions = (
        Precision(
            "int8-torchao",
            8,
            _NAME,
            "torchao's int8 weights, a scale for each row: weights only",
            quant_type=_INT8,
            needs=(_NAME,),
            install=_INSTALL,
            ci="extras",
        ),
        Precision(
            "w8a8-torchao",
            8,
            _NAME,
            "torchao's int8 weights and activations, a scale for each row of both as they come",
            quant_type=_DYNAMIC,
            needs=(_NAME,),
            install=_INSTALL,
            ci="extras",
        ),
        Precision(
            "fp8-torchao",
            8,
            _NAME,
            "torchao's 8-bit floating-point (E4M3) weights, a scale for each row: weights only",
            quant_type=_FLOAT8,
            needs=(_NAME,),
            install=_INSTALL,
            ci="extras",
        ),
    )
    packages = (_NAME,)
    quantizer = "qrag_tasks.quantizing.saving:SavingQuantizer"

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what names torchao."""
        return declared_method(config) == _NAME

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read which of torchao's configurations made it.

        One that is none of these precisions is named by its own name, so that an error shows it.
        """
        shared = common_declaration(_NAME, config)
        made_by, settings = _made_by(config.get("quant_type"))
        known = {name: kind for kind, name in _CONFIGS.items()}
        by_row = settings.get("granularity", {}).get("_type", "PerRow") == "PerRow"
        if made_by in known and by_row and not settings.get("group_size"):
            return replace(shared, bits=8, quant_type=known[made_by])
        return replace(shared, quant_type=made_by)

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise codes beside scales, as torchao's tensors are taken apart for safetensors."""
        codes, scale = parts.get("_weight_qdata"), parts.get("_weight_scale")
        if codes is None or scale is None:
            return
        bits = 8 if codes.dtype in _STORED and len(codes.shape) == 2 else None
        yield StoredLayer(
            module, _NAME, bits, codes.dtype, quant_type=_STORED.get(codes.dtype, codes.dtype)
        )

    # ------------------------------------------------------------------ loading
    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return a ``TorchAoConfig``."""
        try:
            import torchao.quantization
            from transformers import TorchAoConfig
        except ImportError as error:
            raise ModelError(
                f"precision={row.name}: torchao cannot be imported ({error}): {_INSTALL}"
            ) from error
        made_by = getattr(torchao.quantization, _CONFIGS[row.quant_type or ""])
        return TorchAoConfig(made_by())

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise torch's ``Linear`` with a weight that is one of torchao's tensors."""
        import torch

        library = sys.modules.get("torchao.utils")
        if library is None or not isinstance(module, torch.nn.Linear):
            return None
        weight = module.weight.data
        if not isinstance(weight, library.TorchAOBaseTensor):
            return None
        codes = getattr(weight, "qdata", None)
        block = getattr(weight, "block_size", None) or (1, module.in_features)
        return LayerFacts(
            module.in_features,
            module.out_features,
            bits=None if codes is None else 8 * codes.element_size(),
            quant_type=_kind(weight),
            group_size=block[-1] if block[-1] < module.in_features else None,
            dtype=str(weight.dtype).removeprefix("torch."),
        )

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return (code - zero point) * scale, with a scale for each row or group of inputs."""
        weight = module.weight.data
        if not hasattr(weight, "qdata") or not hasattr(weight, "scale"):
            raise ModelError(f"{name}: {type(weight).__name__} has no formula to check it by")
        codes, scale = weight.qdata.float(), weight.scale.float()
        zeros = getattr(weight, "zero_point", None)
        if zeros is not None:
            codes = codes - _each(zeros.float(), codes.shape)
        return codes * _each(scale, codes.shape)

    def tolerance(self, facts: LayerFacts) -> float:
        """Return more for rows that round activations, too."""
        return WITH_ACTIVATIONS if facts.quant_type == _DYNAMIC else WEIGHTS_ONLY

    # ------------------------------------------------------------------ planning
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return a byte for each weight, and a scale and, of integers, a zero point a row."""
        beside = _SCALE if row.quant_type == _FLOAT8 else _SCALE + _ZERO
        return outputs * inputs + outputs * beside


def _made_by(written: Any) -> tuple[str | None, Mapping[str, Any]]:
    """Return the name of torchao's configuration for all modules, and what it says.

    Written is ``{"default": {"_type": ..., "_data": {...}}}``; by older releases, a name.
    """
    if not isinstance(written, Mapping):
        return written if isinstance(written, str) else None, {}
    of_all = written.get("default")
    if len(written) != 1 or not isinstance(of_all, Mapping):
        return "FqnToConfig", {}
    settings = of_all.get("_data")
    return of_all.get("_type"), settings if isinstance(settings, Mapping) else {}


def _kind(weight: Any) -> str:
    """Return the ``quant_type`` of a tensor; its class where it is none of these precisions'."""
    dtype = str(getattr(getattr(weight, "qdata", None), "dtype", None)).removeprefix("torch.")
    dynamic = getattr(weight, "act_quant_kwargs", None) is not None
    kinds = {
        ("Int8Tensor", "int8", False): _INT8,
        ("Int8Tensor", "int8", True): _DYNAMIC,
        ("Float8Tensor", "float8_e4m3fn", False): _FLOAT8,
    }
    name = type(weight).__name__
    return kinds.get((name, dtype, dynamic), f"{name}-dynamic" if dynamic else name)


def _each(values: Any, shape: Any) -> Any:
    """Return a value for each weight of a matrix from one for each block of them."""
    values = values.reshape(*values.shape, *([1] * (2 - values.dim())))
    for axis in (0, 1):
        values = values.repeat_interleave(shape[axis] // values.shape[axis], axis)
    return values


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of torchao."""
    register(TorchAo.name, TorchAo())
