"""What PEFT puts beside a model's own weights: a LoRA adapter, or another kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_REPLACEMENTS = "modules_to_save"
_BASE = ("base_model.model.", ".base_layer")


def is_adapter(model: Any) -> Callable[[str], bool]:
    """Return what tells whether a module or weight of that name is an adapter's.

    Whole layers that an adapter brings in place of the model's own (PEFT's ``modules_to_save``)
    are not: they are held to what holds for those that they replace.

    :param model: a ``torch.nn.Module``.
    """
    begins = tuple(
        f"{name}.{own}."
        for name, module in model.named_modules()
        for own in getattr(module, "adapter_layer_names", ())
        if own != _REPLACEMENTS
    )
    return lambda name: f"{name}.".startswith(begins)


def name_without_adapter(name: str) -> str:
    """Return the name that a module has in the model that an adapter was put on."""
    return name.removeprefix(_BASE[0]).removesuffix(_BASE[1])
