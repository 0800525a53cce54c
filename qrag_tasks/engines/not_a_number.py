"""Logits that are not numbers: an error, where they would pass for an empty answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from qrag_tasks.engines.request_names import name_of
from qrag_tasks.errors import ModelError


class Watch:
    """A ``LogitsProcessor`` that changes nothing and notes whose logits are NaN.

    It notes on the device, so that no step has to wait for it; but where tokens are drawn, which
    cannot be done from NaN, it checks at every step.

    :param asked: the requests of the batch.
    :param model: the ``QragLM``.
    :param drawn: whether tokens are drawn.
    """

    def __init__(self, asked: Sequence[Any], model: Any, drawn: bool) -> None:
        self._asked = asked
        self._model = model
        self._drawn = drawn
        self._found: Any = None
        self._ends: Any = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Look at the logits of one step, of shape (sequences, vocabulary), and return them."""
        import torch

        found = scores.amax(dim=-1).isnan()
        if self._found is None:
            decoding = self._model.decoding
            ends = [*decoding.end_tokens, decoding.pad_token]
            self._ends = torch.tensor(ends, device=input_ids.device)
            self._found = found
        else:
            # What ended goes on with padding, and means nothing.
            self._found |= found & ~torch.isin(input_ids[:, -1], self._ends)
        if self._drawn:
            self.check()
        return scores

    def check(self) -> None:
        """Check that all logits so far were numbers.

        :raises ModelError: when those of a request were not.
        """
        if self._found is not None and bool(self._found.any()):
            # With beams, a request has several sequences, one behind the other.
            row = int(self._found.int().argmax()) * len(self._asked) // len(self._found)
            raise _error(self._asked[row], self._model)


def check_log_probabilities(pairs: Iterable[tuple[float, bool]], request: Any, model: Any) -> None:
    """Check that the log-probabilities of continuations are numbers.

    :param pairs: each with whether its continuation is the likeliest.
    :param request: what they were measured for.
    :param model: the ``QragLM``.
    :raises ModelError: when one is not.
    """
    if any(math.isnan(logprob) for logprob, _ in pairs):
        raise _error(request, model)


def _error(request: Any, model: Any) -> ModelError:
    computing = str(model.computing_dtype).removeprefix("torch.")
    advice = (
        "The largest number of float16 is 65,504, and this model exceeds it: take precision=bf16, "
        "and dtype=bfloat16 for the quantized arms"
        if computing == "float16"
        else "The weights may be damaged, or a kernel broken: try precision=fp32, or another device"
    )
    return ModelError(
        f"{name_of(request)}: the model's logits are not numbers (NaN) in precision="
        f"{model.precision.name}, which computes in {computing} on {model.device}. Its answers "
        f"would mean nothing. {advice}."
    )
