"""Attention over prompts that are packed one after the other, by torch's own kernels.

Transformers' continuous batching is fast with a flash kernel, of a package that few have. Torch
holds one as well: it is registered here with transformers' interface for attention of others. On a
CPU, where there is none, the same is computed prompt by prompt.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.generation import ContinuousBatchingConfig

NAME = "packed_flash"
"""What transformers calls it. By ``flash`` it knows that no mask is wanted."""

_PAGED = "paged|"
"""Before such a name in releases that tell attention over a paged cache by it."""


def name_for(model: Any) -> str | None:
    """Make the attention known to transformers, and return its name there.

    :returns: ``None`` where it does not compute what the model needs: it does on a CPU, and in
        16 bits on a GPU.
    """
    if model.device.type == "cuda":
        able = hasattr(torch.ops.aten, "_flash_attention_forward")
        able = able and model.dtype in (torch.float16, torch.bfloat16)
    else:
        able = model.device.type == "cpu"
    if not able:
        return None
    fields = {field.name for field in dataclasses.fields(ContinuousBatchingConfig)}
    name = NAME if "auto_switch_to_flash" in fields else _PAGED + NAME
    AttentionInterface.register(name, forward)
    # Of a name that it does not know, transformers may take another attention without a word.
    return name if AttentionInterface().get_interface(name, None) is forward else None


def forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,  # noqa: ARG001 - none: the tokens say by where they lie
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from new tokens to those of the same prompt up to themselves.

    :param module: the attention layer.
    :param query: shape (1, heads, new tokens, head size).
    :param key: shape (1, key-value heads, tokens, head size); without those in the cache where
        ``cache`` is given, which transformers' layers read themselves after 5.17.
    :param options: as continuous batching gives them: where each prompt begins (``cu_seq_lens_q``,
        ``cu_seq_lens_k``, shape (prompts + 1,)), the longest (``max_length_q``, ``max_length_k``).
    :returns: shape (1, new tokens, heads, head size).
    :raises NotImplementedError: for what torch's kernel does not compute.
    """
    for name in ("softcap", "s_aux"):
        if options.get(name) is not None:
            raise NotImplementedError(f"torch's flash kernel has no {name}")
    window = getattr(module, "sliding_window", None) or options.get("sliding_window")
    kind = "sliding_attention" if window else "full_attention"

    def own(name: str, older: str) -> Any:
        found = options[name] if name in options else options[older]
        return found[kind] if isinstance(found, dict) else found

    if (cache := options.get("cache")) is not None:
        key, value = cache.update(
            key_states=key,
            value_states=value,
            layer_idx=module.layer_idx,
            read_index=options["read_index"],
            write_index=options["write_index"],
        )
    else:
        key, value = (states[0].transpose(0, 1) for states in (key, value))
    q, k, v = (states.contiguous() for states in (query[0].transpose(0, 1), key, value))
    begins_q, begins_k = (own(f"cu_seq_lens_{of}", "").to(torch.int32) for of in "qk")
    if not query.is_cuda:
        return _by_prompt(q, k, v, begins_q, begins_k, scaling, window).unsqueeze(0), None
    longest_q, longest_k = (int(own(f"max_length_{of}", f"max_seqlen_{of}")) for of in "qk")
    out = torch.ops.aten._flash_attention_forward(
        *(q, k, v, begins_q, begins_k, longest_q, longest_k),
        *(0.0, True, False),  # no dropout, causal, no debugging
        scale=scaling,
        window_size_left=window - 1 if window else None,
        window_size_right=0 if window else None,
    )[0]
    return out.unsqueeze(0), None


def _by_prompt(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    begins_q: torch.Tensor,
    begins_k: torch.Tensor,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Compute what the kernel computes; tensors have shape (tokens, heads, head size)."""
    parts = []
    for (start, end), (first, last) in zip(
        pairwise(begins_q.tolist()), pairwise(begins_k.tolist()), strict=True
    ):
        places = torch.arange(last - first)
        ago = places[-(end - start) :, None] - places
        seen = (ago >= 0) if window is None else (ago >= 0) & (ago < window)
        q, k, v = (
            states.transpose(0, 1)
            for states in (query[start:end], key[first:last], value[first:last])
        )
        out = scaled_dot_product_attention(q, k, v, seen, scale=scaling, enable_gqa=True)
        parts.append(out.transpose(0, 1))
    return torch.cat(parts)
