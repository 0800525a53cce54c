"""compressed-tensors: what llm-compressor writes, and vLLM runs as it is.

transformers has no kernels for it on most devices: compressed-tensors unpacks the weights into the
dtype that the arm computes in, and rounds activations before every layer as the scheme says. The
answers are those of the scheme; memory and speed are those of 16 bits.
"""

from __future__ import annotations

import importlib.metadata
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from qrag_tasks.arms.adapters import name_without_adapter
from qrag_tasks.arms.checkpoint_files import TensorFacts, read_parts
from qrag_tasks.arms.formats.base import WEIGHTS_ONLY, WITH_ACTIVATIONS, Format, declared_method
from qrag_tasks.arms.formats.compressed_schemes import FP4_GROUPS, Config, Rounding, Scheme
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

GROUP_SIZE = 128
"""Weights that share a scale in what llm-compressor makes of packed integers."""
NAME = "compressed-tensors"
_PACKED, _INTEGERS, _FLOATS, _FP4 = "I32", "I8", "F8_E4M3", "U8"
_PARTS = ("weight_scale", "weight_zero_point", "weight_global_scale", "weight_shape")
_FP8_ACTIVATIONS = 4e-2
"""Steps of E4M3 are up to an eighth of a number: 2.6 % of it in the mean, if all go wrong."""
_NVFP4_ACTIVATIONS = 0.2
"""Four bits of activations, whose rounding is not followed here, are off by some 10 %."""
_READS_ZERO_POINTS = (5, 19)
"""The newest release of transformers that was seen to read them; 5.24 does not."""
_A_BYTE_EACH = "int-quantized"
"""The layout in which integers are stored unpacked."""
_SCALE = 2  # bytes: of a scale, in the dtype of the model that was quantized


def _row(name: str, bits: int, summary: str, *aliases: str, groups: bool = False) -> Precision:
    return Precision(
        name,
        bits,
        NAME,
        summary,
        quant_type=name,
        made_on_loading=False,
        has_groups=groups,
        aliases=aliases,
        needs=("compressed_tensors",),
        install="pip install 'qrag-tasks[compressed-tensors]'",
        ci="extras",
    )


_ROWS = {
    _row("w4a16", 4, "4-bit integers, a scale a group: weights only", groups=True): _PACKED,
    _row("w8a16", 8, "8-bit integers, a scale a group: weights only", groups=True): _PACKED,
    _row("w2a16", 2, "2-bit integers, a scale a group: weights only", groups=True): _PACKED,
    _row("w8a8-int8", 8, "8-bit integers: weights and activations", "w8a8", "int8-ct"): _INTEGERS,
    _row("w8a8-fp8", 8, "8-bit floating point (E4M3): weights and activations", "w8a8"): _FLOATS,
    _row("w8a16-fp8", 8, "8-bit floating point (E4M3): weights only"): _FLOATS,
    _row("w4a8-int8", 4, "4-bit integers; activations in 8-bit integers", "w4a8"): "",
    _row("w4a8-fp8", 4, "4-bit integers; activations in 8-bit floating point", "w4a8"): _PACKED,
    _row("nvfp4", 4, "4-bit floating point in groups of 16: weights and activations"): _FP4,
    _row("nvfp4a16", 4, "4-bit floating point in groups of 16: weights only"): _FP4,
    _row("mxfp4a16", 4, "4-bit floating point in groups of 32: weights only"): _FP4,
}
"""Precision -> the dtype in which its weights are stored; empty where that is one of several."""


_MADE = frozenset(
    {
        *("w4a16", "w8a16", "w2a16", "w8a8-int8", "w4a8-int8"),
        *("w8a8-fp8", "nvfp4a16", "mxfp4a16"),
    }
)


