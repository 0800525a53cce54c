"""The cache of keys and values that vLLM has allocated; read where the model lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from qrag_tasks.arms.kv_caches import AUTO, CacheFacts, KvCache, check_cache
from qrag_tasks.arms.layers import dtype_name
from qrag_tasks.errors import ModelError

_KEPT_WIDE = "turboquant_"
"""How the names of caches begin whose first and last layers vLLM keeps in full."""


@dataclass(frozen=True)
class LiveLayer:
    """What one attention layer of one worker has been given.

    :ivar kind: what vLLM calls how its numbers are kept; ``auto`` for the dtype of the model.
    :ivar storage: tells the memory that it lies in from that of other layers.
    :ivar storage_bytes: all of that memory.
    :ivar own_bytes: of the part of it that is the layer's, scales aside.
    :ivar numbers: of keys and values of a token; ``None`` where these share numbers.
    :ivar scales: of keys and of values.
    :ivar narrow_queries: whether queries are rounded as keys are.
    """

    name: str
    kind: str
    dtype: str
    storage: int
    storage_bytes: int
    own_bytes: int
    numbers: int | None
    head_size: int
    scales: tuple[float, float]
    narrow_queries: bool


def read_cache(model: Any) -> list[LiveLayer]:
    """Read what a worker has allocated, for ``LLM.apply_model``.

    :param model: vLLM's ``torch.nn.Module``.
    """
    layers = []
    for name, module in model.named_modules():
        kind, held = getattr(module, "kv_cache_dtype", None), getattr(module, "kv_cache", None)
        # Earlier releases have a list of one.
        tensor: Any = held[0] if isinstance(held, (list, tuple)) and held else held
        if kind is None or not hasattr(tensor, "untyped_storage") or not tensor.numel():
            continue
        storage = tensor.untyped_storage()
        size = int(module.head_size)
        own = 2 if "MLA" not in type(module).__name__ else None
        both = size + int(getattr(module, "head_size_v", None) or size)
        layers.append(
            LiveLayer(
                name=str(getattr(module, "layer_name", name)),
                kind=str(kind),
                dtype=dtype_name(tensor.dtype),
                storage=storage.data_ptr(),
                storage_bytes=storage.nbytes(),
                own_bytes=tensor.nbytes,
                numbers=int(module.num_kv_heads) * both if own else None,
                head_size=size,
                scales=_factors(module),
                narrow_queries=getattr(module, "query_quant", None) is not None,
            )
        )
    return layers


def pages_of(core: Any) -> tuple[int, dict[str, int]]:
    """Return how many pages the cache has, and how many tokens a page of each layer holds.

    :param core: vLLM's ``LLMEngine``.
    :returns: no pages where this release keeps that elsewhere.
    """
    try:
        config = core.engine_core.engine_core.scheduler.kv_cache_config
        groups = [
            (each.kv_cache_spec.block_size, each.layer_names) for each in config.kv_cache_groups
        ]
        return int(config.num_blocks), {name: int(size) for size, names in groups for name in names}
    except AttributeError:
        return 0, {}


def _factors(module: Any) -> tuple[float, float]:
    """Return by what keys and values are multiplied."""
    key, value = (getattr(module, name, 1.0) for name in ("_k_scale_float", "_v_scale_float"))
    return float(key), float(value)


def facts_of(
    workers: Sequence[Sequence[LiveLayer]],
    blocks: int,
    block_sizes: Mapping[str, int],
    asked: KvCache | None,
) -> CacheFacts | None:
    """Return what the live cache shows, checked against what was asked for.

    :param workers: what each worker has; of heads that are spread over several, a part.
    :param blocks: pages of the cache.
    :param block_sizes: layer -> tokens of a page.
    :returns: ``None`` where there is no such cache.
    :raises ModelError: when it is not what was asked for.
    """
    # Layers that read what another keeps have no pages of their own.
    workers = [[layer for layer in worker if layer.name in block_sizes] for worker in workers]
    layers = [layer for worker in workers for layer in worker]
    if not layers or not blocks:
        if asked is None:
            return None
        raise ModelError(
            f"kv_cache={asked.name}: this vLLM shows no keys and values of this model, so that "
            f"they cannot be verified; leave kv_cache out, or take another engine"
        )
    sizes = [size for worker in workers for size in _bytes_a_token(worker, blocks, block_sizes)]
    kinds = {layer.kind for layer in layers}
    # A checkpoint may say by itself how its keys and values are to be kept.
    own = next(iter(kinds)) if len(kinds) == 1 else AUTO
    facts = CacheFacts(
        name=own if asked is None else asked.name,
        kinds=dict(Counter(layer.kind for layer in workers[0])),
        dtypes=sorted({layer.dtype for layer in layers}),
        bytes_per_token=sum(sizes),
        bits_per_number=_bits(layers, sizes),
        scales=_scales(layers, asked),
    )
    if asked is not None:
        _check(asked, facts, layers, sizes)
    return facts


def _bytes_a_token(
    layers: Sequence[LiveLayer], blocks: int, block_sizes: Mapping[str, int]
) -> list[float]:
    """Return the bytes of a token's keys and values in each layer of a worker.

    A page holds as many of them, for one layer or for one of several that take turns: layers may
    lie in memory of their own, all in one, or share it group by group.
    """
    together: Counter[tuple[int, int]] = Counter()
    for layer in layers:
        together[layer.storage, block_sizes[layer.name]] += layer.own_bytes
    return [
        layer.storage_bytes
        * (layer.own_bytes / together[layer.storage, block_sizes[layer.name]])
        / (blocks * block_sizes[layer.name])
        for layer in layers
    ]


def _bits(layers: Sequence[LiveLayer], sizes: Sequence[float]) -> float | None:
    if any(layer.numbers is None for layer in layers):
        return None
    return 8 * sum(sizes) / sum(layer.numbers or 0 for layer in layers)


def _scales(layers: Sequence[LiveLayer], asked: KvCache | None) -> str:
    values = sorted({scale for layer in layers for scale in layer.scales})
    if all(layer.kind == AUTO for layer in layers):
        return ""
    if asked is not None and "layer" not in asked.scales:
        words = asked.scales
    elif len(values) == 1:
        words = f"{values[0]:g}"
    else:
        words = f"{values[0]:g} to {values[-1]:g}, for each layer"
    narrow = any(layer.narrow_queries for layer in layers)
    return words + ("; queries are rounded as keys are" if narrow else "")


def _check(
    asked: KvCache, facts: CacheFacts, layers: Sequence[LiveLayer], sizes: Sequence[float]
) -> None:
    allowed = {asked.engine_name}
    if asked.engine_name.startswith(_KEPT_WIDE) and asked.engine_name in facts.kinds:
        allowed.add(AUTO)
    check_cache(asked, facts, allowed)
    for layer, size in zip(layers, sizes, strict=True):
        if layer.kind == asked.engine_name and layer.numbers is not None:
            held = CacheFacts(
                name=asked.name,
                kinds={layer.kind: 1},
                dtypes=[layer.dtype],
                bytes_per_token=size,
                bits_per_number=8 * size / layer.numbers,
            )
            check_cache(asked, held, allowed, _expected_bits(asked, layer.head_size))


def _expected_bits(asked: KvCache, head_size: int) -> float | None:
    """Return the bits that a number takes, scales included; ``None`` where that is vLLM's own.

    As vLLM packs them: a float of 32 bits for each head of a token's key, and of its value; the
    slots of ``TurboQuantConfig``.
    """
    name = asked.engine_name
    if name in ("fp8_e4m3", "fp8_e5m2"):
        return 8.0
    if name.endswith("_per_token_head"):
        return asked.bits + 32 / head_size
    if name in _TURBOQUANT:
        key, value = _TURBOQUANT[name]
        slot = ceil(head_size * key / 8) + (2 if key < 8 else 0) + ceil(head_size * value / 8) + 4
        return 8 * (slot + slot % 2) / (2 * head_size)
    return None


_TURBOQUANT = {
    "turboquant_k8v4": (8, 4),
    "turboquant_4bit_nc": (4, 4),
    "turboquant_k3v4_nc": (3, 4),
    "turboquant_3bit_nc": (3, 3),
}
"""Name -> bits of a key's number, and of a value's."""
