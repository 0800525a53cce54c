"""How the linear layers of a checkpoint are stored, told from names and shapes of tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from qrag_tasks.arms.checkpoint_files import FLOATS, TensorFacts
from qrag_tasks.arms.formats.facts import OTHER, StoredLayer
from qrag_tasks.arms.module_names import in_block, in_tower, is_linear, matches
from qrag_tasks.arms.precisions import special_first

# What the tensors are called that hold packed weights, in whatever format.
_PACKED = ("qweight", "weight_packed")


def block_layers(
    tensors: Mapping[str, TensorFacts], unquantized: Collection[str] = ()
) -> list[StoredLayer]:
    """Return the linear layers of all blocks; norms, embeddings and routers are none.

    :param unquantized: patterns of those that the checkpoint declares not to be quantized.
    """
    known = special_first()
    layers: list[StoredLayer] = []
    for module, parts in _modules(tensors).items():
        by_format = (list(one.stored_layers(module, parts)) for one in known)
        layers += next(filter(None, by_format), _unknown(module, parts))
    return [
        replace(layer, left_out=not layer.quantized and matches(layer.name, unquantized))
        for layer in layers
    ]


def _modules(tensors: Mapping[str, TensorFacts]) -> dict[str, dict[str, TensorFacts]]:
    """Return the modules of all blocks, and what is stored under each: the rest of its name.

    What belongs to a tensor called ``weight``, as ``weight.absmax``, is stored under its module.
    """
    modules: dict[str, dict[str, TensorFacts]] = {}
    for name, facts in tensors.items():
        module, dot, rest = name.partition(".weight.")
        part = f"weight.{rest}"
        if not dot:
            module, _, part = name.rpartition(".")
        if in_block(module) and not in_tower(name):
            modules.setdefault(module, {})[part] = facts
    return modules


def _unknown(module: str, parts: Mapping[str, TensorFacts]) -> list[StoredLayer]:
    return [
        StoredLayer(module, OTHER, None, facts.dtype)
        for part, facts in parts.items()
        if part in _PACKED
        or (part == "weight" and facts.dtype not in FLOATS and is_linear(module, facts.shape))
    ]
