"""The likelihoods of a closed set of answers, for ``answer=likelihood``."""

from __future__ import annotations

import math
from collections.abc import Sequence


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
