"""GPTQ and AWQ checkpoints made by hand: weights rounded to nearest and packed with torch."""

from __future__ import annotations

import gc
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

# With one worker gptqmodel fails at import, and one is its default on two cores.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def is_block_layer(name: str) -> bool:
    return ".layers." in name and name.endswith("_proj.weight")


def round_to_nearest(
    weight: Any, group_size: int, bits: int, symmetric: bool = False
) -> tuple[Any, Any, Any]:
    """Return codes (in, out), zeros and scales (groups, out) of a matrix (out, in)."""
    import torch

    most = 2**bits - 1
    groups = weight.float().T.reshape(-1, group_size, weight.shape[0])
    low, high = groups.amin(1), groups.amax(1)
    if symmetric:
        high = torch.maximum(high, -low) * most / (most - 1)
        low = -high
    scales = ((high - low) / most).half()
    zeros = torch.round(-low / scales.float()).clamp(1, most)
    if symmetric:
        zeros = torch.full_like(zeros, 2 ** (bits - 1))
    codes = torch.round(groups / scales.float()[:, None] + zeros[:, None]).clamp(0, most)
    return codes.reshape(-1, weight.shape[0]).int(), zeros.int(), scales


def dequantized(codes: Any, zeros: Any, scales: Any) -> Any:
    """Return the (out, in) matrix that codes stand for."""
    groups = codes.reshape(zeros.shape[0], -1, codes.shape[1])
    return ((groups - zeros[:, None]) * scales.float()[:, None]).reshape(codes.shape).T


def packed_rows(codes: Any, bits: int) -> Any:
    """Pack codes (rows, columns) along the rows: int32 of shape (rows * bits / 32, columns)."""
    import torch

    if bits == 3:
        return packed_threes(codes)
    count = 32 // bits
    parts = codes.long().reshape(-1, count, codes.shape[1])
    words = sum(parts[:, i] << (bits * i) for i in range(count))
    return torch.where(words >= 2**31, words - 2**32, words).int().contiguous()


def packed_threes(codes: Any) -> Any:
    """Pack 32 codes of 3 bits into three words, as AutoGPTQ did: 10 and a part, 10 and parts, 10.

    The eleventh code has two bits in the first word and one in the second, the twenty-second one
    in the second and two in the third.
    """
    import torch

    parts = codes.long().reshape(-1, 32, codes.shape[1])
    one, two, three = torch.zeros(3, parts.shape[0], parts.shape[2], dtype=torch.long)
    for place in range(10):
        one |= parts[:, place] << (3 * place)
        two |= parts[:, 11 + place] << (3 * place + 1)
        three |= parts[:, 22 + place] << (3 * place + 2)
    one |= (parts[:, 10] & 3) << 30
    two |= parts[:, 10] >> 2 | (parts[:, 21] & 1) << 31
    three |= parts[:, 21] >> 1
    words = torch.stack([one, two, three], 1).reshape(-1, codes.shape[1])
    return torch.where(words >= 2**31, words - 2**32, words).int().contiguous()


