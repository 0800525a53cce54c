"""The cache of keys and values that llama.cpp holds, as the state of a sequence shows it.

llama.cpp writes that state out for whoever saves a conversation: for each layer the kind of the
numbers, the bytes of a row, and the rows themselves (``llama_kv_cache::state_write``).
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import llama_cpp

from qrag_tasks.arms.kv_caches import AUTO, CacheFacts, KvCache, check_cache
from qrag_tasks.engines.llama_cpp.native import Native, kind_number
from qrag_tasks.errors import ModelError

_TOKENS = 32
_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
}
"""Kind -> bits of a number: in blocks of 32, with one number of 16 bits or with two."""
_KINDS = {kind_number(name): name for name in _BITS}


@dataclass
class _Held:
    """What a state shows.

    :ivar kinds: of the keys and of the values of each layer.
    :ivar bytes: of rows, each of one token.
    :ivar tokens: how many the layers that hold the most of them hold.
    """

    kinds: list[str] = field(default_factory=list)
    bytes: int = 0
    tokens: int = 0


class _UnknownStateError(Exception):
    """The state is not written as this module knows it."""


def read_cache(native: Native, asked: KvCache | None, numbers: int) -> CacheFacts | None:
    """Fill the cache with some tokens, and look at what it then holds.

    :param numbers: of keys and values of a token, in all layers.
    :returns: ``None`` where the architecture, or this llama.cpp, writes it out otherwise, and no
        cache was asked for.
    :raises ModelError: when it is not the one that was asked for, or cannot be looked at.
    """
    count = min(_TOKENS, native.vocabulary)
    try:
        held = _read(native.state_after(list(range(count))))
    except (_UnknownStateError, struct.error) as error:
        if asked is None:
            return None
        raise ModelError(
            f"kv_cache={asked.name}: this llama.cpp ({llama_cpp.llama_version().decode()}) does "
            f"not show what the cache holds ({error}), so that it cannot be verified; leave "
            f"kv_cache out, or take another version of llama-cpp-python"
        ) from None
    each = held.bytes / held.tokens
    bits = 8 * each / numbers if numbers else None
    facts = CacheFacts(
        name=AUTO if asked is None else asked.name,
        kinds=dict(Counter(held.kinds)),
        dtypes=sorted(set(held.kinds)),
        bytes_per_token=each,
        bits_per_number=bits,
        scales="" if asked is None else asked.scales,
    )
    if asked is not None:
        expected = _BITS[asked.engine_name] if numbers else None
        check_cache(asked, facts, [asked.engine_name], expected)
    return facts


def _read(state: bytes) -> _Held:
    """Read the state of a sequence: of one cache, or of several, one after the other."""
    held = _Held()
    place = 0

    def take(form: str) -> Any:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", state, place)
        place += struct.calcsize(f"<{form}")
        return value

    take("I")  # a magic number
    take("i")  # the sequence
    while place < len(state):
        streams = take("I")
        for _ in range(_within(streams, 1, 64)):
            cells = take("I")
            if not cells:
                continue
            held.tokens = max(held.tokens, _within(cells, 1, _TOKENS))
            for _ in range(cells):
                take("i")
                for _ in range(_within(take("I"), 0, 64)):
                    take("i")
            transposed, layers = take("I"), _within(take("I"), 1, 4096)
            for part in ("keys", "values"):
                for _ in range(layers):
                    held.kinds.append(_kind(take("i")))
                    by_column = part == "values" and transposed
                    row = take("I") * take("I") if by_column else take("Q")
                    held.bytes += row * cells
                    place += row * cells
    if place != len(state):
        raise _UnknownStateError(f"{len(state):,} bytes, of which {place:,} are told")
    return held


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise _UnknownStateError(f"{value:,} where {least} to {most:,} were expected")
    return value


def _kind(number: int) -> str:
    if number not in _KINDS:
        raise _UnknownStateError(f"numbers of kind {number}")
    return _KINDS[number]
