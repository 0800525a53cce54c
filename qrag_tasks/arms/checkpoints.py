"""What a checkpoint is, and whether it can become an arm: read before its weights are."""

from __future__ import annotations

from collections import Counter
from math import ceil, prod
from pathlib import Path

from qrag_tasks.arms.declared_precision import FORMATS, Checkpoint
from qrag_tasks.arms.places import local_folder
from qrag_tasks.arms.precisions import PRECISIONS, Precision
from qrag_tasks.arms.safetensors_files import (
    INDEX,
    SINGLE,
    TensorFacts,
    has_weights,
    read_headers,
    read_json,
)
from qrag_tasks.arms.stored_layers import StoredLayer, block_layers, matches
from qrag_tasks.errors import ModelError

SIDECARS = ("quantize_config.json", "quant_config.json")
"""Where AutoGPTQ and AutoAWQ write what transformers has in config.json."""

_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_STORED_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read_checkpoint(
    pretrained: str, *, revision: str | None = None, subfolder: str = ""
) -> Checkpoint:
    """Read what a checkpoint is. Weights are neither loaded nor downloaded.

    :param pretrained: a folder, or a name on the hub, from which config.json is fetched.
    :raises ModelError: when there is no such checkpoint, or a file of it is damaged.
    """
    local = local_folder(pretrained, subfolder)
    if local is not None and not has_weights(local):
        raise ModelError(
            f"pretrained={pretrained} holds no weights ({SINGLE}, {INDEX} with its parts, or "
            f"pytorch_model.bin): copy or download the whole checkpoint"
        )
    folder = local or _of_hub(pretrained, revision, subfolder)
    config = read_json(folder / "config.json")
    nested = config.get("text_config")
    found = config.get("quantization_config") or (
        nested.get("quantization_config") if isinstance(nested, dict) else None
    )
    if found is None:
        if local is None:
            _fetch_sidecars(pretrained, revision, subfolder)
        sidecars = [folder / name for name in SIDECARS if (folder / name).is_file()]
        found = read_json(sidecars[0]) if sidecars else None
    return Checkpoint(pretrained, config, found, _tensors(folder, local is not None), folder)


def own_precision(checkpoint: Checkpoint) -> Precision:
    """Return the precision that a checkpoint has when nobody names one.

    :raises ModelError: when no row of :data:`PRECISIONS` is that.
    """
    if checkpoint.quantization is not None:
        if checkpoint.precision is None:
            raise ModelError(
                f"pretrained={checkpoint.pretrained} is quantized by {checkpoint.claim()}, which "
                f"is none of the known precisions ({', '.join(PRECISIONS)}); --model hf may run it"
            )
        return checkpoint.precision
    dtype = _own_dtype(checkpoint)
    if dtype not in _DTYPES:
        raise ModelError(
            f"pretrained={checkpoint.pretrained} is in {dtype}, which is none of the known "
            f"precisions ({', '.join(PRECISIONS)}): name one with precision="
        )
    return PRECISIONS[_DTYPES[dtype]]


def check_checkpoint(
    checkpoint: Checkpoint, precision: Precision, group_size: int | None = None
) -> None:
    """Check that a checkpoint can become the arm that is asked for.

    :param group_size: that the user asked for.
    :raises ModelError: when it cannot, with the layers that are not as claimed.
    """
    layers = block_layers(checkpoint.tensors or {})
    if checkpoint.quantization is None:
        _check_unquantized(checkpoint, precision, layers)
    else:
        _check_claim(checkpoint, precision)
        _check_layers(checkpoint, precision, layers)
    _check_group_size(checkpoint, precision, group_size)
    _check_groups(checkpoint, layers)


# ---------------------------------------------------------------------- reading
def _of_hub(pretrained: str, revision: str | None, subfolder: str) -> Path:
    from transformers.utils import cached_file

    try:
        path = cached_file(
            pretrained, "config.json", revision=revision or "main", subfolder=subfolder
        )
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"pretrained={pretrained}: no such folder, and the hub does not give its config.json "
            f"({type(error).__name__}: {reason})"
        ) from error
    return Path(path).parent


def _fetch_sidecars(pretrained: str, revision: str | None, subfolder: str) -> None:
    from transformers.utils import cached_file

    for name in SIDECARS:
        cached_file(
            pretrained,
            name,
            revision=revision or "main",
            subfolder=subfolder,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )


