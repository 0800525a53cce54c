"""What ``generate`` of transformers is given for a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import GenerationConfig, StoppingCriteria

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.metering.meter import Batch

_LOOK_BACK = 2
"""Tokens more than a stop text has of its own: it may be written in other tokens."""


def groups_of(requests: Sequence[GenerationRequest]) -> list[list[int]]:
    """Return the places of requests that can be generated together, group by group."""
    groups: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        settings = [request.stops, request.max_new_tokens, request.settings]
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(place)
    return list(groups.values())


def generation_config(
    decoding: Decoding, settings: Mapping[str, Any], max_new_tokens: int
) -> GenerationConfig:
    """Return the ``GenerationConfig`` of a request.

    :param settings: as :attr:`~qrag_tasks.engines.base.GenerationRequest.settings`.
    :raises SettingsError: for an argument that transformers does not know.
    """
    known = GenerationConfig().to_dict()
    for name in settings:
        if name not in known:
            raise SettingsError(
                f"generation argument {name}={settings[name]}: transformers has no such setting."
                + did_you_mean(name, known)
            )
    given = {"do_sample": False, **settings}
    if not given["do_sample"]:
        # lm_eval's way to say greedy; transformers warns of a temperature that has no effect.
        given.pop("temperature", None)
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=list(decoding.end_tokens) or None,
        pad_token_id=decoding.pad_token,
        use_cache=True,
        **given,
    )


def up_to_stop(tokens: Sequence[int], stops: Sequence[str], tokenizer: Any) -> Sequence[int]:
    """Return an answer up to the token that completes the first of its stop texts, included."""
    lengths = range(1, len(tokens) + 1) if _holds(tokenizer.decode(tokens), stops) else ()
    ends = (n for n in lengths if _holds(tokenizer.decode(tokens[:n]), stops))
    return tokens[: next(ends, len(tokens))]


def _holds(text: str, stops: Sequence[str]) -> bool:
    return any(stop in text for stop in stops)


class FirstToken(StoppingCriteria):  # type: ignore[misc]
    """Marks the end of prefill at the first token, and never stops."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._never: Any = None

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Return a bool tensor of shape (sequences,), all false; the same one at each call."""
        if self._never is None:
            import torch

            self._batch.first_token()
            self._never = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        return self._never


class StopText(StoppingCriteria):  # type: ignore[misc]
    """Stops a batch once every sequence has had one text in its answer.

    It stops where ``--model hf`` does: only the last tokens are read, as many as the text has and
    two more, and an answer that has had the text goes on until all have.

    :param rows: requests of the batch.
    :param width: tokens of a padded prompt.
    """

    def __init__(self, text: str, tokenizer: Any, rows: int, width: int) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._width = width
        self._done = [False] * rows
        self._last = len(tokenizer.encode(text, add_special_tokens=False)) + _LOOK_BACK

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> bool:
        """Tell whether the batch is done."""
        ends = self._tokenizer.batch_decode(input_ids[:, self._width :][:, -self._last :])
        self._done = [
            done or self._text in end for done, end in zip(self._done, ends, strict=False)
        ]
        return all(self._done)
