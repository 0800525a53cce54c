"""What vLLM has made of a layer of compressed-tensors: read off its scheme, kernel and tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.formats.compressed_tensors import NAME
from qrag_tasks.arms.formats.facts import LayerFacts

METHOD = "CompressedTensorsLinearMethod"
"""vLLM's class of what computes such a layer."""
_SCHEME = re.compile(r"CompressedTensors(?:W(?:NA|(\d)A)(\d+))(\w*)")
# Kernels that round no activations, whatever a scheme asks for.
_WEIGHTS_ONLY = re.compile("Marlin|WNA16|Machete|Exllama|AllSpark|Emulation")
_NUMBERS = {"Int": "int", "Int8": "int", "Fp8": "fp", "Fp4": "nvfp4"}
_PLACES = {"tensor": "tensor", "channel": "row", "group": "group", "block": "block"}


@dataclass(frozen=True)
class CompressedFacts:
    """Facts of a loaded layer; see :class:`~qrag_tasks.arms.formats.facts.LayerFacts`.

    :ivar unread: bytes of a weight that its kernel has taken where nobody can read it.
    """

    bits: int | None
    quant_type: str | None
    group_size: int | None
    dtype: str
    details: str
    unread: int = 0
    method: str = NAME


def facts_of(
    module: Any, tensors: Mapping[str, Any], inputs: int, outputs: int
) -> CompressedFacts | None:
    """Return the facts of one of vLLM's linear layers; ``None`` where it is not of this format.

    :param tensors: that the layer holds, by their names.
    """
    if type(module.quant_method).__name__ != METHOD:
        return None
    scheme = module.scheme
    dtype = str(getattr(module, "params_dtype", "")).removeprefix("torch.")
    scales = next((tensors[name] for name in tensors if name.startswith("weight_scale")), None)
    main = next((tensors[name] for name in ("weight_packed", "weight") if name in tensors), None)
    unread = 0
    if main is None and _has_taken_the_weight(scheme):
        bits, unread = 8, inputs * outputs
    elif main is None or scales is None:
        return CompressedFacts(None, None, None, dtype, "")
    else:
        bits = round(8 * main.nbytes / (inputs * outputs))
    kind = _kind(scheme, module, bits, main)
    groups = None
    by_group = _strategy(scheme) not in ("tensor", "channel")
    if by_group and main is not None and not main.is_floating_point() and scales is not None:
        # Of 4-bit floating point a kernel may keep more scales than there are, for its own shapes.
        fp4 = kind is not None and "fp4" in kind
        groups = scheme.group_size if fp4 else inputs // max(1, scales.numel() // outputs)
    return CompressedFacts(bits, kind, groups, dtype, _details(scheme, kind), unread)


def rounds_activations(module: Any) -> bool:
    """Tell whether a kernel for 4-bit weights rounds activations to 8 bits, as on CPUs with AMX."""
    return bool(getattr(module, "use_w4a8", False))


def bytes_taken(module: Any, layers: Sequence[LayerFacts]) -> int:
    """Return the bytes of a weight that its kernel has taken; 0 where the layer still has it.

    :param layers: that the layer stands for.
    """
    if type(getattr(module, "quant_method", None)).__name__ != METHOD:
        return 0
    if getattr(module, "weight", None) is not None or not _has_taken_the_weight(module.scheme):
        return 0
    return sum(layer.in_features * layer.out_features for layer in layers)


def _has_taken_the_weight(scheme: Any) -> bool:
    """Tell whether oneDNN holds a weight of 8-bit integers, as it does on CPUs."""
    return hasattr(getattr(scheme, "kernel", None), "dnnl_handler")


def _kind(scheme: Any, module: Any, bits: int, main: Any) -> str | None:
    """Return what a layer computes: by its scheme, unless its kernel rounds no activations."""
    matched = _SCHEME.fullmatch(type(scheme).__name__)
    if matched is None:
        return None
    _, activations, number = matched.groups()
    floating = main is not None and main.is_floating_point()
    kernel = type(getattr(scheme, "kernel", None) or getattr(scheme, "fp8_linear", None)).__name__
    packed_rounds = rounds_activations(module)
    rounds = activations != "16" and (packed_rounds or not _WEIGHTS_ONLY.search(kernel))
    if number == "Fp4":
        return "nvfp4" if rounds and not getattr(scheme, "use_a16", False) else "nvfp4a16"
    if number == "Fp8" and bits == 8:
        return "w8a8-fp8" if rounds and floating else "w8a16-fp8"
    if not rounds:
        return None if packed_rounds else f"w{bits}a16"
    return f"w{bits}a8-{_NUMBERS.get(number, number)}8" if number in _NUMBERS else None


def _strategy(scheme: Any) -> str:
    """Return what a scale is for, as the format calls it; nothing where a scheme has one way."""
    strategy = getattr(scheme, "strategy", "")
    return str(getattr(strategy, "value", strategy))


def _details(scheme: Any, kind: str | None) -> str:
    strategy = _strategy(scheme)
    parts = [f"a scale a {_PLACES[strategy]}"] if strategy in _PLACES else []
    if getattr(scheme, "symmetric", True) is False:
        parts.append("zero points")
    if kind and "a16" not in kind:
        fixed = bool(getattr(scheme, "is_static_input_scheme", False))
        uneven = getattr(scheme, "input_symmetric", True) is False
        parts.append(
            f"activations {'with zero points, ' if uneven else ''}"
            f"{'with a scale fixed beforehand' if fixed else 'a scale a token, as they come'}"
        )
    return ", ".join(parts)
