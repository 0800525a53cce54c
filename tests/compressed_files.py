"""Checkpoints of compressed-tensors made by hand: weights rounded to nearest, packed with torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantized_files import (
    change_config,
    is_block_layer,
    packed_rows,
    read_tensors,
    write_tensors,
)

_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_TOKENS = {"dynamic": True, "strategy": "token"}
_INT8 = {"num_bits": 8, "type": "int", "symmetric": True, **_TOKENS}
_FP8 = {"num_bits": 8, "type": "float", "symmetric": True, **_TOKENS}
_FP4 = {"num_bits": 4, "type": "float", "symmetric": True}
_NVFP4 = {**_FP4, "strategy": "tensor_group", "group_size": 16}
_ROWS = {"symmetric": True, "strategy": "channel", "dynamic": False}
_GROUPS = {"type": "int", "symmetric": True, "strategy": "group", "dynamic": False}
SCHEMES: Mapping[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "w4a16": ({"num_bits": 4, **_GROUPS}, None, "pack-quantized"),
    "w8a16": ({"num_bits": 8, **_GROUPS}, None, "pack-quantized"),
    "w2a16": ({"num_bits": 2, **_GROUPS}, None, "pack-quantized"),
    "w4a8-int8": ({"num_bits": 4, **_GROUPS}, _INT8, "pack-quantized"),
    "w4a8-fp8": ({"num_bits": 4, **_GROUPS}, _FP8, "pack-quantized"),
    "w8a8-int8": ({"num_bits": 8, "type": "int", **_ROWS}, _INT8, "int-quantized"),
    "w8a8-fp8": ({"num_bits": 8, "type": "float", **_ROWS}, _FP8, "float-quantized"),
    "w8a16-fp8": ({"num_bits": 8, "type": "float", **_ROWS}, None, "naive-quantized"),
    "nvfp4": (_NVFP4, {**_NVFP4, "dynamic": "local"}, "nvfp4-pack-quantized"),
    "nvfp4a16": (_NVFP4, None, "nvfp4-pack-quantized"),
    "mxfp4a16": (
        {**_FP4, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
        None,
        "mxfp4-pack-quantized",
    ),
}
"""Precision -> what its config says of weights and activations, and the layout of its tensors."""


def compressed_config(scheme: str, group_size: int = 128, **weights: Any) -> dict[str, Any]:
    """Return a ``quantization_config`` as llm-compressor writes it.

    :param weights: what it says otherwise of weights.
    """
    of_weights, inputs, layout = SCHEMES[scheme]
    if of_weights.get("strategy") == "group" and "group_size" not in of_weights:
        of_weights = {**of_weights, "group_size": group_size}
    group = {
        "targets": ["Linear"],
        "weights": {**of_weights, **weights},
        "input_activations": inputs,
        "output_activations": None,
        "format": layout,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


def weights_of(config: Mapping[str, Any]) -> dict[str, Any]:
    weights: dict[str, Any] = config["config_groups"]["group_0"]["weights"]
    return weights


def compressed_tensors(weight: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a matrix (out, in) is stored as."""
    said = weights_of(config)
    if said["type"] == "int" and (config["format"] == "pack-quantized" or said["num_bits"] < 8):
        return _integers(weight, said, packed=config["format"] == "pack-quantized")
    if said["num_bits"] == 4:
        return _packed_floats(weight, said)
    import torch

    over = weight.float().abs().amax(1, keepdim=True)
    if said["strategy"] == "tensor":
        over = weight.float().abs().amax().reshape(1)
    largest = 127.5 if said["type"] == "int" else 448.0
    scale = (over / largest).to(weight.dtype)
    codes = weight.float() / scale.float()
    if said["type"] == "int":
        codes = codes.round().clamp(-128, 127).to(torch.int8)
    else:
        codes = codes.clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale}


