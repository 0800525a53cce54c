"""How many bytes the weights of an arm will take, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

from qrag_tasks.arms.precisions import Precision, precision
from qrag_tasks.arms.safetensors_files import TensorFacts
from qrag_tasks.arms.stored_layers import block_layers
from qrag_tasks.errors import ModelError
from qrag_tasks.experiment.plan.cells import Arm
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint, local_checkpoint

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}
_FLOATS = ("F64", "F32", "F16", "BF16")
# bitsandbytes: weights that share a scale in 4 bits, bytes of a scale, bytes of the table of codes.
_BLOCK, _SCALE, _CODES = 64, 4, 16 * 4
_GROUP = 128
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

    From the shapes in the checkpoint's files, which are read but for the weights themselves. The
    linear layers of the blocks take their precision's bits and scales; embeddings and head stay
    in 16 bits, or in 32 where the arm computes so. A checkpoint that is quantized already takes
    what is stored.

    :param pretrained: the model's 16-bit checkpoint, to tell shapes from where the arm's own is
        not on this machine.
    """
    row = precision(arm.precision)
    own = local_checkpoint(arm.arguments)
    plain = {**arm.arguments, "pretrained": pretrained} if pretrained else arm.arguments
    found: LocalCheckpoint = own
    try:
        if own.missing:
            found = local_checkpoint(plain)
        if found.missing:
            return WeightBytes(None, own.missing)
        if found.tensors is None:
            return WeightBytes(None, f"{found.name}: no safetensors here, or nothing to read them")
        tensors = _once(found)
        if found.checkpoint.quantization is not None:
            return WeightBytes(_as_stored(tensors), f"tensors of {found.name}")
    except ModelError as error:
        return WeightBytes(None, str(error))
    except ImportError as error:
        return WeightBytes(None, f"{found.name}: {error}: pip install 'qrag-tasks[hf]'")
    wide = row.bits == 32 or str(arm.arguments.get("dtype")) in ("float32", "torch.float32")
    total = _quantized(tensors, row, 4 if wide else 2)
    groups = f", groups of {_GROUP}" if row.method in ("gptq", "awq") else ""
    return WeightBytes(total, f"shapes of {found.name}{groups}")


def _once(found: LocalCheckpoint) -> Mapping[str, TensorFacts]:
    """Return the tensors, without a head that is the embeddings over again."""
    tensors = dict(found.tensors or {})
    if found.config.get(_TIED) and any("embed" in name for name in tensors):
        tensors.pop(_HEAD, None)
    return tensors


def _as_stored(tensors: Mapping[str, TensorFacts]) -> int:
    return sum(prod(facts.shape) * _BYTES.get(facts.dtype, 1) for facts in tensors.values())


def _quantized(tensors: Mapping[str, TensorFacts], row: Precision, full: int) -> int:
    """Return the bytes of plain tensors once they are in a precision.

    :param full: bytes of a weight that is not quantized.
    """
    names = {layer.name for layer in block_layers(tensors)} if row.quantized else set()
    total = 0
    for name, facts in tensors.items():
        if name.removesuffix(".weight") in names:
            total += _layer(facts.shape, row)
        elif facts.dtype in _FLOATS:
            total += prod(facts.shape) * full
        else:
            total += prod(facts.shape) * _BYTES.get(facts.dtype, 1)
    return total


def _layer(shape: tuple[int, ...], row: Precision) -> int:
    """Return the bytes of one linear layer.

    bitsandbytes: 8 bits with a scale a row (arXiv 2208.07339); 4 bits with a scale every 64 and a
    table of 16 codes a layer (arXiv 2305.14314, without its double quantization). GPTQ and AWQ: 4
    bits, a 16-bit scale and a 4-bit zero a group; GPTQ also the group of each input.
    """
    weights, outputs, inputs = prod(shape), prod(shape[:-1]), shape[-1]
    if row.method == "bitsandbytes" and row.bits == 8:
        return weights + outputs * _SCALE
    if row.method == "bitsandbytes":
        return ceil(weights / 2) + ceil(weights / _BLOCK) * _SCALE + _CODES
    groups = outputs * ceil(inputs / _GROUP)
    packed = weights * row.bits // 8 + groups * 2 + groups * row.bits // 8
    return packed + (inputs * 4 if row.method == "gptq" else 0)