class CompressedTensors(Format):
    """Checkpoints of compressed-tensors whose layers are all quantized in one way."""

    name = NAME
    precisions = tuple(_ROWS)
    packages = ("compressed_tensors",)
    default_group_size = GROUP_SIZE
    quantizer = "qrag_tasks.quantizing.llmcompressor_runs:LlmCompressorQuantizer"
    unpacked_by = frozenset({"transformers"})

    def __init__(self) -> None:
        self._on_grid: weakref.WeakKeyDictionary[Any, tuple[Any, bool]] = (
            weakref.WeakKeyDictionary()
        )

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what names compressed-tensors; older releases called it ``sparseml``."""
        return declared_method(config) in (NAME, "compressed_tensors", "sparseml")

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read the scheme of the layers, and which are left out."""
        read = Config.of(config)
        weights = read.scheme.weights if read.scheme else None
        size = None
        if weights is not None and weights.type == "int":
            size = -1 if weights.strategy == "channel" else weights.group_size
        kind = read.scheme.kind if read.scheme else None
        return Declaration(
            NAME,
            bits=weights.bits if weights else None,
            quant_type=kind,
            group_size=size if any(row.name == kind and row.has_groups for row in _ROWS) else None,
            layout=read.layout,
            unquantized=read.unquantized,
            refused=read.refused,
        )

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise packed integers, two codes a byte, or a matrix of 8 bits, beside scales."""
        scale, packed, weight = (
            parts.get(name) for name in ("weight_scale", "weight_packed", "weight")
        )
        main = packed or weight
        if scale is None or main is None or len(main.shape) != 2:
            return
        outputs, columns = main.shape
        if packed is None:
            if main.dtype in (_INTEGERS, _FLOATS):
                yield StoredLayer(
                    *(module, NAME, 8, main.dtype), in_features=columns, out_features=outputs
                )
            return
        shape = parts.get("weight_shape")
        if main.dtype == _FP4:
            inputs, bits = columns * 2, 4
        elif main.dtype == _PACKED and shape is not None and len(shape.values) == 2:
            inputs = shape.values[1]
            bits = round(32 * columns / inputs) if inputs else 0
        else:
            return
        groups = scale.shape[-1] if len(scale.shape) == 2 and main.dtype == _PACKED else None
        yield StoredLayer(
            *(module, NAME, bits, main.dtype),
            groups=groups,
            in_features=inputs,
            out_features=outputs,
        )

    def stores(self, row: Precision, layer: StoredLayer) -> bool:
        """Compare the dtype of the tensors, too, which tells integers from floating point.

        Codes of 4 bits may have a byte each; whether they are such codes, their values tell once
        they are loaded.
        """
        dtype = _ROWS[row]
        if not dtype and layer.dtype == _INTEGERS:
            layer = replace(layer, bits=row.bits)
        return super().stores(row, layer) and (
            layer.dtype == dtype if dtype else layer.dtype in (_PACKED, _INTEGERS)
        )

    # ------------------------------------------------------------------ loading
    def not_loadable(self, config: Mapping[str, Any]) -> str:
        """Refuse packed zero points where transformers makes room for unpacked ones."""
        scheme = Config.of(config).scheme
        if scheme is None or scheme.weights.symmetric or scheme.weights.type == "float":
            return ""
        version = importlib.metadata.version("transformers")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers <= _READS_ZERO_POINTS:
            return ""
        newest = ".".join(map(str, _READS_ZERO_POINTS))
        return (
            f"its weights have zero points (symmetric: false), for which transformers {version} "
            f"makes room in another shape than they are stored in; {newest} does not: pip install "
            f"'transformers=={newest}.*', or give engine=vllm"
        )

    def settle(self, model: Any) -> None:
        """Unpack all weights now: compressed-tensors would at the first pass.

        It would also put every module of the model behind a cache for weights that are kept
        elsewhere, which none are.
        """
        from compressed_tensors.compressors import decompress_module

        for module in model.modules():
            if _scheme_of(module) is None:
                continue
            if module.quantization_status == "compressed":
                decompress_module(module)
            if module.weight.dtype != model.dtype:
                # 4-bit floating point is unpacked to bfloat16, whatever computes.
                module.weight.data = module.weight.data.to(model.dtype)
        hook = vars(model).pop("ct_decompress_hook", None)
        if hook is not None:
            hook.remove()

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a linear layer that has a scheme, before and after it was unpacked."""
        scheme = _scheme_of(module)
        if scheme is None:
            return None
        inputs, outputs = int(module.in_features), int(module.out_features)
        scales = getattr(module, "weight_scale", None)
        packed = getattr(module, "weight_packed", None)
        held = packed if packed is not None else getattr(module, "weight", None)
        if held is None or scales is None:
            return LayerFacts(inputs, outputs, None)
        stored, details = None, scheme.activations or None
        bits: int | None = round(8 * held.nbytes / (inputs * outputs))
        if held.dtype.itemsize > 1 and packed is None:
            dtype = str(held.dtype).removeprefix("torch.")
            details = ", ".join(filter(None, (f"unpacked to {dtype} on loading", details)))
            bits = scheme.weights.bits if self._unpacked(module, held, scales, scheme) else None
            stored = _stored_bytes(module, scheme, inputs, outputs)
        elif held.dtype.is_floating_point != (scheme.weights.type == "float") and packed is None:
            bits = None
        return LayerFacts(
            inputs,
            outputs,
            bits=bits,
            quant_type=_kind(module, scheme) if bits else f"weights that are not {scheme.kind}",
            group_size=_group_size(scheme, scales, inputs),
            dtype=str((held if stored is not None else scales).dtype).removeprefix("torch."),
            stored_bytes=stored,
            details=details,
        )

    def _unpacked(self, module: Any, weight: Any, scales: Any, scheme: Scheme) -> bool:
        """Tell whether unpacked weights are those of the scheme; looked at once a change."""
        from qrag_tasks.arms.formats.compressed_weights import lies_on_grid

        state = (weight.data_ptr(), weight._version, scales.data_ptr(), scales._version)
        known = self._on_grid.get(module)
        if known is None or known[0] != state:
            values, zeros = scales.detach(), getattr(module, "weight_zero_point", None)
            overall = getattr(module, "weight_global_scale", None)
            values = values if overall is None else values / overall
            known = (state, lies_on_grid(weight.detach(), values, zeros, scheme.weights))
            self._on_grid[module] = known
        return known[1]

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weight that a layer's tensors in the checkpoint stand for."""
        from qrag_tasks.arms.formats.compressed_weights import stored_weight

        scheme = _scheme_of(module)
        if folder is None or scheme is None:
            raise ModelError(
                f"{name}: its kernel cannot be checked without the folder of its checkpoint"
            )
        name = name_without_adapter(name)
        parts = read_parts(folder, name, ("weight_packed", *_PARTS))
        parts = parts or read_parts(folder, name, ("weight", *_PARTS))
        if "weight_scale" not in parts:
            raise ModelError(
                f"{folder}: holds no {name}.weight_scale in safetensors, so that the kernel "
                f"of this layer cannot be checked"
            )
        return stored_weight(parts, scheme.weights, int(module.in_features))

    def rounded_inputs(self, module: Any, inputs: Any) -> Any:
        """Round activations by the scheme's formula, with the layer's own scale if it has one."""
        from qrag_tasks.arms.formats.compressed_weights import rounded_inputs

        scheme = _scheme_of(module)
        rounding = None if scheme is None else scheme.inputs
        if rounding is None or rounding.bits != 8 or not rounding.symmetric:
            return inputs
        fixed = None if rounding.dynamic else module.input_scale.detach()
        return rounded_inputs(inputs, rounding, fixed)

    def tolerance(self, facts: LayerFacts) -> float:
        """Return more where activations are rounded, too: in 16 bits some go the other way."""
        if "activations" not in (facts.details or ""):
            return WEIGHTS_ONLY
        if facts.quant_type == "nvfp4":
            return _NVFP4_ACTIVATIONS
        return _FP8_ACTIVATIONS if str(facts.quant_type).endswith("fp8") else WITH_ACTIVATIONS

    # ------------------------------------------------------------------ planning
    def is_made_here(self, row: Precision) -> bool:
        """Tell whether llm-compressor is asked for it here."""
        return row.name in _MADE

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of codes and scales: a scale a group, or a row."""
        codes = outputs * inputs * row.bits // 8
        if _ROWS[row] == _FP4:
            return codes + _fp4_scales(row, outputs, inputs)
        groups = ceil(inputs / GROUP_SIZE) if row.bits < 8 or row.has_groups else 1
        return codes + outputs * groups * _SCALE

    def loaded_bytes(
        self, row: Precision, outputs: int, inputs: int, engine: str, wide: int = 2
    ) -> int:
        """Add a second byte for scales of 8 bits, which are unpacked to bfloat16, too."""
        held = super().loaded_bytes(row, outputs, inputs, engine, wide)
        if _ROWS[row] == _FP4 and engine in self.unpacked_by:
            held += _fp4_scales(row, outputs, inputs)
        return held


def _fp4_scales(row: Precision, outputs: int, inputs: int) -> int:
    size = next(size for size, name in FP4_GROUPS.items() if row.name.startswith(name))
    return outputs * ceil(inputs / size)


def _scheme_of(module: Any) -> Scheme | None:
    """Return the scheme that compressed-tensors has given a linear layer; ``None`` without."""
    library = sys.modules.get("compressed_tensors.quantization")
    given = getattr(module, "quantization_scheme", None)
    if library is None or not isinstance(given, library.QuantizationScheme):
        return None
    if given.weights is None or not hasattr(module, "in_features"):
        return None
    inputs = given.input_activations
    return Scheme(
        Rounding.of(given.weights.model_dump()),
        None if inputs is None else Rounding.of(inputs.model_dump()),
    )


def _kind(module: Any, scheme: Scheme) -> str:
    """Return a layer's kind: without activations, where nothing rounds these."""
    rounds = "forward" in vars(module) and getattr(module, "quantization_enabled", True)
    return scheme.kind if rounds else Scheme(scheme.weights).kind


def _group_size(scheme: Scheme, scales: Any, inputs: int) -> int | None:
    if scheme.weights.strategy in ("group", "tensor_group"):
        return -(-inputs // int(scales.shape[-1]))
    if scheme.weights.type == "int" and scheme.inputs is None:
        return inputs  # a group is a row
    return None


def _stored_bytes(module: Any, scheme: Scheme, inputs: int, outputs: int) -> int:
    """Return the bytes of a layer's codes, scales and zeros, as its checkpoint has them."""
    scales, bits = module.weight_scale, scheme.weights.bits
    if getattr(module.quantization_scheme, "format", None) == _A_BYTE_EACH:
        bits = 8
    zeros = getattr(module, "weight_zero_point", None)
    size = 1 if scheme.weights.type == "float" and bits == 4 else _SCALE
    of_zeros = 0 if zeros is None else ceil(int(zeros.numel()) * bits / 8)
    overall = getattr(module, "weight_global_scale", None)
    of_overall = 0 if overall is None else int(overall.nbytes)
    return outputs * ceil(inputs * bits / 8) + int(scales.numel()) * size + of_zeros + of_overall


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of compressed-tensors."""
    register(CompressedTensors.name, CompressedTensors())
