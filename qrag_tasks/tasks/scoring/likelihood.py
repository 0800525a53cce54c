"""Scores of a distribution over the closed set of answers, for ``answer=likelihood``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from qrag_tasks.tasks.scoring.metrics import Metric, Value

_NLL = Metric("nll", False, "negative log-likelihood of the gold among the answers, in nats")
_MASS = Metric("answer_mass", True, "probability that the model gives to the answers together")

LABEL_METRICS = (
    Metric("accuracy", True, "share of samples whose likeliest label is the gold"),
    Metric("f1", True, "macro F1 of the same, over all labels", "macro_f1"),
    _NLL,
    _MASS,
)
RATING_METRICS = (
    Metric("mae", False, "mean absolute error of the likeliest rating"),
    Metric("rmse", False, "root mean squared error of the same", "root_mean"),
    Metric("accuracy", True, "share of samples whose likeliest rating is the gold"),
    Metric("mae_expected", False, "mean absolute error of the expected rating"),
    Metric("rmse_expected", False, "root mean squared error of the same", "root_mean"),
    Metric("expected_rating", True, "mean of the expected rating, 1 to 5"),
    _NLL,
    _MASS,
)


def metrics_of(answers: Sequence[str]) -> tuple[Metric, ...]:
    """Return the metrics that :func:`scores` gives for a closed set of answers."""
    return RATING_METRICS if _are_ratings(answers) else LABEL_METRICS


def _are_ratings(answers: Sequence[str]) -> bool:
    return all(answer.isdecimal() for answer in answers)


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


def _nll(logprobs: Sequence[float], gold: int) -> float:
    """Return the negative log-likelihood of one answer among all; 744.4 for an impossible one."""
    highest = max(logprobs)
    if highest == -math.inf:
        return math.log(len(logprobs))
    log_sum = highest + math.log(math.fsum(math.exp(p - highest) for p in logprobs))
    # One answer that a model rules out must not make the mean of all samples infinite.
    return min(log_sum - logprobs[gold], -math.log(5e-324))


def scores(
    answers: Sequence[str], logprobs: Sequence[float], target: str | None
) -> dict[str, Value]:
    """Score one sample.

    :param answers: the closed set; ratings where all of them are numbers.
    :param logprobs: log-probability of every answer, in nats.
    :param target: the gold; where it is not known, only what needs none is given.
    """
    share = distribution(logprobs)
    likeliest = max(range(len(answers)), key=share.__getitem__)
    found: dict[str, Value] = {"answer_mass": math.fsum(math.exp(p) for p in logprobs)}
    if target is not None:
        gold = answers.index(target)
        found["accuracy"] = float(likeliest == gold)
        found["nll"] = _nll(logprobs, gold)
        found["f1"] = (likeliest, gold, len(answers))
    if _are_ratings(answers):
        expected = math.fsum(p * float(a) for p, a in zip(share, answers, strict=True))
        found["expected_rating"] = expected
        if target is not None:
            del found["f1"]
            error, of_expected = float(answers[likeliest]) - float(target), expected - float(target)
            found |= {"mae": abs(error), "rmse": error**2}
            found |= {"mae_expected": abs(of_expected), "rmse_expected": of_expected**2}
    return found
