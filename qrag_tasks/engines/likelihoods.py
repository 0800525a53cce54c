"""The likelihood of answers, measured right behind the prompt that was asked with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from qrag_tasks.engines.request_names import is_ours

Measured = list[tuple[float, bool]]


def measure(
    model: Any, requests: Sequence[Any], otherwise: Callable[[Sequence[Any]], Measured]
) -> Measured:
    """Return log-probability and greediness of every request, those of our tasks measured apart.

    lm_eval moves white space at the end of a context into the continuation. A chat template ends
    with a line break that models are not trained to predict, so the likelihood of every answer
    would hold that of the line break, some 1e-8, and drown in the rounding of 16 bits. Here the
    context stays as it is, and log-probabilities are taken in 32 bits.

    :param model: lm_eval's ``HFLM``.
    :param otherwise: measures requests as lm_eval does: those of other tasks, and all with a
        model that reads the prompt in an encoder.
    """
    import torch

    ours = [index for index, request in enumerate(requests) if is_ours(request)]
    if not ours or model.backend != "causal":
        return otherwise(requests)
    asked = []
    for index in ours:
        context, answer = requests[index].args
        before = model.tok_encode(context)
        asked.append(((context, answer), before, model.tok_encode(context + answer)[len(before) :]))
    precision, model.softmax_dtype = model.softmax_dtype, torch.float32
    try:
        measured = dict(zip(ours, model._loglikelihood_tokens(asked), strict=True))
    finally:
        model.softmax_dtype = precision
    others = [index for index in range(len(requests)) if index not in measured]
    if others:
        rest = otherwise([requests[index] for index in others])
        measured |= dict(zip(others, rest, strict=True))
    return [measured[index] for index in range(len(requests))]


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, both of shape (prompts, longest)."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def last_log_probabilities(
    model: Any, rows: Sequence[Sequence[int]], kept: int, pad: int, dtype: Any
) -> Any:
    """Return the log-probabilities behind the last tokens of every sequence.

    Only those positions are projected onto the vocabulary: all of them would take more memory than
    the rest of the model's pass.

    :param model: of ``transformers``, decoder-only.
    :param rows: token ids, none of them empty.
    :param kept: positions at the end of each.
    :param pad: token id for the left of shorter sequences.
    :param dtype: of the result.
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
        options["use_cache"] = False
    logits = model(input_ids=ids, **options).logits[:, -kept:]
    return torch.log_softmax(logits, dim=-1, dtype=dtype)


def of_continuation(logprobs: Any, continuation: Sequence[int]) -> tuple[float, bool]:
    """Return the log-probability of a continuation in nats, and whether it is the likeliest.

    :param logprobs: behind the last tokens of its input, shape (at least its length, vocabulary).
    """
    import torch

    behind = logprobs[-len(continuation) :]
    tokens = torch.tensor(continuation, device=behind.device)
    chosen = behind.gather(1, tokens.unsqueeze(1)).sum()
    return float(chosen), bool((behind.argmax(dim=1) == tokens).all())
