"""Layers of transformers' caches that keep keys and values in fewer bits.

Every pass reads what the cache holds, the one that reads the prompt included, as in vLLM and
llama.cpp. The quantized caches of transformers hand the first pass its keys and values in full, so
that whatever they lose, the first token of an answer does not show it, and an answer of one token
never does. A token's numbers depend on its own keys and values alone: on nothing that it shares a
batch with, padding among it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer, HQQQuantizedLayer, QuantoQuantizedLayer

from qrag_tasks.arms.formats import quanto

_LARGEST_GROUP = 64
_LARGEST_FP8 = torch.finfo(torch.float8_e4m3fn).max


def group_of(head_size: int) -> int:
    """Return how many numbers of a head share a scale: the largest divisor up to 64."""
    return next(n for n in range(min(head_size, _LARGEST_GROUP), 0, -1) if head_size % n == 0)


class AppendedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values in fewer bits, each token's once and for all.

    :ivar kept: the tensors that stand for the keys, and those that stand for the values; each of
        shape (sequences, heads, tokens, ...).
    """

    is_croppable = False
    newest_in_full = 0
    dtype: torch.dtype

    def __init__(self, bits: int, head_size: int) -> None:
        super().__init__()
        self.bits = bits
        self.group = group_of(head_size)
        self.kept: list[tuple[torch.Tensor, ...]] = []

    def encode(self, numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the tensors that stand for numbers of shape (sequences, heads, tokens, size)."""
        raise NotImplementedError

    def decode(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the numbers that tensors stand for, in the dtype in which they came."""
        raise NotImplementedError

    def expected_bits(self) -> float:
        """Return the bits that each number takes, scales included."""
        raise NotImplementedError

    def bound(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return how far each number may be from what is read back, at most."""
        raise NotImplementedError

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values; return all, as they are read back."""
        if not self.is_initialized:
            # What transformers looks at, and nothing is kept in.
            self.lazy_initialization(key_states, value_states)
            self.dtype = key_states.dtype
        new = [self.encode(each) for each in (key_states, value_states)]
        before = self.kept or [tuple(part[..., :0, :] for part in parts) for parts in new]
        self.kept = [
            tuple(torch.cat(both, dim=-2) for both in zip(old, added, strict=True))
            for old, added in zip(before, new, strict=True)
        ]
        keys, values = map(self.decode, self.kept)
        return keys, values

    def read_back(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values as the next pass reads them."""
        keys, values = map(self.decode, self.kept)
        return keys, values

    def get_seq_length(self) -> int:
        """Return the tokens that are kept."""
        return int(self.kept[0][0].shape[-2]) if self.kept else 0

    def reset(self) -> None:
        """Forget all tokens."""
        self.kept = []
        self.is_initialized = False

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Reorder the sequences, for beam search."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep the sequences at these indices."""
        self.kept = [
            tuple(part.index_select(0, indices.to(part.device)) for part in parts)
            for parts in self.kept
        ]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every sequence."""
        self.kept = [
            tuple(part.repeat_interleave(repeats, dim=0) for part in parts) for parts in self.kept
        ]


class Fp8Layer(AppendedLayer):
    """Floats of 8 bits (e4m3), unscaled, as vLLM keeps them where a checkpoint brings no scales."""

    def encode(self, numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Round to the next float of 8 bits; what is too large becomes the largest."""
        within = numbers.float().clamp(-_LARGEST_FP8, _LARGEST_FP8)
        return (within.to(torch.float8_e4m3fn),)

    def decode(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the same floats, wider."""
        return parts[0].to(self.dtype)

    def expected_bits(self) -> float:
        """Return the bits of a float."""
        return 8.0

    def bound(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return half of the last of its 3 bits, or of the smallest float; and what is cut off."""
        size = numbers.float().abs()
        return size / 16 + 2.0**-10 + (size - _LARGEST_FP8).clamp(min=0)


class GroupLayer(AppendedLayer):
    """Integers, rounded to nearest within groups of a token's head.

    Each group has its lowest number and the distance of two neighbours in the dtype of computation,
    as the values of KIVI have it (arXiv 2402.02750).
    """

    def encode(self, numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return packed codes, distances and lowest numbers."""
        groups = numbers.float().unflatten(-1, (-1, self.group))
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        low = low.to(numbers.dtype)
        step = ((high - low.float()) / (2**self.bits - 1)).to(numbers.dtype)
        # Codes are chosen for the numbers as they are kept.
        codes = (groups - low.float()) / step.float().clamp(min=torch.finfo(torch.float32).tiny)
        codes = codes.round().clamp(0, 2**self.bits - 1).to(torch.uint8).flatten(-2)
        each = 8 // self.bits
        packed = torch.zeros_like(codes[..., ::each])
        for place in range(each):
            packed |= codes[..., place::each] << (self.bits * place)
        return packed, step.squeeze(-1), low.squeeze(-1)

    def decode(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return lowest number + code x distance."""
        packed, step, low = parts
        each, mask = 8 // self.bits, 2**self.bits - 1
        codes = [(packed >> (self.bits * place)) & mask for place in range(each)]
        groups = torch.stack(codes, dim=-1).flatten(-2).unflatten(-1, (-1, self.group)).float()
        numbers = low.float().unsqueeze(-1) + groups * step.float().unsqueeze(-1)
        return numbers.flatten(-2).to(self.dtype)

    def expected_bits(self) -> float:
        """Return the bits of a code, and its part of its group's two numbers."""
        size: int = self.dtype.itemsize
        return self.bits + 16.0 * size / self.group

    def bound(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return half a distance, and what rounding to the dtype of computation adds."""
        return _half_a_step(numbers, self.bits, self.group)


def _half_a_step(numbers: torch.Tensor, bits: int, group: int) -> torch.Tensor:
    groups = numbers.float().unflatten(-1, (-1, group))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    rounding = 4 * torch.finfo(numbers.dtype).eps * groups.abs().amax(-1, keepdim=True)
    half = (high - low) / (2**bits - 1) / 2 + rounding
    return half.expand_as(groups).flatten(-2)


class _ReadBack:
    """What both of transformers' own quantized layers lack."""

    nbits: int
    q_group_size: int
    residual_length: int

    def update(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values; return all, as they are read back."""
        first = not self.is_initialized  # type: ignore[attr-defined]
        keys, values = super().update(*args, **kwargs)  # type: ignore[misc]
        return self.read_back() if first else (keys, values)

    def read_back(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the quantized keys and values as the next pass reads them."""
        kept = (self._quantized_keys, self._quantized_values)  # type: ignore[attr-defined]
        keys, values = map(self._dequantize, kept)  # type: ignore[attr-defined]
        return keys, values

    @property
    def newest_in_full(self) -> int:
        """How many tokens wait in full until they are quantized together with all others."""
        return self.residual_length - 1

    def expected_bits(self) -> float:
        """Return the bits of a code, and its part of its group's two numbers."""
        size: int = self.keys.dtype.itemsize  # type: ignore[attr-defined]
        return self.nbits + 16.0 * size / self.q_group_size

    def bound(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return half a distance, and what rounding to the dtype of computation adds."""
        return _half_a_step(numbers, self.nbits, self.q_group_size)


class HqqLayer(_ReadBack, HQQQuantizedLayer):  # type: ignore[misc]
    """transformers' layer that HQQ quantizes, without HQQ's optimization.

    That one goes on for as long as the mean error of a whole batch falls, padding included.
    """

    def __init__(self, bits: int, head_size: int) -> None:
        HQQQuantizedLayer.__init__(
            self, nbits=bits, axis_key=1, axis_value=1, q_group_size=group_of(head_size)
        )

    def _quantize(self, tensor: torch.Tensor, axis: int) -> tuple[torch.Tensor, dict[str, Any]]:
        groups = tensor.reshape(-1, self.q_group_size)
        # HQQ packs as many groups as share a byte into one, and fails where they do not come out.
        padding = -len(groups) % (8 // self.nbits)
        codes, meta = self.quantizer.quantize(
            torch.nn.functional.pad(groups, (0, 0, 0, padding)),
            axis=axis,
            device=tensor.device,
            compute_dtype=tensor.dtype,
            nbits=self.nbits,
            group_size=self.q_group_size,
            optimize=False,
        )
        meta["compute_dtype"] = tensor.dtype
        for name in ("scale", "zero"):
            meta[name] = meta[name].to(tensor.device, tensor.dtype)
        return codes.to(tensor.device), {**meta, "unpadded": (len(groups), tensor.shape)}

    def _dequantize(self, qtensor: tuple[torch.Tensor, dict[str, Any]]) -> torch.Tensor:
        count, shape = qtensor[1]["unpadded"]
        numbers: torch.Tensor = super()._dequantize(qtensor)
        return numbers[:count].reshape(shape)


class QuantoLayer(_ReadBack, QuantoQuantizedLayer):  # type: ignore[misc]
    """transformers' layer that optimum-quanto quantizes."""

    def __init__(self, bits: int, head_size: int) -> None:
        quanto.unpack_with_torch()
        QuantoQuantizedLayer.__init__(
            self, nbits=bits, axis_key=0, axis_value=0, q_group_size=group_of(head_size)
        )
