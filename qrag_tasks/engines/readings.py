"""What a model makes of a given answer, token by token: its distributions, as far as they are kept.

A distribution over a vocabulary is too large to keep for every token of every answer. What is kept
of it: the log-probabilities of the likeliest tokens, or of tokens that were asked for, and what can
be said of all others together. :mod:`qrag_tasks.experiment.fidelity` says what follows from that.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.errors import StoreError

TOP = 64
"""Tokens of each distribution that are kept where nobody says otherwise."""


@dataclass(frozen=True)
class ReadingRequest:
    """A given answer, to be read behind its prompt (teacher forcing).

    :ivar name: says in errors which request it is: ``lamp5u_rag_k1, sample 17``.
    :ivar prompt: token ids, at least one, special ones included.
    :ivar answer: token ids, at least one. What is read at each of its places is the distribution
        of the token there, after the prompt and the answer's tokens before it.
    :ivar top: how many of the likeliest tokens are kept at each place.
    :ivar wanted: the tokens that are kept instead, shape (places, tokens), where they are those of
        another arm; ``None`` for the likeliest.
    """

    name: str
    prompt: Sequence[int]
    answer: Sequence[int]
    top: int = TOP
    wanted: Sequence[Sequence[int]] | None = None

    @property
    def tokens(self) -> list[int]:
        """The tokens that are fed: all but the last of the answer."""
        return [*self.prompt, *self.answer[:-1]]


@dataclass(frozen=True)
class Reading:
    """The distributions at each place of an answer. Log-probabilities are in nats.

    :ivar tokens: token ids that are kept, shape (places, tokens), ``int32``; the likeliest first
        where these were asked for.
    :ivar logprobs: of these, shape (places, tokens), ``float32``.
    :ivar given: of the answer's own token, shape (places,), ``float32``.
    :ivar likeliest: token id of the likeliest token, shape (places,), ``int32``.
    :ivar entropy: of the whole distribution, in nats, shape (places,), ``float32``; NaN where the
        engine does not see all of it.
    :ivar least: of the least likely token of the vocabulary, shape (places,), ``float32``; NaN
        where the engine does not see it.
    """

    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    given: NDArray[np.float32]
    likeliest: NDArray[np.int32]
    entropy: NDArray[np.float32]
    least: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.given)

    @property
    def is_number(self) -> bool:
        """Whether the logits were numbers."""
        return not (np.isnan(self.given).any() or np.isnan(self.logprobs).any())

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: shape and bytes of each array."""
        return {
            field.name: [list(value.shape), base64.b64encode(value.tobytes()).decode("ascii")]
            for field in fields(self)
            for value in [getattr(self, field.name)]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """Read what :meth:`as_dict` wrote.

        :raises StoreError: where it is damaged.
        """
        try:
            return cls(
                **{
                    name: np.frombuffer(
                        base64.b64decode(values[name][1], validate=True), dtype
                    ).reshape(values[name][0])
                    for name, dtype in _DTYPES.items()
                }
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise StoreError(f"a stored reading of an answer is damaged: {error}") from error


_DTYPES = {
    "tokens": np.int32,
    "logprobs": np.float32,
    "given": np.float32,
    "likeliest": np.int32,
    "entropy": np.float32,
    "least": np.float32,
}


def of_distributions(logprobs: Any, request: ReadingRequest) -> Reading:
    """Return what is kept of whole distributions.

    :param logprobs: ``torch.Tensor`` or array of shape (places, vocabulary), in nats.
    """
    import torch

    rows = torch.as_tensor(logprobs)
    answer = torch.tensor(list(request.answer), device=rows.device)
    if request.wanted is None:
        kept, tokens = rows.topk(min(request.top, rows.shape[1]), dim=1)
    else:
        tokens = torch.tensor([list(each) for each in request.wanted], device=rows.device)
        kept = rows.gather(1, tokens)
    terms = torch.where(rows > -torch.inf, rows.exp() * rows, 0)
    return Reading(
        tokens=tokens.to(torch.int32).cpu().numpy(),
        logprobs=_floats(kept),
        given=_floats(rows.gather(1, answer.unsqueeze(1)).squeeze(1)),
        likeliest=rows.argmax(dim=1).to(torch.int32).cpu().numpy(),
        entropy=_floats(-terms.sum(dim=1)),
        least=_floats(rows.amin(dim=1)),
    )


def _floats(values: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
