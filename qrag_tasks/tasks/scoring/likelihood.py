"""The likelihoods of a closed set of answers, for ``answer=likelihood``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True)
class Continuations:
    """What the likelihood of every answer is read off.

    :ivar shared: what all answers begin with, to stand behind the prompt.
    :ivar each: one text an answer, to follow it; its first token tells the answers apart, or it
        is the rest of the answer.
    """

    shared: str
    each: tuple[str, ...]


def without_shared_parts(answers: Sequence[str]) -> Continuations:
    """Return the answers without what all of them begin and end with: ``[`` and ``]`` of ``[1]``.

    What is the same in all of them does not tell them apart; without it, one token often does.
    White space before an answer stays with it: tokenizers join the two.
    """
    shared = _shared_start(answers)
    shared = shared if shared.strip() else ""
    rests = [answer[len(shared) :] for answer in answers]
    ending = min(len(_shared_start([rest[::-1] for rest in rests])), min(map(len, rests)) - 1)
    return Continuations(shared, tuple(rest[: len(rest) - ending] for rest in rests))


def _shared_start(texts: Sequence[str]) -> str:
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return "".join(column[0] for column in columns)


def distribution(logprobs: Sequence[float]) -> list[float]:
    """Return the probability of every answer given that it is one of them; they sum to 1.

    :param logprobs: log-probability of every answer, in nats.
    """
    highest = max(logprobs)
    if highest == -math.inf:
        return [1 / len(logprobs)] * len(logprobs)
    weights = [math.exp(logprob - highest) for logprob in logprobs]
    return [weight / sum(weights) for weight in weights]


def nll(logprobs: Sequence[float], gold: int) -> float:
    """Return the negative log-likelihood of one answer among all; 744.4 for an impossible one."""
    highest = max(logprobs)
    if highest == -math.inf:
        return math.log(len(logprobs))
    log_sum = highest + math.log(math.fsum(math.exp(p - highest) for p in logprobs))
    # One answer that a model rules out must not make the mean of all samples infinite.
    return min(log_sum - logprobs[gold], -math.log(5e-324))
