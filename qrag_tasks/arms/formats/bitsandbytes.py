"""bitsandbytes: 8 and 4 bits, made on loading, or read from what it saved."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import (
    WEIGHTS_ONLY,
    WITH_ACTIVATIONS,
    Format,
    common_declaration,
    declared_method,
    setting,
)
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

BLOCK_SIZE = 64
"""Weights that share a scale in 4 bits."""
_SCALE, _CODES = 4, 16 * 4  # bytes: of a scale, of the table of 4-bit codes
_QUANT_STATE = "weight.quant_state.bitsandbytes__"
_NAME = "bitsandbytes"
_PACKS = "support_avx512bf16_for_cpu"


class BitsAndBytes(Format):
    """LLM.int8(), arXiv 2208.07339, and the 4-bit types of QLoRA, arXiv 2305.14314."""

    name = _NAME
    precisions = (
        Precision(
            "int8",
            8,
            _NAME,
            "LLM.int8(), arXiv 2208.07339: 8-bit weights and activations, outliers apart",
            family="LLM.int8()",
            aliases=("8bit", "8-bit", "load_in_8bit"),
            needs=(_NAME,),
            ci="py311-hf",
        ),
        Precision(
            "int4-nf4",
            4,
            _NAME,
            "4-bit NormalFloat of QLoRA, arXiv 2305.14314: weights only",
            quant_type="nf4",
            has_groups=True,
            aliases=("nf4", "int4", "4bit", "4-bit", "w4", "load_in_4bit"),
            needs=(_NAME,),
            ci="py311-hf",
        ),
        Precision(
            "int4-fp4",
            4,
            _NAME,
            "4-bit floating point of bitsandbytes: weights only",
            quant_type="fp4",
            has_groups=True,
            aliases=("fp4",),
            needs=(_NAME,),
            ci="py311-hf",
        ),
    )
    packages = (_NAME,)
    repacks = True
    quantizer = "qrag_tasks.quantizing.bitsandbytes_runs:BitsAndBytesQuantizer"

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what names bitsandbytes, or one of its switches and nobody else."""
        method = declared_method(config)
        return method == _NAME or (method is None and _bits(config) is not None)

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read bits and data type; the group size is fixed, and not in the file."""
        bits, shared = _bits(config), common_declaration(_NAME, config)
        quant_type = str(setting(config, "bnb_4bit_quant_type") or "fp4") if bits == 4 else None
        return Declaration(
            _NAME,
            bits=bits,
            quant_type=quant_type,
            group_size=shared.group_size,
            unquantized=shared.unquantized,
        )

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise a matrix beside the scales of its blocks, or of its rows."""
        weight = parts.get("weight")
        if weight is None:
            return
        if "weight.absmax" in parts:
            kinds = [p.removeprefix(_QUANT_STATE) for p in parts if p.startswith(_QUANT_STATE)]
            kind = kinds[0] if kinds else None
            yield StoredLayer(module, _NAME, 4, weight.dtype, quant_type=kind)
        elif "SCB" in parts:
            yield StoredLayer(module, _NAME, 8, weight.dtype)

    # ------------------------------------------------------------------ loading
    def prepare(self) -> None:
        """Keep bitsandbytes from saying with every layer that int8 casts its input to float16."""
        emitter = logging.getLogger("bitsandbytes.autograd._functions")
        if not any(type(one).__name__ == _CastsOnce.__name__ for one in emitter.filters):
            emitter.addFilter(_CastsOnce())

    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return a ``BitsAndBytesConfig``."""
        return bitsandbytes_config(switches(row), dtype)

    def config_changes(self, row: Precision, dtype: Any, kernel: str | None) -> dict[str, Any]:
        """Have 4 bits compute in ``dtype``: the file has that of the run which saved it."""
        changes = super().config_changes(row, dtype, kernel)
        if row.bits == 4:
            changes["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
        return changes

    def settle(self, model: Any) -> None:
        """See :func:`unpack_for_every_pass`."""
        unpack_for_every_pass(model)

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a ``Linear4bit`` or ``Linear8bitLt`` whose weights are quantized already."""
        import torch

        library = sys.modules.get(_NAME)
        if library is None:
            return None
        if isinstance(module, library.nn.Linear4bit):
            state = getattr(module.weight, "quant_state", None)
            if state is None:
                return None
            dtype = str(module.compute_dtype or state.dtype).removeprefix("torch.")
            bits, kind, group_size = 4, state.quant_type, state.blocksize
        elif isinstance(module, library.nn.Linear8bitLt) and module.weight.dtype == torch.int8:
            # Whatever it is given, it casts to float16.
            bits, kind, group_size, dtype = 8, None, None, "float16"
        else:
            return None
        return LayerFacts(module.in_features, module.out_features, bits, kind, group_size, dtype)

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weight of a ``Linear4bit`` or ``Linear8bitLt``; see :func:`weight_of`."""
        return weight_of(module)

    def tolerance(self, facts: LayerFacts) -> float:
        """Return more for 8 bits, which round activations, too."""
        return WITH_ACTIVATIONS if facts.bits == 8 else WEIGHTS_ONLY

    # ------------------------------------------------------------------ planning
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of codes and float32 scales.

        8 bits have a scale a row (arXiv 2208.07339); 4 bits a scale every 64 weights and a table
        of 16 codes a layer (arXiv 2305.14314, without its double quantization).
        """
        count = outputs * inputs
        if row.bits == 8:
            return count + outputs * _SCALE
        return ceil(count / 2) + ceil(count / BLOCK_SIZE) * _SCALE + _CODES