def dequantized(parts: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """Return the matrix (out, in), in float32, that packed integers or 8-bit numbers stand for."""
    import torch

    said = weights_of(config)
    scale = parts["weight_scale"].float()
    if "weight" in parts:
        return parts["weight"].float() * scale
    bits, (outputs, inputs) = said["num_bits"], parts["weight_shape"].tolist()
    shifts = torch.arange(0, 32, bits)
    codes = (parts["weight_packed"].long()[:, :, None] >> shifts) & (2**bits - 1)
    codes = codes.reshape(outputs, -1)[:, :inputs] - 2 ** (bits - 1)
    groups = codes.reshape(outputs, scale.shape[1], -1) * scale[:, :, None]
    return groups.reshape(outputs, inputs)


def _integers(weight: Any, said: Mapping[str, Any], *, packed: bool) -> dict[str, Any]:
    import torch

    bits, (outputs, inputs) = said["num_bits"], weight.shape
    size = said["group_size"] if said["strategy"] == "group" else inputs
    groups = weight.float().reshape(outputs, -1, size)
    half, zeros = 2 ** (bits - 1), {}
    if said["symmetric"]:
        scale = (groups.abs().amax(2) / (half - 0.5)).to(weight.dtype)
        shift = torch.zeros_like(scale).float()
    else:
        low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
        scale = ((high - low) / (2**bits - 1)).to(weight.dtype)
        shift = (-half - low / scale.float()).round().clamp(-half, half - 1)
        # Packed along the outputs.
        zeros = {"weight_zero_point": packed_rows((shift + half).int(), bits)}
    codes = (groups / scale.float()[:, :, None] + shift[:, :, None]).round()
    codes = codes.clamp(-half, half - 1).reshape(outputs, inputs)
    if not packed:
        return {"weight": codes.to(torch.int8), "weight_scale": scale}
    return {
        "weight_packed": packed_rows((codes + half).int().T, bits).T.contiguous(),
        "weight_scale": scale,
        "weight_shape": torch.tensor([outputs, inputs]),
        **zeros,
    }


def _packed_floats(weight: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    outputs, size = weight.shape[0], said["group_size"]
    groups = weight.float().reshape(outputs, -1, size)
    over = groups.abs().amax(2) / 6
    parts = {}
    if said["strategy"] == "tensor_group":
        overall = (448 * 6 / groups.abs().amax()).float().reshape(1)
        stored = (over * overall).to(torch.float8_e4m3fn)
        scale = stored.float() / overall
        parts["weight_global_scale"] = overall
    else:
        stored = (torch.log2(over).ceil() + 127).to(torch.uint8)
        scale = 2.0 ** (stored.float() - 127)
    values = torch.tensor(_E2M1)
    codes = groups / scale[:, :, None]
    places = torch.bucketize(codes.abs(), (values[1:] + values[:-1]) / 2)
    nibbles = (places + 8 * (codes < 0)).reshape(outputs, -1).to(torch.uint8)
    return {
        "weight_packed": nibbles[:, 0::2] | (nibbles[:, 1::2] << 4),
        "weight_scale": stored,
        **parts,
    }


def compressed_folder(
    model: Path,
    folder: Path,
    config: Mapping[str, Any],
    *,
    keep: Callable[[str], bool] = lambda name: False,
) -> Path:
    """Write ``model`` into ``folder``, its block layers stored as ``config`` says.

    :param keep: tells of the name of a weight whether it stays as it is.
    """
    import torch

    shutil.copytree(model, folder)
    inputs = config["config_groups"]["group_0"]["input_activations"]
    tensors: dict[str, Any] = {}
    for name, tensor in read_tensors(folder).items():
        if not is_block_layer(name) or keep(name):
            tensors[name] = tensor
            continue
        parts = compressed_tensors(tensor, config)
        if inputs and not inputs["dynamic"]:
            parts["input_scale"] = torch.tensor([0.05], dtype=tensor.dtype)
        if inputs and inputs["dynamic"] == "local":
            parts["input_global_scale"] = torch.tensor([400.0])
        tensors |= {name.removesuffix("weight") + part: value for part, value in parts.items()}
    write_tensors(folder, tensors)
    change_config(folder, quantization_config=dict(config))
    return folder
