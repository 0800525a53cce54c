"""The likelihood of answers, measured right after the prompt as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qrag_tasks.harness.instances import is_ours

Measured = list[tuple[float, bool]]


def measure(
    model: Any, requests: Sequence[Any], otherwise: Callable[[Sequence[Any]], Measured]
) -> Measured:
    """Return log-probability and greediness of every request, those of our tasks measured apart.

    lm_eval moves white space at the end of a context into the continuation. A chat template ends
    with a line break that models are not trained to predict, so the likelihood of every answer
    would hold that of the line break, some 1e-8, and drown in the rounding of 16 bits. Here the
    context stays as it is, and log-probabilities are taken in 32 bits.

    :param model: lm_eval's ``HFLM``, or the ``QragLM``.
    :param otherwise: measures requests as lm_eval does: those of other tasks, and all with a
        model that reads the prompt in an encoder.
    """
    import torch

    ours = [index for index, request in enumerate(requests) if is_ours(request)]
    if not ours or model.backend != "causal":
        return otherwise(requests)
    encoded = []
    for index in ours:
        context, answer = requests[index].args
        before = model.tok_encode(context)
        encoded.append(
            ((context, answer), before, model.tok_encode(context + answer)[len(before) :])
        )
    precision, model.softmax_dtype = model.softmax_dtype, torch.float32
    try:
        measured = dict(zip(ours, model._loglikelihood_tokens(encoded), strict=True))
    finally:
        model.softmax_dtype = precision
    others = [index for index in range(len(requests)) if index not in measured]
    if others:
        rest = otherwise([requests[index] for index in others])
        measured |= dict(zip(others, rest, strict=True))
    return [measured[index] for index in range(len(requests))]