def switches(row: Precision) -> dict[str, Any]:
    """Return the arguments of ``BitsAndBytesConfig`` that make a precision."""
    chosen: dict[str, Any] = {f"load_in_{row.bits}bit": True}
    if row.quant_type:
        chosen["bnb_4bit_quant_type"] = row.quant_type
    return chosen


def bitsandbytes_config(arguments: dict[str, Any], dtype: Any) -> Any:
    """Return the ``BitsAndBytesConfig`` of ``arguments``.

    transformers 5 takes no ``load_in_4bit`` any more; and bitsandbytes' own default for 4 bits
    is FP4, where NF4 is what the field means by 4-bit bitsandbytes (QLoRA, arXiv 2305.14314): we
    set NF4 unless ``bnb_4bit_quant_type`` says otherwise.

    :param dtype: the model's ``torch.dtype``: the dtype of computation, unless
        ``bnb_4bit_compute_dtype`` is given, so that the arms of a model compute alike.
    :raises ModelError: when bitsandbytes is missing or refuses an argument.
    """
    try:
        # transformers would only notice while it loads the weights.
        import bitsandbytes  # noqa: F401
        from transformers import BitsAndBytesConfig
    except ImportError as error:
        raise ModelError(
            f"load_in_4bit and load_in_8bit need bitsandbytes ({error}): "
            f"pip install 'qrag-tasks[hf]'"
        ) from error
    options = dict(arguments)
    if options.get("load_in_4bit"):
        options.setdefault("bnb_4bit_quant_type", "nf4")
        options.setdefault("bnb_4bit_compute_dtype", dtype)
    try:
        return BitsAndBytesConfig(**options)
    except (TypeError, ValueError, AttributeError) as error:
        written = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise ModelError(f"bitsandbytes arguments ({written}) were refused: {error}") from error


def unpack_for_every_pass(model: Any) -> None:
    """Have the 4-bit layers of a model compute in their own dtype on any CPU.

    On one with AVX512-BF16, bitsandbytes 0.50 would pack their weights again at the first pass, for
    a kernel that rounds scales and inputs to bfloat16 in an arm of any dtype, and that takes
    several times as long for a prompt. docs/precisions.md has the times.
    """
    for module in model.modules():
        if getattr(module, _PACKS, False):
            setattr(module, _PACKS, False)


def weight_of(layer: Any) -> Any:
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


def _each(values: Any, size: int, count: int) -> Any:
    return values.float().repeat_interleave(size)[:count]


def _bits(config: Mapping[str, Any]) -> int | None:
    for bits in (4, 8):
        if setting(config, f"load_in_{bits}bit", f"_load_in_{bits}bit"):
            return bits
    return None


class _CastsOnce(logging.Filter):
    """Lets the message through once that LLM.int8() casts its input to float16."""

    passed = False

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("MatMul8bitLt: inputs will be cast"):
            return True
        first, self.passed = not self.passed, True
        return first


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of bitsandbytes."""
    register(BitsAndBytes.name, BitsAndBytes())
