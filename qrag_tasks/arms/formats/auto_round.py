"""AutoRound, arXiv 2309.05516: how weights were rounded; they are stored as GPTQ's or AWQ's are.

A checkpoint in AutoRound's own words names its packing. What it holds then are the tensors of GPTQ
or AWQ, and GPT-QModel reads them: the package ``auto-round`` is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.arms.formats.base import declared_method, setting
from qrag_tasks.arms.module_names import in_block

_NAME = "auto-round"
_PACKINGS = {
    "auto_round:auto_gptq": ("gptq", "gptq"),
    # Zeros as they are, not less one.
    "auto_round:gptqmodel": ("gptq", "gptq_v2"),
    "auto_round": ("gptq", "gptq_v2"),
    "auto_round:auto_awq": ("awq", "gemm"),
}
"""AutoRound's name of a packing -> who stores tensors so, and in which layout."""
_KEPT = ("bits", "group_size", "sym", "autoround_version", "modules_to_not_convert")


def in_others_words(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a ``quantization_config`` of AutoRound's in the words of GPTQ or AWQ; others as is.

    Of a packing that is neither, GPTQ's: :func:`refused` tells.
    """
    if declared_method(config) != _NAME:
        return config
    method, layout = _PACKINGS.get(_packing(config), ("gptq", "gptq"))
    words = {"quant_method": method, **{key: config[key] for key in _KEPT if key in config}}
    if method == "awq":
        return {**words, "version": layout, "zero_point": True}
    return {**words, "checkpoint_format": layout, "desc_act": False}


def refused(config: Mapping[str, Any]) -> str:
    """Return why a checkpoint of AutoRound's cannot be read; empty where it can, or is no such."""
    if declared_method(config) != _NAME:
        return ""
    packing, kind = _packing(config), str(setting(config, "data_type") or "int")
    rounded = setting(config, "act_bits")
    if packing not in _PACKINGS or kind != "int" or rounded not in (None, 16, 32):
        words = f"packing {packing}, data type {kind}"
        words += f", activations in {rounded} bits" if rounded not in (None, 16, 32) else ""
        return (
            f"is AutoRound's, with {words}, which is not read (packings that are: "
            f"{', '.join(_PACKINGS)}, of integers): make it again with --format auto_round, or "
            f"quantize its source with `qrag quantize`"
        )
    # What it says of the head, say, is as everywhere: that it is left as it was.
    if others := [name for name in setting(config, "extra_config") or () if in_block(name)]:
        return (
            f"its quantization_config treats some modules otherwise (extra_config: "
            f"{', '.join(others[:3])}). transformers does not read that: make it again without"
        )
    return ""


def _packing(config: Mapping[str, Any]) -> str:
    return str(setting(config, "packing_format", "backend") or "auto_round")