def gptq_tensors(
    weight: Any, group_size: int, bits: int = 4, version: int = 1, symmetric: bool = False
) -> dict[str, Any]:
    import torch

    codes, zeros, scales = round_to_nearest(weight, group_size, bits, symmetric)
    stored = zeros - 1 if version == 1 else zeros
    return {
        "qweight": packed_rows(codes, bits),
        "qzeros": packed_rows(stored.T, bits).T.contiguous(),
        "scales": scales,
        "g_idx": (torch.arange(codes.shape[0]) // group_size).int(),
    }


def awq_tensors(weight: Any, group_size: int, bits: int = 4) -> dict[str, Any]:
    codes, zeros, scales = round_to_nearest(weight, group_size, bits)

    def packed(values: Any) -> Any:
        in_order = values.reshape(values.shape[0], -1, 8)[:, :, list(AWQ_ORDER)]
        return packed_rows(in_order.reshape(values.shape).T, bits).T.contiguous()

    return {"qweight": packed(codes), "qzeros": packed(zeros), "scales": scales}


def gptq_config(group_size: int, bits: int = 4, **others: Any) -> dict[str, Any]:
    settings = {"quant_method": "gptq", "bits": bits, "group_size": group_size}
    # As GPT-QModel writes it: without, it takes no uneven zeros of version 1.
    meta = {"quantizer": ["gptqmodel:7.6.0"]}
    rest = {"desc_act": False, "sym": False, "checkpoint_format": "gptq", "meta": meta}
    return {**settings, **rest, **others}


def awq_config(group_size: int, **others: Any) -> dict[str, Any]:
    settings = {"quant_method": "awq", "bits": 4, "group_size": group_size}
    return {**settings, "zero_point": True, "version": "gemm", **others}


def auto_round_folder(model: Path, folder: Path, packing: str, bits: int = 4) -> Path:
    """Write ``model`` into ``folder`` as AutoRound does: groups of 32, no ``g_idx``.

    :param packing: ``auto_round:auto_gptq``, ``auto_round:auto_awq``, or ``auto_round``, which does
        not store zeros less one.
    """
    version = "gptq" if packing.endswith("auto_gptq") else "gptq_v2"
    config = gptq_config(32, bits, sym=True, checkpoint_format=version)
    quantized_folder(model, folder, awq_config(32) if packing.endswith("awq") else config)
    write_tensors(
        folder, {name: t for name, t in read_tensors(folder).items() if "g_idx" not in name}
    )
    change_config(folder, quantization_config=auto_round_config(packing, bits))
    return folder


def auto_round_config(packing: str, bits: int = 4, **others: Any) -> dict[str, Any]:
    settings = {"quant_method": "auto-round", "packing_format": packing, "bits": bits}
    more = {"group_size": 32, "data_type": "int", "sym": not packing.endswith("awq")}
    return {**settings, **more, "autoround_version": "0.16.1", **others}


def read_tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def write_tensors(folder: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **changes: Any) -> None:
    """Set keys of config.json; ``None`` takes one away."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    config = {key: value for key, value in config.items() if value is not None}
    path.write_text(json.dumps(config), encoding="utf-8")


def quantized_folder(
    model: Path,
    folder: Path,
    config: Mapping[str, Any],
    *,
    packed_group_size: int | None = None,
    keep: Callable[[str], bool] = lambda name: False,
) -> Path:
    """Write ``model`` into ``folder``, its block layers packed as ``config`` says.

    :param packed_group_size: of the tensors, where it is another than the configuration's.
    :param keep: tells of the name of a weight whether it stays as it is.
    """
    shutil.copytree(model, folder)
    group_size, bits = packed_group_size or config["group_size"], config["bits"]
    tensors: dict[str, Any] = {}
    for name, tensor in read_tensors(folder).items():
        if not is_block_layer(name) or keep(name):
            tensors[name] = tensor
            continue
        size = tensor.shape[1] if group_size == -1 else group_size
        if config["quant_method"] == "awq":
            parts = awq_tensors(tensor, size)
        else:
            version = 2 if config.get("checkpoint_format") == "gptq_v2" else 1
            parts = gptq_tensors(tensor, size, bits, version, bool(config.get("sym")))
        tensors |= {name.removesuffix("weight") + part: value for part, value in parts.items()}
    write_tensors(folder, tensors)
    change_config(folder, quantization_config=dict(config))
    return folder


def load_packed(folder: Path, dtype: str = "bfloat16") -> Any:
    """Load a GPTQ or AWQ checkpoint, and let GPT-QModel's temporary folders go while nobody minds.

    Skips the test where GPT-QModel is missing.
    """
    pytest.importorskip("gptqmodel", reason="the gptq extra is not installed")
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        model = AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, dtype=dtype)
        gc.collect()
    return model