def _tensors(folder: Path, is_local: bool) -> dict[str, TensorFacts] | None:
    try:
        return read_headers(folder)
    except ModelError:
        # Of a hub's checkpoint, some files may not be here yet.
        if is_local:
            raise
        return None


def _own_dtype(checkpoint: Checkpoint) -> str:
    for config in (checkpoint.config, checkpoint.config.get("text_config")):
        if isinstance(config, dict):
            found = config.get("dtype") or config.get("torch_dtype")
            if isinstance(found, str) and found != "auto":
                return found.removeprefix("torch.")
    sizes: Counter[str] = Counter()
    for facts in (checkpoint.tensors or {}).values():
        if facts.dtype in _STORED_DTYPES:
            sizes[_STORED_DTYPES[facts.dtype]] += prod(facts.shape)
    return sizes.most_common(1)[0][0] if sizes else "float32"


# ---------------------------------------------------------------------- checking
def _check_unquantized(
    checkpoint: Checkpoint, precision: Precision, layers: list[StoredLayer]
) -> None:
    if quantized := [layer for layer in layers if layer.method != "none"]:
        raise ModelError(
            f"pretrained={checkpoint.pretrained}: its config.json says nothing of quantization, "
            f"but {_some(quantized, layers)} are quantized: {_first(quantized)}. Copy the "
            f"quantization_config that it was saved with into its config.json"
        )
    if precision.method in ("gptq", "awq"):
        raise ModelError(
            f"precision={precision.name}: pretrained={checkpoint.pretrained} is not quantized; "
            f"make a checkpoint that is with `qrag quantize {checkpoint.pretrained} --precision "
            f"{precision.name} --out FOLDER`"
        )


def _check_claim(checkpoint: Checkpoint, precision: Precision) -> None:
    name, claim, own = checkpoint.pretrained, checkpoint.claim(), checkpoint.precision
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
            f'as quantization_config, with "quant_method": "{checkpoint.method}"'
        )
    known = FORMATS.get(checkpoint.method, ())
    if known and checkpoint.format not in known:
        raise ModelError(
            f"pretrained={name}: is {claim} in the layout {checkpoint.format}, which is not read "
            f"(known: {', '.join(known)}); quantize again with `qrag quantize`"
        )
    if checkpoint.quantization and checkpoint.quantization.get("dynamic"):
        raise ModelError(
            f"pretrained={name}: its quantization_config treats some modules otherwise (dynamic: "
            f"{', '.join(checkpoint.quantization['dynamic'])}). transformers does not read that, "
            f"and would load these without their weights: quantize again without dynamic"
        )


def _in_config(checkpoint: Checkpoint) -> bool:
    configs = (checkpoint.config, checkpoint.config.get("text_config"))
    return any(isinstance(one, dict) and one.get("quantization_config") for one in configs)


def _check_layers(checkpoint: Checkpoint, precision: Precision, layers: list[StoredLayer]) -> None:
    wanted = (precision.method, precision.bits)
    right = [
        layer
        for layer in layers
        if (layer.method, layer.bits) == wanted
        and (layer.quant_type or precision.quant_type) == precision.quant_type
    ]
    declared = checkpoint.declared_unquantized
    wrong = [
        layer
        for layer in layers
        if layer not in right and not (layer.method == "none" and matches(layer.name, declared))
    ]
    if wrong or (layers and not right):
        raise ModelError(
            f"pretrained={checkpoint.pretrained}: its config.json says {checkpoint.claim()}, but "
            f"{_some(wrong or layers, layers)} are not: {_first(wrong or layers)}. This arm would "
            f"not be what it claims; make a whole one with `qrag quantize`"
        )


def _check_group_size(checkpoint: Checkpoint, precision: Precision, group_size: int | None) -> None:
    if group_size is None:
        return
    if precision.method == "none" or precision.bits == 8:
        raise ModelError(
            f"group_size={group_size}: precision={precision.name} has no groups of weights; leave "
            f"group_size out"
        )
    if checkpoint.group_size is not None and checkpoint.group_size != group_size:
        raise ModelError(
            f"group_size={group_size}: pretrained={checkpoint.pretrained} says that its group size "
            f"is {checkpoint.group_size}; leave group_size out, or quantize again with "
            f"`qrag quantize --group-size {group_size}`"
        )


def _check_groups(checkpoint: Checkpoint, layers: list[StoredLayer]) -> None:
    """Compare the group size of the configuration with the number of scales."""
    size = checkpoint.group_size
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
