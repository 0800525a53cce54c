"""How many bytes the weights of an arm will take, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from qrag_tasks.arms.checkpoint_files import FLOATS, TensorFacts
from qrag_tasks.arms.engine_choice import engine_name, loads_checkpoint
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.places import whole_place
from qrag_tasks.arms.precisions import format_of, precision
from qrag_tasks.arms.stored_layers import block_layers
from qrag_tasks.errors import ModelError
from qrag_tasks.experiment.plan.cells import Arm
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint, local_checkpoint

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}
_HEAD, _TIED = "lm_head.weight", "tie_word_embeddings"


@dataclass(frozen=True)
class WeightBytes:
    """What the weights of an arm take.

    :ivar total: bytes; ``None`` where they are not known.
    :ivar source: what that was told from, or why it is not known.
    """

    total: int | None
    source: str


def weight_bytes(arm: Arm, pretrained: str | None = None) -> WeightBytes:
    """Return what the weights of an arm will take on its device, once they are loaded.

    From the shapes in the checkpoint's files, which are read without the weights themselves. The
    linear layers of the blocks take their precision's bits and scales; embeddings and head stay
    in 16 bits, or in 32 where the arm computes so. A checkpoint that is quantized already takes
    what is stored, and more where its engine unpacks it.

    :param pretrained: the model's 16-bit checkpoint, to tell shapes from where the arm's own is
        not on this machine.
    """
    row = precision(arm.precision)
    own = local_checkpoint(arm.arguments)
    file = Path(whole_place(str(arm.arguments.get("pretrained", ""))))
    if file.is_file():
        return WeightBytes(file.stat().st_size, f"size of {file.name}")
    if not loads_checkpoint(arm.arguments):
        return WeightBytes(None, f"{arm.name}: {own.missing}")
    dtype = str(arm.arguments.get("dtype")).removeprefix("torch.")
    wide = 4 if "float32" in (row.dtype, dtype) else 2
    engine = engine_name("qrag", arm.arguments)
    plain = {**arm.arguments, "pretrained": pretrained} if pretrained else arm.arguments
    source: LocalCheckpoint = own
    try:
        if own.missing:
            source = local_checkpoint(plain)
        if source.missing:
            return WeightBytes(None, own.missing)
        if source.tensors is None:
            return WeightBytes(None, f"{source.name}: no safetensors here, or nothing to read them")
        tensors = _once(source)
        if source.checkpoint.quantization is not None:
            total = _as_stored(tensors)
            if engine not in format_of(row).unpacked_by:
                return WeightBytes(total, f"tensors of {source.name}")
            total += _unpacking(tensors, wide)
            return WeightBytes(total, f"tensors of {source.name}, which {engine} unpacks")
    except ModelError as error:
        return WeightBytes(None, str(error))
    except ImportError as error:
        return WeightBytes(None, f"{source.name}: {error}: pip install 'qrag-tasks[hf]'")
    total = _quantized(tensors, row, wide, engine)
    size = format_of(row).default_group_size
    groups = f", groups of {size}" if size else ""
    return WeightBytes(total, f"shapes of {source.name}{groups}")


def _once(source: LocalCheckpoint) -> Mapping[str, TensorFacts]:
    """Return the tensors, without a head that is the embeddings over again."""
    tensors = dict(source.tensors or {})
    if source.config.get(_TIED) and any("embed" in name for name in tensors):
        tensors.pop(_HEAD, None)
    return tensors


def _as_stored(tensors: Mapping[str, TensorFacts]) -> int:
    return sum(prod(facts.shape) * _BYTES.get(facts.dtype, 1) for facts in tensors.values())


def _unpacking(tensors: Mapping[str, TensorFacts], wide: int) -> int:
    """Return the bytes that packed layers take more, once they are numbers of `wide` bytes."""
    layers = [layer for layer in block_layers(tensors) if layer.quantized]
    weights = ((layer.out_features or 0) * (layer.in_features or 0) for layer in layers)
    return sum(
        count * wide - count * (layer.bits or 0) // 8
        for layer, count in zip(layers, weights, strict=True)
    )


def _quantized(tensors: Mapping[str, TensorFacts], row: Precision, full: int, engine: str) -> int:
    """Return the bytes of plain tensors once they are in a precision.

    :param full: bytes of a weight that is not quantized.
    """
    form = format_of(row)
    names = {layer.name for layer in block_layers(tensors)} if row.quantized else set()
    total = 0
    for name, facts in tensors.items():
        if name.removesuffix(".weight") in names:
            total += form.loaded_bytes(row, prod(facts.shape[:-1]), facts.shape[-1], engine, full)
        elif facts.dtype in FLOATS:
            total += prod(facts.shape) * full
        else:
            total += prod(facts.shape) * _BYTES.get(facts.dtype, 1)
    return total
