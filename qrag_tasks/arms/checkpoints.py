"""What a checkpoint is, and whether it can become an arm: read before its weights are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import SIDECARS, TensorFacts, read_files
from qrag_tasks.arms.formats.base import common_declaration, declared_method
from qrag_tasks.arms.formats.facts import Declaration, Precision, StoredLayer
from qrag_tasks.arms.places import local_folder
from qrag_tasks.arms.precisions import format_of, formats, precisions
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.arms.stored_layers import block_layers
from qrag_tasks.errors import ModelError

_STORED_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a checkpoint say, without its weights.

    :ivar pretrained: as the user named it.
    :ivar config: config.json.
    :ivar quantization: what it says about quantization; ``None`` where nothing does.
    :ivar tensors: name -> dtype and shape; ``None`` where no safetensors are on this machine.
    :ivar folder: where config.json lies, and the weights once they are here.
    """

    pretrained: str
    config: Mapping[str, Any]
    quantization: Mapping[str, Any] | None = None
    tensors: Mapping[str, TensorFacts] | None = None
    folder: Path | None = None

    @cached_property
    def declared(self) -> Declaration:
        """What it declares of its precision, as its format reads that."""
        if self.quantization is None:
            return Declaration()
        for one in formats().values():
            if one.claims(self.quantization):
                return one.declaration(self.quantization)
        return common_declaration(declared_method(self.quantization) or "?", self.quantization)

    @property
    def precision(self) -> Precision | None:
        """The precision that it is quantized in; ``None`` where it is not, or no row is that."""
        own = self.declared
        rows = (row for row in precisions().values() if row.quantized)
        matching = (row for row in rows if row.matches(own.method, own.bits, own.quant_type))
        return next(matching, None)


def read_checkpoint(
    pretrained: str, *, revision: str | None = None, subfolder: str = ""
) -> Checkpoint:
    """Read what a checkpoint is. Weights are neither loaded nor downloaded.

    :param pretrained: a folder, or a name on the hub, from which config.json is fetched.
    :raises ModelError: when there is no such checkpoint, or a file of it is damaged.
    """
    folder = local_folder(pretrained, subfolder)
    return checkpoint_in(folder, pretrained, revision=revision, subfolder=subfolder)


def checkpoint_in(
    folder: Path | None, pretrained: str, *, revision: str | None = None, subfolder: str = ""
) -> Checkpoint:
    """Read what a checkpoint is of which it is known where it lies.

    :param folder: with its files; ``None`` for a name on the hub.
    :raises ModelError: when the hub has no such checkpoint, or a file is damaged.
    """
    files = read_files(folder, pretrained, revision, subfolder)
    return Checkpoint(pretrained, files.config, files.quantization, files.tensors, files.folder)


def arm_of(
    checkpoint: Checkpoint, name: str | None = None, group_size: int | None = None
) -> Precision:
    """Return the precision that a checkpoint is to be loaded in, once it is known that it can be.

    :param name: of the precision that the user asked for; the checkpoint's own by default.
    :param group_size: that the user asked for.
    :raises SettingsError: when there is no such precision.
    :raises ModelError: when what it needs is not installed, or the checkpoint cannot become it.
    """
    row = precision_named(name) if name else own_precision(checkpoint)
    format_of(row).check_installed(row)
    check_checkpoint(checkpoint, row, group_size)
    return row


def own_precision(checkpoint: Checkpoint) -> Precision:
    """Return the precision that a checkpoint has when nobody names one.

    :raises ModelError: when there is no such precision.
    """
    if checkpoint.quantization is not None:
        if checkpoint.precision is None:
            _check_refused(checkpoint)
            raise ModelError(
                f"pretrained={checkpoint.pretrained} is quantized by {checkpoint.declared}, which "
                f"is none of the known precisions ({', '.join(precisions())}); --model hf may run "
                f"it"
            )
        return checkpoint.precision
    dtype = _own_dtype(checkpoint)
    rows = [row for row in precisions().values() if not row.quantized and row.dtype == dtype]
    if not rows:
        raise ModelError(
            f"pretrained={checkpoint.pretrained} is in {dtype}, which is none of the known "
            f"precisions ({', '.join(precisions())}): name one with precision="
        )
    return rows[0]


def check_checkpoint(
    checkpoint: Checkpoint, precision: Precision, group_size: int | None = None
) -> None:
    """Check that a checkpoint can become the arm that is asked for.

    :param group_size: that the user asked for.
    :raises ModelError: when it cannot, with the layers that are not as claimed.
    """
    layers = block_layers(checkpoint.tensors or {}, checkpoint.declared.unquantized)
    if checkpoint.quantization is None:
        _check_unquantized(checkpoint, precision, layers)
    else:
        _check_claim(checkpoint, precision)
        _check_layers(checkpoint, precision, layers)
    _check_group_size(checkpoint, precision, group_size)
    _check_groups(checkpoint, layers)


