"""The schemes of compressed-tensors: what a ``quantization_config`` says, read without the library.

Names are those of llm-compressor's presets, in lower case: W and A are bits of weights and
activations. https://docs.vllm.ai/projects/llm-compressor/en/latest/guides/compression_schemes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

FP4_GROUPS = {16: "nvfp4", 32: "mxfp4"}
"""Weights that share a scale -> the format of 4-bit floating point."""
_CLASSES = ("Linear", "LinearBase")
_NEEDED_BY_ACTIVATIONS = {"tensor": "tensor", "token": "token", "group": "group of inputs"}


@dataclass(frozen=True)
class Rounding:
    """How one tensor of a layer is rounded: its weights, or its inputs.

    :ivar type: ``int`` or ``float``.
    :ivar strategy: what shares a scale: ``tensor``, ``channel``, ``group``, ``block``, ``token``
        or ``tensor_group``, a group whose scale is rounded itself.
    :ivar group_size: of ``group`` and ``tensor_group``.
    :ivar block: rows and columns of a ``block``.
    :ivar dynamic: whether the scale is computed again for every input.
    :ivar actorder: in which order GPTQ has seen the columns; ``group`` where these stay so.
    """

    bits: int
    type: str = "int"
    symmetric: bool = True
    strategy: str = "tensor"
    group_size: int | None = None
    block: tuple[int, int] | None = None
    dynamic: bool = False
    actorder: str | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Rounding:
        """Return what the arguments of a config group say, with the library's defaults."""
        size, block = said.get("group_size"), said.get("block_structure")
        if isinstance(block, str):
            block = [int(part) for part in re.findall(r"\d+", block)]
        implied = "tensor" if size is None else "channel" if size == -1 else "group"
        return cls(
            bits=int(said.get("num_bits") or 8),
            type=str(said.get("type") or "int").lower(),
            symmetric=said.get("symmetric") is not False,
            strategy=str(said.get("strategy") or implied).lower(),
            group_size=int(size) if isinstance(size, int) and size > 0 else None,
            block=(int(block[0]), int(block[1])) if block else None,
            dynamic=bool(said.get("dynamic")),
            actorder=_order(said.get("actorder")),
        )

    def words(self) -> str:
        """Return what it is in words."""
        number = f"{self.bits}-bit {'integers' if self.type == 'int' else 'floating point'}"
        return number if self.symmetric else f"{number} with zero points"


def _order(said: Any) -> str | None:
    if said is True:
        return "group"
    return {"static": "weight", "dynamic": "group"}.get(said, said) if said else None


@dataclass(frozen=True)
class Scheme:
    """How linear layers are quantized.

    :ivar inputs: how activations are rounded; ``None`` where they stay in 16 or 32 bits.
    """

    weights: Rounding
    inputs: Rounding | None = None

    @property
    def kind(self) -> str:
        """Its name, which is that of the precision, where there is one."""
        weights, inputs = self.weights, self.inputs
        if weights.type == "int":
            if inputs is None:
                return f"w{weights.bits}a16"
            number = "fp" if inputs.type == "float" else "int"
            return f"w{weights.bits}a{inputs.bits}-{number}{inputs.bits}"
        if weights.bits == 4:
            name = FP4_GROUPS.get(weights.group_size or 0, "fp4")
        elif weights.strategy in ("group", "tensor_group"):
            name = f"mxfp{weights.bits}"
        else:
            return f"w{weights.bits}a{inputs.bits if inputs else 16}-fp{weights.bits}"
        if inputs is None:
            return f"{name}a16"
        alike = (inputs.type, inputs.bits) == (weights.type, weights.bits)
        return name if alike else f"{name}a{inputs.bits}"

    @property
    def activations(self) -> str:
        """How activations are rounded, in words; empty where they are not."""
        if self.inputs is None:
            return ""
        place = _NEEDED_BY_ACTIVATIONS.get(self.inputs.strategy, self.inputs.strategy)
        when = "as they come" if self.inputs.dynamic else "fixed beforehand"
        return f"activations in {self.inputs.words()}, a scale a {place}, {when}"


@dataclass(frozen=True)
class Config:
    """What a ``quantization_config`` of compressed-tensors says.

    :ivar scheme: of its layers; ``None`` where there are several, or none.
    :ivar layout: of the stored tensors: ``pack-quantized``, ``int-quantized``, ...
    :ivar unquantized: patterns of the layers that are left out, for
        :func:`~qrag_tasks.arms.module_names.matches`.
    :ivar refused: why it is not read, to follow the checkpoint's name; empty where it is.
    """

    scheme: Scheme | None
    layout: str
    unquantized: tuple[str, ...]
    refused: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Config:
        """Read a ``quantization_config`` that names compressed-tensors."""
        groups = config.get("config_groups") or {}
        layout = str(config.get("format") or "dense")
        ignored = [_pattern(str(name)) for name in config.get("ignore") or ()]
        try:
            schemes = {name: _scheme(group) for name, group in groups.items()}
        except (AttributeError, TypeError, ValueError):
            return cls(None, layout, tuple(ignored), "its config_groups cannot be read")
        targets = [str(each) for group in groups.values() for each in group.get("targets") or ()]
        read = cls(None, layout, (*ignored, *_not_targeted(targets)))
        kinds = {scheme: name for name, scheme in schemes.items()}
        if len(kinds) > 1:
            several = ", ".join(
                f"{name}: {each.kind if each else 'no weights'}" for each, name in kinds.items()
            )
            return replace(
                read,
                refused=f"its layers are quantized in several ways ({several}); an arm has one "
                f"precision, so take a checkpoint with one",
            )
        scheme = next(iter(kinds), None)
        formats = {group.get("format") or layout for group in groups.values()}
        if scheme is None:
            return replace(read, refused="none of its config_groups quantizes weights")
        return replace(
            read,
            scheme=scheme,
            layout=str(formats.pop()) if len(formats) == 1 else layout,
            refused=_refused(config, groups, scheme),
        )


def _scheme(group: Mapping[str, Any]) -> Scheme | None:
    if not group.get("weights"):
        return None
    inputs = group.get("input_activations")
    return Scheme(Rounding.of(group["weights"]), Rounding.of(inputs) if inputs else None)


def _refused(config: Mapping[str, Any], groups: Mapping[str, Any], scheme: Scheme) -> str:
    more = {
        "kv_cache_scheme": "its keys and values are quantized, too",
        "transform_config": "its layers are rotated",
        "sparsity_config": "its weights are sparse, too",
    }
    for key, what in more.items():
        if config.get(key) and config[key] != {"format": "dense"}:
            return f"{what} ({key}), which is neither verified nor taken into account here"
    if any(group.get("output_activations") for group in groups.values()):
        return "the outputs of its layers are rounded, too (output_activations)"
    if scheme.weights.actorder == "group":
        return (
            "its groups are in the order of GPTQ's activations (actorder: group), which "
            "compressed-tensors reads no longer; quantize again with `qrag quantize`"
        )
    return ""


def _pattern(name: str) -> str:
    """Return what :func:`~qrag_tasks.arms.module_names.matches` reads as an ignored name.

    compressed-tensors takes what follows ``re:`` for the beginning of a name, and anything else
    for a whole name.
    """
    if name.startswith("re:"):
        return f"(?:{name.removeprefix('re:')}).*"
    return f"{re.escape(name)}$"


def _not_targeted(targets: list[str]) -> Iterator[str]:
    """Yield a pattern of all layers that no group targets, where not all linear ones are."""
    if targets and not any(name in _CLASSES for name in targets):
        yield f"(?!{'|'.join(map(_pattern, targets))}).*"
