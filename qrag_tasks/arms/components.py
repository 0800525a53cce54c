"""What an arm is made of, as JSON: tensors by their content, layers, settings."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import sys
import uuid
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.arms.module_tensors import dicts_of
from qrag_tasks.arms.precisions import packages

UNKNOWN = "known to this process only: "
"""Begins what stands for a thing whose content cannot be told."""

_QUANTIZER_SETTINGS = (
    *("compute_dtype", "quant_type", "bits", "group_size", "desc_act", "sym", "pack_dtype"),
    "threshold",
)
_WORDS = 1 << 16


class ByObject:
    """What is known of objects, which need not be hashable, for as long as they live."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def get(self, key: Any) -> Any:
        """Return what was put there for this very object, or ``None``."""
        reference, value = self._known.get(id(key), (None, None))
        return value if reference is not None and reference() is key else None

    def put(self, key: Any, value: Any) -> None:
        """Keep ``value``.

        :raises TypeError: when there are no weak references to ``key``.
        """
        place = id(key)
        self._known[place] = (weakref.ref(key, lambda _: self._known.pop(place, None)), value)


_TOKENS = ByObject()
_FIRST_SEEN = ByObject()


def token(thing: Any) -> str:
    """Return what no other object has, in this process or another."""
    name = _TOKENS.get(thing)
    if name is None:
        name = f"{UNKNOWN}{type(thing).__qualname__} {uuid.uuid4().hex}"
        try:
            _TOKENS.put(thing, name)
        except TypeError:
            return name  # of such a thing, another one at every call
    return str(name)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it.

    Tensors and bytes become digests, objects their ``to_dict()`` or their fields; and what shows
    no content at all a :func:`token`.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=canonical)
    if isinstance(value, (bytes, bytearray)):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Path):
        return str(value)
    if (torch := sys.modules.get("torch")) is not None:
        if isinstance(value, (torch.dtype, torch.device)):
            return str(value)
        if isinstance(value, torch.Tensor):
            return digest_of(tensor_content(value))
    if not isinstance(value, type):
        if callable(to_dict := getattr(value, "to_dict", None)):
            return plain(to_dict())
        if dataclasses.is_dataclass(value):
            return plain(vars(value))
    return token(value)