# ---------------------------------------------------------------------- reading
def _own_dtype(checkpoint: Checkpoint) -> str:
    for config in (checkpoint.config, checkpoint.config.get("text_config")):
        if isinstance(config, dict):
            dtype = config.get("dtype") or config.get("torch_dtype")
            if isinstance(dtype, str) and dtype != "auto":
                return dtype.removeprefix("torch.")
    sizes: Counter[str] = Counter()
    for facts in (checkpoint.tensors or {}).values():
        if facts.dtype in _STORED_DTYPES:
            sizes[_STORED_DTYPES[facts.dtype]] += prod(facts.shape)
    return sizes.most_common(1)[0][0] if sizes else "float32"


# ---------------------------------------------------------------------- checking
def _check_unquantized(
    checkpoint: Checkpoint, precision: Precision, layers: list[StoredLayer]
) -> None:
    if quantized := [layer for layer in layers if layer.quantized]:
        raise ModelError(
            f"pretrained={checkpoint.pretrained}: its config.json says nothing of quantization, "
            f"but {_some(quantized, layers)} are quantized: {_first(quantized)}. Copy the "
            f"quantization_config that it was saved with into its config.json"
        )
    if not precision.made_on_loading:
        advice = f"name a checkpoint that is in {precision.name}"
        if format_of(precision).is_made_here(precision):
            advice = (
                f"make a checkpoint that is with `qrag quantize {checkpoint.pretrained} "
                f"--precision {precision.name} --out FOLDER`"
            )
        raise ModelError(
            f"precision={precision.name}: pretrained={checkpoint.pretrained} is not quantized; "
            f"{advice}"
        )


def _check_claim(checkpoint: Checkpoint, precision: Precision) -> None:
    name, claim, own = checkpoint.pretrained, checkpoint.declared, checkpoint.precision
    if own is None:
        _check_refused(checkpoint)
    if own != precision:
        advice = f"leave precision out, or give precision={own.name}" if own else "take another"
        raise ModelError(
            f"precision={precision.name}: pretrained={name} is quantized already ({claim}): "
            f"{advice}; any other precision needs the checkpoint that it was made from"
        )
    if not _in_config(checkpoint):
        raise ModelError(
            f"pretrained={name}: says that it is quantized ({claim}) in one of "
            f"{', '.join(SIDECARS)}, where transformers does not look: put it into its config.json "
            f'as quantization_config, with "quant_method": "{claim.method}"'
        )
    _check_refused(checkpoint)


def _check_refused(checkpoint: Checkpoint) -> None:
    if reason := checkpoint.declared.refused:
        raise ModelError(f"pretrained={checkpoint.pretrained}: {reason}")


def _in_config(checkpoint: Checkpoint) -> bool:
    configs = (checkpoint.config, checkpoint.config.get("text_config"))
    return any(isinstance(one, dict) and one.get("quantization_config") for one in configs)


def _check_layers(checkpoint: Checkpoint, precision: Precision, layers: list[StoredLayer]) -> None:
    form = format_of(precision)
    right = [layer for layer in layers if form.stores(precision, layer)]
    wrong = [layer for layer in layers if layer not in right and not layer.left_out]
    if wrong or (layers and not right):
        raise ModelError(
            f"pretrained={checkpoint.pretrained}: its config.json says {checkpoint.declared}, but "
            f"{_some(wrong or layers, layers)} are not: {_first(wrong or layers)}. This arm would "
            f"not be what it claims; make a whole one with `qrag quantize`"
        )


def _check_group_size(checkpoint: Checkpoint, precision: Precision, group_size: int | None) -> None:
    if group_size is None:
        return
    if not precision.has_groups:
        raise ModelError(
            f"group_size={group_size}: precision={precision.name} has no groups of weights; leave "
            f"group_size out"
        )
    own = checkpoint.declared.group_size
    if own is not None and own != group_size:
        raise ModelError(
            f"group_size={group_size}: pretrained={checkpoint.pretrained} says that its group size "
            f"is {own}; leave group_size out, or quantize again with "
            f"`qrag quantize --group-size {group_size}`"
        )


def _check_groups(checkpoint: Checkpoint, layers: list[StoredLayer]) -> None:
    """Compare the group size of the configuration with the number of scales."""
    size = checkpoint.declared.group_size
    packed = [layer for layer in layers if layer.groups and layer.in_features]
    if size is None or size == 0:
        return
    wrong = [
        layer
        for layer in packed
        if layer.groups != (1 if size < 0 else ceil((layer.in_features or 0) / size))
    ]
    if wrong:
        layer = wrong[0]
        raise ModelError(
            f"pretrained={checkpoint.pretrained}: its config.json says group size {size}, but "
            f"{_some(wrong, packed)} have another: {layer.name} has {layer.groups} groups in "
            f"{layer.in_features} inputs, so {ceil((layer.in_features or 0) / (layer.groups or 1))}"
        )


def _some(part: list[StoredLayer], layers: list[StoredLayer]) -> str:
    return f"{len(part)} of {len(layers)} linear layers in its blocks"


def _first(layers: list[StoredLayer]) -> str:
    return ", ".join(map(str, layers[:3])) + (", ..." if len(layers) > 3 else "")
