"""The likelihood of given tokens, in one pass for all that follow the same ones."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, both of shape (prompts, longest)."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def last_log_probabilities(
    model: Any,
    rows: Sequence[Sequence[int]],
    kept: int,
    pad: int,
    dtype: Any,
    cache: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Return the log-probabilities after the last tokens of every sequence.

    Only those positions are projected onto the vocabulary: all of them would take more memory than
    the rest of the model's pass.

    :param model: of ``transformers``, decoder-only.
    :param rows: token ids, none of them empty.
    :param kept: positions at the end of each.
    :param pad: token id for the left of shorter sequences.
    :param dtype: of the result.
    :param cache: what the model is given so that it reads keys and values out of a cache; by
        default none is filled.
    :returns: shape (rows, kept, vocabulary).
    """
    import torch

    ids, mask = left_padded(rows, pad, model.device)
    options = {"attention_mask": mask}
    parameters = inspect.signature(model.forward).parameters
    if "position_ids" in parameters:
        options["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
    if "logits_to_keep" in parameters:
        options["logits_to_keep"] = kept
    if "use_cache" in parameters:
        options["use_cache"] = bool(cache)
    options |= cache
    logits = model(input_ids=ids, **options).logits[:, -kept:]
    return torch.log_softmax(logits, dim=-1, dtype=dtype)


def of_continuation(logprobs: Any, continuation: Sequence[int]) -> tuple[float, bool]:
    """Return the log-probability of a continuation in nats, and whether it is the likeliest.

    :param logprobs: after the last tokens of its input, shape (at least its length, vocabulary).
    """
    import torch

    after = logprobs[-len(continuation) :]
    tokens = torch.tensor(continuation, device=after.device)
    chosen = after.gather(1, tokens.unsqueeze(1)).sum()
    return float(chosen), bool((after.argmax(dim=1) == tokens).all())
