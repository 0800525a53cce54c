"""The tensors that a module holds, those of quantizers among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def held_tensors(module: Any) -> Iterator[Any]:
    """Yield every tensor that a module holds itself, once; those of its children are theirs."""
    seen = set()
    for tensor in _held(module):
        for part in _parts(tensor):
            if place(part) not in seen:
                seen.add(place(part))
                yield part


def _held(module: Any) -> Iterator[Any]:
    import torch

    parameters = dict(module.named_parameters(recurse=False, remove_duplicate=False))
    weight = parameters.get("weight")
    quant_state = getattr(weight, "quant_state", None)
    nested = getattr(quant_state, "state2", None)
    owners = [
        parameters,
        dict(module.named_buffers(recurse=False, remove_duplicate=False)),
        vars(module),
        *dicts_of(module).values(),
        *(vars(state) for state in (quant_state, nested) if state is not None),
        *(vars(state) for state in (weight, getattr(module, "state", None)) if _is_int8(state)),
    ]
    for owner in owners:
        for value in owner.values():
            if torch.is_tensor(value):
                yield value


def dicts_of(module: Any) -> dict[str, Any]:
    """Return the dictionaries that a module's class keeps in it; those of torch are not among them.

    HQQ has its scales in one.
    """
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, dict) and not name.startswith("_")
    }


def _is_int8(thing: Any) -> bool:
    return type(thing).__name__ in ("Int8Params", "MatmulLtState")


def _parts(tensor: Any) -> Iterator[Any]:
    """Yield a tensor, or what a subclass that holds others is made of."""
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    if flatten is None:
        yield tensor
    else:
        for name in flatten(tensor)[0]:
            yield from _parts(getattr(tensor, name))


def place(tensor: Any) -> Any:
    """Return what tells a tensor from all others that hold something else."""
    if tensor.is_meta or not tensor.nbytes:
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.nbytes
