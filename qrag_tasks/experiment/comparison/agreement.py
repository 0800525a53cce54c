"""How alike two arms answer, with golds or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.experiment.comparison.overlap import overlap
from qrag_tasks.logs.samples import Sample
from qrag_tasks.tasks.metric import UNFINISHED_THOUGHT_RATE

Pair = tuple[Sample, Sample]


@dataclass(frozen=True)
class Agreement:
    """How alike two arms answer the same prompts. Shares are of all samples.

    :ivar same_text: share of answers that are equal to the letter.
    :ivar same_answer: share whose rating, label or title, as the task reads it, is equal; where
        likelihoods were measured, share with the same likeliest answer.
    :ivar overlap: mean ROUGE-L F1 between the two arms' texts, 0 to 1; equal texts count 1.
        ``None`` where no text was generated.
    :ivar divergence: mean Kullback-Leibler divergence of the other arm's distribution over the
        possible answers from the base's, in nats; ``None`` where no likelihoods were logged.
    """

    same_text: float
    same_answer: float
    overlap: float | None
    divergence: float | None


@dataclass(frozen=True)
class Flips:
    """Samples that score otherwise.

    :ivar better: better under the other arm.
    :ivar worse: worse under it.
    :ivar same: scored alike.
    """

    better: int
    worse: int
    same: int


def agreement(pairs: Sequence[Pair], read: Callable[[str], str] = str.strip) -> Agreement:
    """Measure how alike two arms answer.

    :param pairs: at least one.
    :param read: an arm's text -> the answer in it.
    """
    texts = [(text_of(base), text_of(other)) for base, other in pairs]
    distributions = [
        (base.distribution, other.distribution)
        for base, other in pairs
        if base.distribution and other.distribution
    ]
    generated = len(distributions) < len(pairs)
    return Agreement(
        same_text=_share([one == two for one, two in texts]),
        same_answer=_share([_same_answer(base, other, read) for base, other in pairs]),
        overlap=_share([1.0 if a == b else overlap(b, a) for a, b in texts]) if generated else None,
        divergence=None if generated else _share([divergence(a, b) for a, b in distributions]),
    )


def text_of(sample: Sample) -> str:
    """Return :attr:`Sample.answer`, empty where there is none."""
    return sample.answer or ""


def _same_answer(base: Sample, other: Sample, read: Callable[[str], str]) -> bool:
    # Where the prompt opened the thought, the text does not show that it has no end.
    one, two = (
        "" if sample.scores.get(UNFINISHED_THOUGHT_RATE.name) else text_of(sample)
        for sample in (base, other)
    )
    # Most are equal, and reading takes time.
    return one == two or read(one) == read(two)


def divergence(base: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the Kullback-Leibler divergence ``sum p (log p - log q)`` in nats.

    :param base: answer -> log-probability; made to sum to 1 over the answers. So ``p``.
    :param other: the same of the other arm, ``q``.
    :raises ValueError: when the two have different answers.
    """
    if set(base) != set(other):
        raise ValueError("the two distributions are over different answers")
    p = _normalized([base[answer] for answer in base])
    q = _normalized([other[answer] for answer in base])
    return max(0.0, float(np.sum(np.exp(p) * (p - q))))


def flips(base: NDArray[np.float64], other: NDArray[np.float64], higher_is_better: bool) -> Flips:
    """Count the samples that score otherwise."""
    difference = other - base if higher_is_better else base - other
    better, worse = int(np.sum(difference > 0)), int(np.sum(difference < 0))
    return Flips(better, worse, len(difference) - better - worse)


def _normalized(logprobs: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(logprobs, dtype=np.float64)
    values = values - values.max()
    return np.asarray(values - np.log(np.sum(np.exp(values))))


def _share(values: Sequence[float]) -> float:
    return float(np.mean(values))
