"""What can be asked for: precisions and group sizes, and the layers that they fit."""

from __future__ import annotations

from typing import Any

from qrag_tasks.arms.precisions import PRECISIONS, Precision
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.quantizing.source import Source

GROUP_SIZES = (32, 64, 128)
"""Those that every kernel of GPT-QModel has."""
DEFAULT_GROUP_SIZE = 128
AWQ_OUTPUTS = 64
"""Of a layer, a multiple of it: GPT-QModel's AWQ looks for clips in so many at once."""
BLOCK_SIZE = 64
"""Weights that share a scale in bitsandbytes' 4 bits."""


def quantized(name: str) -> Precision:
    """Return the precision of that name.

    :raises SettingsError: when there is none, or it is not a quantized one.
    """
    row = precision_named(name)
    if not row.quantized:
        known = ", ".join(each.name for each in PRECISIONS.values() if each.quantized)
        raise SettingsError(
            f"--precision {name}: that is {row.summary}, nothing to quantize to (known: {known}); "
            f"any arm loads a checkpoint in {name} as it is, with precision={name}"
        )
    return row


def checked_group_size(row: Precision, asked: int | None) -> int | None:
    """Return the weights that share a scale; ``None`` where ``row`` has a scale a matrix row.

    :param asked: ``None`` for the default.
    :raises SettingsError: when ``row`` does not have the size that was asked for.
    """
    if row.method == "bitsandbytes":
        fixed = BLOCK_SIZE if row.bits == 4 else None
        if asked not in (None, fixed):
            has = f"{BLOCK_SIZE}, fixed" if fixed else "no groups: a scale a row"
            raise SettingsError(
                f"--group-size {asked}: precision {row.name} of bitsandbytes has {has}. "
                f"Leave it out."
            )
        return fixed
    if asked is not None and asked not in GROUP_SIZES:
        raise SettingsError(
            f"--group-size {asked}: not every kernel has it; give one of "
            f"{', '.join(map(str, GROUP_SIZES))}"
        )
    return asked or DEFAULT_GROUP_SIZE


def device_name(device: Any) -> str:
    """Return what the provenance calls a ``torch.device``, with a GPU's model."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


def check_shapes(source: Source, row: Precision, group_size: int) -> None:
    """Check that every layer can be quantized by GPT-QModel.

    :raises QragError: when the group size does not divide a layer's inputs, or AWQ cannot take its
        outputs.
    """
    sizes = source.layers.values()
    for name, (inputs, outputs) in source.layers.items():
        if inputs % group_size:
            fitting = [size for size in GROUP_SIZES if not any(n % size for n, _ in sizes)]
            advice = f"give {' or '.join(map(str, fitting))}" if fitting else "none of ours does"
            raise SettingsError(
                f"--group-size {group_size} does not divide the {inputs} inputs of layer {name} of "
                f"{source.name}: {advice}"
            )
        if row.method == "awq" and outputs % AWQ_OUTPUTS:
            raise ModelError(
                f"layer {name} of {source.name} has {outputs} outputs, no multiple of "
                f"{AWQ_OUTPUTS}, which {row.name} needs: take --precision int4-gptq"
            )


def check_dtype(source: Source, row: Precision) -> None:
    """Check that GPT-QModel can keep the dtype of the weights that it does not quantize.

    :raises ModelError: when it cannot.
    """
    import torch

    if row.method == "awq" and source.dtype not in (torch.float16, torch.bfloat16):
        raise ModelError(
            f"{source.name} is in {source.dtype}, and {row.name} keeps what it does not quantize "
            f"in float16 or bfloat16 only: save a copy of it in one of these "
            f'(from_pretrained(..., dtype="bfloat16").save_pretrained(...)), and give that to the '
            f"arms you compare, too"
        )
