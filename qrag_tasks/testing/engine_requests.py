"""The requests that engines are tried on, and their answers in order."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qrag_tasks.engines.base import Engine, GenerationRequest, Likelihood, LikelihoodRequest
from qrag_tasks.engines.readings import Reading, ReadingRequest

LONGEST = 8
"""Tokens of the longest answer."""
GREEDY: Mapping[str, Any] = {"do_sample": False, "temperature": 0.0}


def prompts(engine: Engine, count: int = 9) -> list[list[int]]:
    """Return prompts of unlike length, each of which repeats itself.

    They are token ids that no tokenizer would make of their text, and the first has a special
    token inside.
    """
    decode = engine.tokenizer.decode
    vocabulary = range(len(engine.tokenizer))
    words = [
        token for token in vocabulary if decode([token]).isalnum() and decode([token]).isascii()
    ]
    draw = random.Random(0)
    made = []
    for number in range(count):
        cycle = draw.sample(words, 5 + number)
        length = 2 * len(cycle) + number % 4
        made.append((cycle * 3)[:length])
    made[0].insert(3, engine.decoding.pad_token)
    return made


def sample_requests(engine: Engine, **changes: Any) -> list[GenerationRequest]:
    """Return a request for each of :func:`prompts`."""
    return [
        replace(GenerationRequest(f"request {i}", prompt, LONGEST, (), GREEDY), **changes)
        for i, prompt in enumerate(prompts(engine))
    ]


def generate(engine: Engine, requests: Sequence[GenerationRequest]) -> list[list[int]]:
    """Return the generated tokens, in the order of the requests; each request is answered once."""
    return [list(tokens) for tokens in _in_order(engine.generate, requests)]


def score(engine: Engine, requests: Sequence[LikelihoodRequest]) -> list[list[Likelihood]]:
    """Return the likelihoods, in the order of the requests; each request is answered once."""
    return [list(likelihoods) for likelihoods in _in_order(engine.score, requests)]


def read(engine: Engine, requests: Sequence[ReadingRequest]) -> list[Reading]:
    """Return the readings, in the order of the requests; each answer is read once."""
    return _in_order(engine.read, requests)


def _in_order(ask: Callable[..., None], requests: Sequence[Any]) -> list[Any]:
    answers: dict[int, Any] = {}

    def answered(batch: Mapping[int, Any], _cost: Mapping[str, float]) -> None:
        assert not answers.keys() & batch.keys(), "a request was answered twice"
        answers.update(batch)

    ask(requests, answered)
    assert sorted(answers) == list(range(len(requests))), "not every request was answered"
    return [answers[place] for place in range(len(requests))]


def likelihood_requests(engine: Engine) -> list[LikelihoodRequest]:
    """Return requests of one to three continuations, of one to three tokens."""
    requests = []
    for number, prompt in enumerate(prompts(engine)):
        length = 1 + number % 3
        last = prompt[len(prompt) - length + 1 :]
        continuations = tuple((*last, end) for end in (prompt[0], prompt[-1], prompt[1])[:length])
        requests.append(LikelihoodRequest(f"request {number}", tuple(prompt), continuations))
    return requests


def reading_requests(engine: Engine, top: int = 16) -> list[ReadingRequest]:
    """Return requests to read answers of one to five tokens, likely ones and others."""
    return [
        ReadingRequest(f"request {n}", prompt[: -(1 + n % 5)], prompt[-(1 + n % 5) :], top)
        for n, prompt in enumerate(prompts(engine))
    ]
