"""The cache of keys and values that a batch gets; what it shows once it is live, and the check."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache

from qrag_tasks.arms.kv_caches import AUTO, CacheFacts, KvCache, check_cache
from qrag_tasks.arms.layers import dtype_name
from qrag_tasks.engines.transformers import cache_layers
from qrag_tasks.errors import ModelError

_LAYERS: Mapping[str, type[Any]] = {
    "fp8": cache_layers.Fp8Layer,
    **dict.fromkeys(("int8", "int4", "int2"), cache_layers.GroupLayer),
    **dict.fromkeys(("int8-hqq", "int4-hqq", "int2-hqq"), cache_layers.HqqLayer),
    **dict.fromkeys(("int4-quanto", "int2-quanto"), cache_layers.QuantoLayer),
}
"""Name of a :class:`~qrag_tasks.arms.kv_caches.KvCache` -> the class of its layers."""

_TOKENS = 64
"""Tokens of the first pass that a cache is checked with."""


@dataclass(frozen=True)
class CacheCheck:
    """How far a cache is from the keys and values that went into it, in the model's first layer.

    :ivar error: the largest distance of a number that is read back, as a share of what its bits
        allow.
    :ivar tolerance: the most that is allowed.
    :ivar divergence: of the next token's probabilities from those with a plain cache, in nats, the
        mean over the tokens: KL(plain || this). They are random tokens, so it says little of
        prompts.
    :ivar tokens: how many were run.
    """

    error: float
    tolerance: float
    divergence: float
    tokens: int


class KvCaches:
    """Makes the caches of a model, all in one way.

    :param model: of transformers, decoder-only.
    :param asked: how keys and values are to be kept; ``None`` for the model's own cache.
    :raises ModelError: when the model cannot have such a cache, or what it needs is not installed.
    """

    def __init__(self, model: Any, asked: KvCache | None) -> None:
        self._model, self.asked = model, asked
        parameters = inspect.signature(model.forward).parameters
        self._parameter = next((n for n in ("cache", "past_key_values") if n in parameters), None)
        if asked is not None:
            asked.check_installed()
            self._layers, self._head_size = self._shape(asked)

    def _shape(self, asked: KvCache) -> tuple[int, int]:
        """Return how many layers have a cache, and the numbers of a head.

        :raises ModelError: when not all of its layers keep all tokens.
        """
        config = self._model.config.get_text_config()
        windowed = getattr(config, "sliding_window", None)
        alike = "sliding_attention" if windowed else "full_attention"
        kinds = set(getattr(config, "layer_types", None) or [alike])
        if kinds != {"full_attention"} or self._parameter is None:
            raise ModelError(
                f"kv_cache={asked.name}: not all layers of this model keep the keys and values of "
                f"all tokens ({config.model_type}: {', '.join(sorted(kinds))}), and transformers "
                f"has such caches for those alone; leave kv_cache out, or give engine=vllm"
            )
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        together = 8 // int(asked.bits)
        if size % together:
            raise ModelError(
                f"kv_cache={asked.name}: {together} numbers share a byte, and a head of "
                f"this model has {size}; give a cache of more bits"
            )
        return config.num_hidden_layers, size

    @property
    def identity(self) -> dict[str, Any] | None:
        """What answers depend on of a cache that was asked for; ``None`` without one."""
        if self.asked is None:
            return None
        return {
            "name": self.asked.name,
            "group": cache_layers.group_of(self._head_size),
            "version": self.asked.version,
        }

    @property
    def item_size(self) -> float | None:
        """Bytes of a number, about, with what it is scaled by; ``None`` for the model's own."""
        return None if self.asked is None else (self.asked.bits + 0.5) / 8

    def new(self) -> dict[str, Any]:
        """Return what a pass or ``generate`` is given, so that it fills a cache of this kind.

        Nothing for the model's own.
        """
        if self.asked is None or self._parameter is None:
            return {}
        kind = _LAYERS[self.asked.name]
        layers = [kind(int(self.asked.bits), self._head_size) for _ in range(self._layers)]
        return {self._parameter: Cache(layers=layers)}

    def check(self, device: Any) -> tuple[CacheFacts | None, CacheCheck | None]:
        """Run a few tokens, and look at what the cache then holds.

        :returns: what it shows, ``None`` where the model fills none; and how far it is from what
            went into it, where a cache was asked for.
        :raises ModelError: when it is not the one that was asked for, or reads back something else.
        """
        config = self._model.config.get_text_config()
        count = min(_TOKENS, max(1, int(getattr(config, "max_position_embeddings", _TOKENS)) - 1))
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(config.vocab_size, (1, count), generator=generator).to(device)
        own, logits = self._run(ids, {})
        if own is None:
            return None, None
        plain = [layer for layer in own.layers if _bytes(layer)]
        numbers = sum(tensor.numel() for layer in plain for tensor in _tensors(vars(layer)))
        if self.asked is None:
            return _facts(AUTO, plain, count, numbers), None
        given = self.new()
        cache, other = self._run(ids, given)
        (made,) = given.values()
        if cache is not made or made.get_seq_length() != count:
            raise ModelError(
                f"kv_cache={self.asked.name} was asked for, but the model filled another cache "
                f"({type(cache).__name__}), or none: this arm would not be what it claims. Leave "
                f"kv_cache out, or take another engine"
            )
        facts = _facts(self.asked.name, made.layers, count, numbers, self.asked.scales)
        kind = _LAYERS[self.asked.name]
        bits = {layer.expected_bits() for layer in made.layers if isinstance(layer, kind)}
        check_cache(self.asked, facts, [_name(kind)], max(bits, default=None))
        return facts, _compared(self.asked, plain[0], made.layers[0], logits, other)

    def _run(self, ids: Any, given: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the cache that a pass has filled, and its logits."""
        with torch.no_grad():
            out = self._model(input_ids=ids, use_cache=True, **given)
        held = next((out[n] for n in ("cache", "past_key_values") if n in out), None)
        return (held if hasattr(held, "layers") else None), out.logits[0].float()


def _compared(asked: KvCache, plain: Any, made: Any, logits: Any, other: Any) -> CacheCheck:
    """Compare what the cache of a layer reads back with the plain cache of the same layer.

    :param plain: of the model's first layer, whose keys and values come of no other cache.
    :param logits: of the pass with a plain cache, shape (tokens, vocabulary).
    :param other: of the pass with the cache that was asked for.
    """
    pairs = zip((plain.keys, plain.values), made.read_back(), strict=True)
    error = max(
        float(((one.float() - two.float()).abs() / made.bound(one).clamp(min=1e-30)).max())
        for one, two in pairs
    )
    before, after = (each.log_softmax(-1) for each in (logits, other))
    divergence = float((before.exp() * (before - after)).sum(-1).mean())
    if not error <= 1.0 or math.isnan(divergence):
        raise ModelError(
            f"kv_cache={asked.name}: the cache reads back something else than went into it: a "
            f"number is {error:.3g} times as far from itself as {asked.bits:g} bits allow, and the "
            f"next tokens diverge by {divergence:.3g} nats. Its answers would mean nothing; take "
            f"another version of {asked.distribution or 'transformers'}, or another kv_cache"
        )
    return CacheCheck(error, 1.0, divergence, len(logits))


def _facts(name: str, layers: list[Any], tokens: int, numbers: int, scales: str = "") -> CacheFacts:
    held = sum(map(_bytes, layers))
    largest = [max(_tensors(vars(layer)), key=lambda tensor: tensor.nbytes) for layer in layers]
    return CacheFacts(
        name=name,
        kinds=dict(Counter(_name(type(layer)) for layer in layers)),
        dtypes=sorted({dtype_name(tensor.dtype) for tensor in largest}),
        bytes_per_token=held / tokens,
        bits_per_number=8 * held / numbers if numbers else None,
        scales=scales,
        newest_in_full=max((getattr(each, "newest_in_full", 0) for each in layers), default=0),
    )


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _bytes(layer: Any) -> int:
    return sum(tensor.nbytes for tensor in _tensors(vars(layer)))


def _tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors in which a cache's layer keeps something, however it holds them."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, torch.Tensor):
        inner = getattr(value, "__tensor_flatten__", None)
        if inner is None:
            yield from [value] if value.numel() else []
        else:
            names, _ = inner()
            yield from _tensors([getattr(value, name) for name in names])
