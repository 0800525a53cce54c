"""Which next tokens are asked for, so that continuations have a likelihood.

A continuation's likelihood is that of its tokens, each after those before it. Each such place is
one request for one token: the prompts of a continuation extend each other, and vLLM finds all but
their ends in its cache of prefixes. (Its own ``prompt_logprobs`` would read no prompt from there.)
Places that continuations or requests share are asked for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from qrag_tasks.engines.base import Likelihood, LikelihoodRequest

Prompt = tuple[int, ...]


@dataclass
class Place:
    """What is asked for after one prompt.

    :ivar wanted: token ids whose log-probability is needed, in the order of their first request.
    :ivar requests: places of the likelihood requests that need it, ascending.
    :ivar likeliest: the token id that greedy decoding takes, once that is known.
    :ivar logprobs: token id -> log-probability in nats, as far as they are known.
    """

    wanted: dict[int, None] = field(default_factory=dict)
    requests: dict[int, None] = field(default_factory=dict)
    likeliest: int | None = None
    logprobs: dict[int, float] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether all that is wanted is known."""
        return self.likeliest is not None and self.wanted.keys() <= self.logprobs.keys()


def places_of(requests: Sequence[LikelihoodRequest]) -> dict[Prompt, Place]:
    """Return the places that the continuations of all requests need, by their prompts."""
    places: dict[Prompt, Place] = {}
    for number, request in enumerate(requests):
        for continuation in request.continuations:
            for prompt, token in _steps(request, continuation):
                place = places.setdefault(prompt, Place())
                place.wanted[token] = None
                place.requests[number] = None
    return places


def likelihoods_of(request: LikelihoodRequest, places: Mapping[Prompt, Place]) -> list[Likelihood]:
    """Return the likelihood of each continuation, once the places that it needs are known."""
    likelihoods = []
    for continuation in request.continuations:
        steps = [(places[prompt], token) for prompt, token in _steps(request, continuation)]
        total = sum(place.logprobs[token] for place, token in steps)
        likelihoods.append((total, all(place.likeliest == token for place, token in steps)))
    return likelihoods


def _steps(request: LikelihoodRequest, continuation: Sequence[int]) -> Iterator[tuple[Prompt, int]]:
    """Yield each token of a continuation, after the prompt that it follows."""
    before = len(request.tokens) - len(continuation) + 1
    context = tuple(request.tokens[:before])
    for number, token in enumerate(continuation):
        yield (*context, *continuation[:number]), token
