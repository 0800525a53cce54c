"""How far one arm's distributions are from another's, along one answer.

Both arms read the same tokens. Of each distribution the probabilities of the base's likeliest
tokens are kept, and of all others together what is left of 1 (the tail). The Kullback-Leibler
divergence of the base from the other arm, in nats,

    KL = sum over all tokens of p ln(p / q),

is then known except for what the tail adds to it: of the tail, only the sums P and Q of both arms
are known. By the log sum inequality (Cover and Thomas, Elements of Information Theory, theorem
2.7.1) the tail adds at least P ln(P / Q): with it, what is computed here is never more than KL. It
adds at most P (ln m - ln q0), where no token of the tail is likelier in the base than m, and none
is less likely than q0 in the other arm: that bound is there where the engine saw the whole
vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.engines.readings import Reading

Floats = NDArray[np.float64]

_ROUNDING = 2e-6
"""What is left of 1 may be this much of rounding: probabilities are summed up of log-probabilities
in 32 bits."""


@dataclass(frozen=True)
class Divergence:
    """Two arms along one answer, or several behind each other; each an array of shape (places,).

    :ivar kl: KL(base || other) in nats, with the tail taken as one token: never above the true one.
    :ivar kl_at_most: a bound from above; NaN where there is none.
    :ivar tail: probability of the base's tail.
    :ivar same: whether both arms have the same likeliest token.
    :ivar base_given: probability of the answer's own token under the base.
    :ivar other_given: the same under the other arm.
    :ivar base_logprob: its log-probability under the base, in nats.
    :ivar other_logprob: the same under the other arm.
    :ivar base_entropy: of the base's distribution, in nats; NaN where it is not known.
    :ivar other_entropy: the same of the other arm's.
    """

    kl: Floats
    kl_at_most: Floats
    tail: Floats
    same: NDArray[np.bool_]
    base_logprob: Floats
    other_logprob: Floats
    base_entropy: Floats
    other_entropy: Floats

    def __len__(self) -> int:
        return len(self.kl)

    @property
    def base_given(self) -> Floats:
        """Probability of the answer's own token under the base."""
        return np.exp(self.base_logprob)

    @property
    def other_given(self) -> Floats:
        """Probability of the answer's own token under the other arm."""
        return np.exp(self.other_logprob)


@dataclass(frozen=True)
class ReadAnswers:
    """Two arms along several answers.

    :ivar places: of all answers, one behind the other.
    :ivar lengths: how many places each answer has, at least one: shape (answers,).
    """

    places: Divergence
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, answers: Sequence[Divergence]) -> ReadAnswers:
        """Put answers behind each other; at least one."""
        columns = {
            each.name: np.concatenate([getattr(answer, each.name) for answer in answers])
            for each in fields(Divergence)
        }
        return cls(Divergence(**columns), np.array([len(answer) for answer in answers], np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first place of each answer."""
        return np.cumsum(self.lengths) - self.lengths

    def means(self, values: Floats | NDArray[np.bool_]) -> Floats:
        """Return the mean over each answer's places of what has a value a place."""
        sums = np.add.reduceat(values.astype(np.float64), self.starts)
        return np.asarray(sums / self.lengths)

    def some(self, chosen: Sequence[int]) -> ReadAnswers:
        """Return some of the answers, by their numbers."""
        starts = self.starts
        spans = [np.arange(starts[one], starts[one] + self.lengths[one]) for one in chosen]
        rows = np.concatenate(spans)
        columns = {each.name: getattr(self.places, each.name)[rows] for each in fields(Divergence)}
        return ReadAnswers(Divergence(**columns), self.lengths[list(chosen)])


def divergence(base: Reading, other: Reading) -> Divergence:
    """Compare what two arms make of the same answer.

    :param base: with its likeliest tokens kept.
    :param other: with the base's tokens kept, in the same order.
    :raises ValueError: when the two do not belong together.
    """
    if base.tokens.shape != other.tokens.shape or not (base.tokens == other.tokens).all():
        raise ValueError("the two arms did not keep the same tokens of the same answer")
    lp, lq = base.logprobs.astype(np.float64), other.logprobs.astype(np.float64)
    p = np.exp(lp)
    known = np.where(p > 0, p * (lp - lq), 0).sum(axis=1)
    tail, other_tail = _tail(p), _tail(np.exp(lq))
    counted = tail > 0
    at_least = np.zeros_like(tail)
    at_least[counted] = tail[counted] * np.log(
        tail[counted] / np.maximum(other_tail[counted], _ROUNDING)
    )
    # No token of the tail is likelier than the last that was kept, nor than all of it.
    likeliest = np.minimum(lp.min(axis=1), np.log(np.maximum(tail, _ROUNDING)))
    at_most = np.maximum(tail, _ROUNDING) * (likeliest - other.least.astype(np.float64))
    kl = np.maximum(known + at_least, 0.0)
    return Divergence(
        kl=kl,
        kl_at_most=np.maximum(known + at_most, kl),
        tail=tail,
        same=base.likeliest == other.likeliest,
        base_logprob=base.given.astype(np.float64),
        other_logprob=other.given.astype(np.float64),
        base_entropy=base.entropy.astype(np.float64),
        other_entropy=other.entropy.astype(np.float64),
    )


def _tail(probabilities: Floats) -> Floats:
    """Return what is left of 1: shape (places,), 0 where it is no more than rounding."""
    left = 1.0 - probabilities.sum(axis=1)
    return np.where(left > _ROUNDING, left, 0.0)
