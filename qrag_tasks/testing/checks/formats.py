"""What a format of weights is held to; see :class:`~qrag_tasks.arms.formats.base.Format`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qrag_tasks.arms.checkpoints import Checkpoint, check_checkpoint
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.layers import Layer, linear_layers
from qrag_tasks.arms.precisions import formats
from qrag_tasks.arms.smoke import smoke_check
from qrag_tasks.arms.stored_layers import block_layers
from qrag_tasks.arms.verification import verify
from qrag_tasks.errors import ModelError, QragError, SettingsError
from qrag_tasks.testing.check import CheckFailed, check
from qrag_tasks.testing.format_subject import LAYERS, FormatSubject
from qrag_tasks.testing.processes import import_path, imports_of, listing

TABLES = 256
"""Bytes that a layer may hold beside its weights and scales: a kernel's small tables."""
_ROUNDING = ((9, 0.01), (8, 0.04), (3, 0.4), (0, 0.7))
"""Bits of a weight, at least -> the most that rounding may take of a matrix's norm.

One of 2**bits steps from the lowest to the highest weight of a group, some 5 deviations, rounds by
5 / (2**bits - 1) / sqrt(12) of one: .2 % in 8 bits, 10 % in 4, 21 % in 3, 48 % in 2. Floating point
of 8 bits has three for its fraction, and rounds by 2.6 %."""
_CONFIGS: tuple[dict[str, Any], ...] = (
    {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    {"quant_method": "bitsandbytes", "load_in_8bit": True},
    {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False},
    {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
    {"quant_method": "fp8", "weight_block_size": [128, 128]},
    {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    {"quant_method": "torchao", "quant_type": "int8_weight_only"},
    {"quant_method": "mxfp4"},
    {"quant_method": "nobody-has-this"},
)


@check
def cheap_import(subject: FormatSubject) -> None:
    """That the plugin is installed imports neither torch nor the format's library."""
    if costly := imports_of(subject.origin, listing(import_path())):
        raise CheckFailed(f"listing the plugins imports {', '.join(costly)}")


@check
def missing_libraries_are_named(subject: FormatSubject) -> None:
    """Where what a precision needs is not installed, an error names it and the command for it."""
    for row in subject.format.precisions:
        lacking = replace(row, needs=("no_such_module_anywhere",))
        try:
            subject.format.check_installed(lacking)
        except ModelError as error:
            if "no_such_module_anywhere" not in str(error) or row.install not in str(error):
                raise CheckFailed(f"the message for {row.name} names neither: {error}") from error
        else:
            raise CheckFailed(f"{row.name} needs a module that is missing, and no error says so")


@check
def unknown_kernels_are_refused(subject: FormatSubject) -> None:
    """A kernel that there is not is a ``SettingsError`` that names it."""
    for row in subject.rows:
        try:
            subject.format.config_changes(row, subject.dtype(row), "no-such-kernel")
        except SettingsError as error:
            if "no-such-kernel" not in str(error):
                raise CheckFailed(f"the message does not name the kernel: {error}") from error
        else:
            raise CheckFailed(f"config_changes takes the kernel 'no-such-kernel' for {row.name}")


@check
def claims_its_own(subject: FormatSubject) -> None:
    """It claims the ``quantization_config`` of its checkpoints, and reads its precision there."""
    for row in _quantized(subject):
        config = subject.config(row)
        if not subject.format.claims(config):
            raise CheckFailed(f"it does not claim the quantization_config of {row.name}: {config}")
        declared = subject.format.declaration(config)
        if declared.method != subject.format.name:
            raise CheckFailed(f"it declares the method {declared.method!r}, not its own name")
        if (declared.bits, declared.quant_type) != (row.bits, row.quant_type):
            raise CheckFailed(
                f"of {row.name} it reads bits {declared.bits} and quant_type "
                f"{declared.quant_type!r}, where the row has {row.bits} and {row.quant_type!r}"
            )
        if declared.refused:
            raise CheckFailed(f"it refuses its own checkpoint: {declared.refused}")


@check
def claims_no_others(subject: FormatSubject) -> None:
    """It claims no other format's ``quantization_config``, and no other format claims its own."""
    own = subject.format
    for other_config in _CONFIGS:
        if other_config["quant_method"] != own.name and own.claims(other_config):
            raise CheckFailed(f"it claims {other_config}")
    for row in _quantized(subject):
        config = subject.config(row)
        for other in formats().values():
            if other is not own and other.claims(config):
                raise CheckFailed(f"the format {other.name!r} claims its {config}")


@check
def recognises_stored_layers(subject: FormatSubject) -> None:
    """It tells the layers of its checkpoints from their names, dtypes and shapes alone."""
    for row in subject.rows:
        layers = block_layers(subject.checkpoint(row).tensors or {})
        right = [layer for layer in layers if layer.method == row.method]
        bits = {(layer.bits, layer.quant_type or row.quant_type) for layer in right}
        wanted = {(row.bits if row.quantized else None, row.quant_type)}
        if len(right) != LAYERS or len(layers) != LAYERS or bits != wanted:
            raise CheckFailed(
                f"of {LAYERS} layers that are stored in {row.name} these are found: "
                f"{', '.join(map(str, layers)) or 'none'}"
            )


@check
def knows_no_plain_layers(subject: FormatSubject) -> None:
    """It takes no plain layer for its own, stored or loaded."""
    import torch

    stored = block_layers(subject.checkpoint_of_plain().tensors or {})
    if strange := [layer for layer in stored if layer.quantized]:
        raise CheckFailed(f"in a plain checkpoint it finds {strange[0]}")
    modules = (torch.nn.Linear(4, 4), torch.nn.Embedding(4, 4), torch.nn.Sequential())
    for module in modules if _quantized(subject) else ():
        if facts := subject.format.layer_facts(module):
            raise CheckFailed(f"{type(module).__name__} of torch is to be its own: {facts}")


@check
def recognises_loaded_layers(subject: FormatSubject) -> None:
    """Loading gives layers that it recognises, with their bits, ``quant_type`` and sizes."""
    for row in subject.rows:
        model = subject.model(row)
        for layer in _block(model):
            if (layer.method, layer.bits) != (row.method, row.bits):
                raise CheckFailed(f"a model loaded in {row.name} holds {layer}")
            if layer.quant_type != row.quant_type:
                raise CheckFailed(f"{layer} has the quant_type {layer.quant_type!r}")
            if (layer.in_features, layer.out_features) != subject.shape_of(layer.name):
                raise CheckFailed(
                    f"{layer} has {layer.in_features} inputs and {layer.out_features} outputs, "
                    f"where the model has {subject.shape_of(layer.name)}"
                )
        _passes(lambda row=row, model=model: verify(model, row))


@check
def kernels_compute_their_weights(subject: FormatSubject) -> None:
    """A layer computes what its formula says its weights are, within the tolerance."""
    for row in _quantized(subject):
        model, checkpoint = subject.fresh_model(row), None
        if not row.made_on_loading:
            checkpoint = subject.checkpoint(row)
        _passes(lambda model=model, of=checkpoint: smoke_check(model, of))


@check
def weights_are_those_of_the_model(subject: FormatSubject) -> None:
    """The weights that its layers stand for are the plain ones, except for rounding."""
    for row in subject.rows:
        made = subject.format.has_checkpoints
        of = subject.checkpoint(row) if made else subject.checkpoint_of_plain()
        _near_plain(subject, row, subject.model(row), of)


@check
def bytes_are_what_a_layer_takes(subject: FormatSubject) -> None:
    """The bytes of a shape are those of a loaded layer, except for a kernel's small tables."""
    for row in subject.rows:
        for layer in _block(subject.model(row)):
            shape = (layer.out_features, layer.in_features)
            wide = subject.dtype(row).itemsize
            planned = subject.format.loaded_bytes(row, *shape, "transformers", wide)
            allowed = TABLES if row.quantized else 0
            if abs(layer.bytes - planned) > allowed:
                raise CheckFailed(
                    f"{layer} takes {layer.bytes} bytes, where layer_bytes leads to {planned}"
                )
            packed = subject.format.layer_bytes(row, *shape)
            if layer.stored_bytes and abs(layer.stored_bytes - packed) > allowed:
                raise CheckFailed(
                    f"{layer} was stored in {layer.stored_bytes} bytes, where layer_bytes says "
                    f"{packed}"
                )


@check
def checkpoints_are_read(subject: FormatSubject) -> None:
    """A checkpoint in a precision becomes that arm, and is verified and computes as it should."""
    for row in subject.rows:
        checkpoint = subject.checkpoint(row)
        _passes(lambda row=row, of=checkpoint: check_checkpoint(of, row))
        model = subject.read_again(row)
        _passes(
            lambda row=row, model=model, of=checkpoint: verify(
                model, row, declared=of.declared.unquantized
            )
        )
        if row.quantized:
            _passes(lambda model=model, of=checkpoint: smoke_check(model, of))


@check
def false_claims_are_refused(subject: FormatSubject) -> None:
    """Plain weights that claim to be in the format are an error that names the layers."""
    for row in _quantized(subject):
        plain = subject.checkpoint_of_plain()
        config = {**plain.config, "quantization_config": subject.config(row)}
        posing = Checkpoint("posing", config, subject.config(row), plain.tensors, plain.folder)
        try:
            check_checkpoint(posing, row)
        except ModelError as error:
            if "q_proj" not in str(error) and "down_proj" not in str(error):
                raise CheckFailed(f"the message names no layer: {error}") from error
        else:
            raise CheckFailed(f"plain weights that claim to be {row.name} are not refused")


def _quantized(subject: FormatSubject) -> tuple[Precision, ...]:
    """Return the rows that a ``quantization_config`` tells: none of the plain format's."""
    return tuple(row for row in subject.rows if row.quantized)


def _block(model: Any) -> list[Layer]:
    layers = [layer for layer in linear_layers(model) if layer.role == "block"]
    if len(layers) != LAYERS:
        raise CheckFailed(f"of {LAYERS} linear layers in blocks, {len(layers)} are found loaded")
    return layers


def _near_plain(subject: FormatSubject, row: Precision, model: Any, of: Checkpoint) -> None:
    from safetensors.torch import load_file

    plain = load_file(subject.plain / "model.safetensors")
    most = next(most for bits, most in _ROUNDING if row.bits >= bits)
    for layer in _block(model):
        module = model.get_submodule(layer.name)
        weight = subject.format.dequantized(module, layer.name, of.declared, of.folder).cpu()
        expected = plain[f"{layer.name}.weight"].float()
        if weight.shape != expected.shape:
            raise CheckFailed(f"the weight of {layer} has the shape {tuple(weight.shape)}")
        error = float((weight - expected).norm() / expected.norm())
        if not error <= most:
            raise CheckFailed(f"the weight of {layer} is off by {error:.2g} of its norm")


def _passes(examine: Any) -> None:
    try:
        examine()
    except QragError as error:
        raise CheckFailed(str(error)) from error
