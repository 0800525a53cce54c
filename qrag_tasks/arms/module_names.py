"""What the names of a model's modules tell."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

# Of models that see or hear; only the text part is loaded.
_TOWERS = ("vision", "visual", "audio", "image")
_ROUTERS = ("gate", "router", "shared_expert_gate")


def in_block(name: str) -> bool:
    """Tell whether a module is in a transformer block: those have a number in their names."""
    return any(part.isdecimal() for part in name.split("."))


def is_norm(name: str) -> bool:
    """Tell whether a module is a norm, by its name."""
    last = name.rpartition(".")[2].lower()
    return "norm" in last or last.startswith("ln")


def matches(name: str, patterns: Collection[str]) -> bool:
    """Tell whether one of ``patterns`` names a module, as ``modules_to_not_convert`` does.

    Which transformers reads as: a regular expression for the beginning of a module's full name, up
    to the end of a part, or its literal end.
    """
    return any(name.endswith(pattern) or _begins(name, pattern) for pattern in patterns)


def _begins(name: str, pattern: str) -> bool:
    try:
        return re.match(rf"(?:{pattern})(?:(?<=\.)|(?=\.|$))", name) is not None
    except re.error:
        return False


def in_tower(name: str) -> bool:
    """Tell whether a module is in the part of a model that sees or hears, which is not loaded."""
    return any(part.startswith(_TOWERS) for part in name.split("."))


def is_linear(name: str, shape: Sequence[int]) -> bool:
    """Tell whether a module's weight of that shape is a linear layer's, and no router's."""
    if len(shape) != 2:
        return False
    last = name.rpartition(".")[2].lower()
    router = last in _ROUTERS and shape[0] * 8 <= shape[1]
    return not (router or is_norm(name) or "embed" in last)