def canonical(value: Any) -> str:
    """Return the one JSON text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest_of(value: Any) -> str:
    """Return the sha256, as hex, of a JSON value; of one with a :func:`token`, that token."""
    text = canonical(value)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{UNKNOWN}{digest}" if UNKNOWN in text else digest


# ---------------------------------------------------------------------- layers
def weights_digest(model: Any) -> str:
    """Return a sha256, as hex, over all that a ``torch.nn.Module`` would save, bit by bit.

    Weights are read at every call, since they may have been changed in place; but those of layers
    that pack them again, and not reversibly, when they are first used, as they were at the first
    call. (``state_dict()`` would even unpack some, with losses: it is not called.)
    """
    contents: dict[tuple[Any, ...], Any] = {}
    return digest_of(
        [[name, _layer(layer, contents)] for name, layer in model.named_modules()],
    )


def _layer(layer: Any, contents: dict[tuple[Any, ...], Any]) -> Any:
    """Return the content of one layer, without those inside it.

    :param contents: of the tensors so far: tied ones are read once.
    """
    own = quantizers([layer])
    if not own:
        saved: dict[str, Any] = {}
        layer._save_to_state_dict(saved, "", False)
        return _entries(layer, saved, contents)
    if not own & packages(repacking=True):
        return _entries(layer, _quantized(layer), contents)
    parameters = list(layer.parameters(recurse=False))
    references, entries = _FIRST_SEEN.get(layer) or ([None], None)
    if list(map(id, parameters)) == [id(reference and reference()) for reference in references]:
        return entries
    entries = _entries(layer, _quantized(layer), contents)
    _FIRST_SEEN.put(layer, ([weakref.ref(parameter) for parameter in parameters], entries))
    return entries


def quantizers(layers: Any) -> set[str]:
    """Return which packages of formats some layers, or what they hold, have their classes from."""
    things = (
        thing
        for layer in layers
        for thing in (layer, *layer.parameters(recurse=False), *vars(layer).values())
    )
    classes = {base for kind in {type(thing) for thing in things} for base in kind.__mro__}
    modules = {f"{base.__module__}." for base in classes}
    return {name for name in packages() if any(each.startswith(f"{name}.") for each in modules)}


def _quantized(layer: Any) -> dict[str, Any]:
    import torch

    saved: dict[str, Any] = {}
    state = getattr(getattr(layer, "weight", None), "quant_state", None)
    parameters = dict(layer.named_parameters(recurse=False))
    if getattr(state, "packing_format_for_cpu", False):
        saved |= {f"packed.{name}": value for name, value in vars(state).items()}
        saved |= parameters
    elif any(hasattr(value, "__tensor_flatten__") for value in parameters.values()):
        saved |= parameters
    else:
        layer._save_to_state_dict(saved, "", False)
    unsaved = {**dict(layer.named_buffers(recurse=False)), **vars(layer)}
    saved |= {f".{key}": value for key, value in unsaved.items() if torch.is_tensor(value)}
    for key, inner in dicts_of(layer).items():
        saved |= {
            f".{key}.{name}": value
            for name, value in inner.items()
            if torch.is_tensor(value) or isinstance(value, (int, float, str))
        }
    for name in _QUANTIZER_SETTINGS:
        for owner in (layer, getattr(layer, "state", None)):
            saved[f"{type(owner).__name__}.{name}"] = getattr(owner, name, None)
    return saved


def _entries(
    layer: Any, saved: Mapping[str, Any], contents: dict[tuple[Any, ...], Any]
) -> dict[str, Any]:
    import torch

    entries: dict[str, Any] = {}
    for name, value in saved.items():
        if not torch.is_tensor(value):
            entries[name] = plain(value)
        elif value.is_meta:
            kept = _offloaded(layer, name)
            entries[name] = token(layer) if kept is None else tensor_content(kept)
        elif hasattr(value, "__tensor_flatten__") or value.layout is not torch.strided:
            entries[name] = tensor_content(value)
        else:
            place = (value.device, value.data_ptr(), value.stride(), value.shape, value.dtype)
            if place not in contents:
                # With the tensor itself, so that no other one gets its place.
                contents[place] = (value, tensor_content(value))
            entries[name] = contents[place][1]
    return entries


def _offloaded(layer: Any, name: str) -> Any:
    """Return a weight that accelerate keeps elsewhere until the layer is used, or ``None``."""
    hook = getattr(layer, "_hf_hook", None)
    for one in (hook, *getattr(hook, "hooks", ())):
        kept = getattr(one, "weights_map", None)
        if kept is not None:
            try:
                return kept[name]
            except KeyError:
                continue
    return None


# ---------------------------------------------------------------------- tensors
def tensor_content(tensor: Any) -> Any:
    """Return dtype, shape and checksums of a tensor, computed on its own device.

    A change of any bit, and an exchange of any two elements that differ, changes the checksums:
    see :func:`_checksums`. What cannot be read, as on the device ``meta``, is a :func:`token`.

    :returns: a JSON value.
    """
    import torch

    facts: list[Any] = [str(tensor.dtype), list(tensor.shape)]
    if callable(to_local := getattr(tensor, "to_local", None)):
        return [*facts, "local", tensor_content(to_local())]
    if hasattr(tensor, "__tensor_flatten__"):
        names, context = tensor.__tensor_flatten__()
        inner = {name: tensor_content(getattr(tensor, name)) for name in names}
        return [*facts, type(tensor).__qualname__, inner, plain(context)]
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        return [*facts, token(tensor)]
    data = tensor.detach().as_subclass(torch.Tensor)
    pieces: list[int] = []
    for piece in _pieces(data.resolve_conj().resolve_neg()):
        pieces += _checksums(piece)
    return [*facts, pieces]


def _pieces(tensor: Any) -> Iterator[Any]:
    """Yield the bytes of a tensor, as ``uint8``; a part at a time where they must be copied."""
    import torch

    if tensor.is_contiguous():
        yield tensor.reshape(-1).view(torch.uint8)
        return
    row = tensor[:1].numel() * tensor.element_size()
    for part in tensor.split(max(1, 8 * _WORDS * 64 // max(row, 1))):
        yield part.contiguous().reshape(-1).view(torch.uint8)


def _checksums(data: Any) -> list[int]:
    """Return two checksums for every 65536 words of 64 bits, modulo 2 ** 64.

    The first is the sum of words times weights. Weights are odd, so no single word can change
    unnoticed. Their lowest 17 bits are 2 i + 1 at place i, so the difference of two is divisible
    by 2 ** 16 at most, and an exchange of two words goes unnoticed only if they agree in their
    lower 48 bits. The second sum, of the upper halves alone, then sees it. The upper bits of the
    weights are scattered, which takes care of changes that would make up for each other.

    :param data: of ``torch.uint8``, with one dimension.
    """
    import torch

    if data.storage_offset() % 8:
        data = data.clone()
    whole = data.numel() // 8 * 8
    words, rest = data[:whole].view(torch.int64), data[whole:]
    blocks = words[: words.numel() // _WORDS * _WORDS].view(-1, _WORDS)
    last = words[blocks.numel() :]
    if rest.numel():
        end = torch.zeros(8, dtype=torch.uint8, device=data.device)
        end[: rest.numel()] = rest
        last = torch.cat([last, end.view(torch.int64)])
    one, other = _weights(str(data.device))
    # What a CPU's cache holds; elsewhere, what takes longer than to ask for it.
    rows = 1 if data.device.type == "cpu" else 64
    sums = [
        torch.stack([(block * one).sum(1), ((block >> 32) * other).sum(1)], 1)
        for block in blocks.split(rows)
    ]
    ends = [(last * one[: len(last)]).sum(), ((last >> 32) * other[: len(last)]).sum()]
    sums.append(torch.stack(ends)[None])
    return [int(value) for value in torch.cat(sums).flatten().tolist()]


@functools.lru_cache
def _weights(device: str) -> Any:
    """Return two rows of 65536 odd weights, ``torch.int64``; products of them wrap around."""
    import torch

    place = torch.arange(_WORDS, dtype=torch.int64, device=device)
    rows = []
    for factor in (-7046029254386353131, -4417276706812531889):
        scattered = (place + 1) * factor
        scattered = (scattered ^ (scattered >> 31)) * factor
        scattered = scattered ^ (scattered >> 29)
        rows.append((scattered << 17) | (2 * place + 1))
    return torch.stack(rows)
