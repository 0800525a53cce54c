"""What many answers say of an arm's fidelity to its base.

A sample's figure is the mean over its answer's places; a cell's is the mean over samples, and its
interval is by whole users, since samples of one user are not independent and places of one answer
even less so. Percentiles are over all places, as llama.cpp's ``llama-perplexity --kl-divergence``
prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qrag_tasks.experiment.fidelity.divergence import Divergence, Floats
from qrag_tasks.experiment.statistics import Bootstrap, Interval
from qrag_tasks.experiment.statistics.intervals import RESAMPLES

PERCENTILES = (1, 5, 10, 50, 90, 95, 99, 99.9, 100)
"""Those of llama.cpp, the largest last."""


@dataclass(frozen=True)
class Mean:
    """A mean over samples.

    :ivar interval: of 95 %, by users; ``None`` for too few of them, or too few that differ.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Fidelity:
    """How near an arm is to its base, over the answers of one cell.

    :ivar samples: how many answers were read.
    :ivar places: tokens of all of them.
    :ivar kl: KL(base || other) a token, in nats.
    :ivar kl_percentiles: percentile -> KL of a token.
    :ivar kl_short: how much more the mean KL can be at most, since tails were taken as one token;
        ``None`` where that is not known.
    :ivar tail: mean probability of the tokens that were not kept.
    :ivar same: share of places with the same likeliest token.
    :ivar given: change in the probability of the answer's own token, the other arm's less the
        base's.
    :ivar given_rms: root of the mean square of that change, over places.
    :ivar given_percentiles: percentile -> that change, over places.
    :ivar perplexity_ratio: the other arm's perplexity of the answers over the base's.
    :ivar entropy: mean entropy of the base and of the other arm, in nats; ``None`` where an engine
        does not tell it.
    """

    samples: int
    places: int
    kl: Mean
    kl_percentiles: Mapping[float, float]
    kl_short: float | None
    tail: float
    same: Mean
    given: Mean
    given_rms: float
    given_percentiles: Mapping[float, float]
    perplexity_ratio: Mean
    entropy: tuple[float, float] | None


def fidelity(
    read: Sequence[Divergence],
    users: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Fidelity:
    """Return the figures of a cell.

    :param read: one a sample, at least one.
    :param users: a label a sample; ``None`` for each on its own.
    :param resamples: of the bootstrap.
    :raises ValueError: where there is no sample.
    """
    if not read:
        raise ValueError("no answer was read")

    def mean(values: Sequence[float] | Floats, span: float | None = None) -> Mean:
        array = np.asarray(values, np.float64)
        nothing = np.zeros(len(array))
        drawn = Bootstrap.of(nothing, array, users, span=span, resamples=resamples)
        return Mean(float(array.mean()), drawn.interval())

    kl, at_most, tail = (
        np.concatenate([getattr(one, name) for one in read])
        for name in ("kl", "kl_at_most", "tail")
    )
    change = np.concatenate([one.other_given - one.base_given for one in read])
    # Of one answer: the ratio of the perplexities' logarithms is a mean over its tokens.
    worse = mean([float((one.base_logprob - one.other_logprob).mean()) for one in read])
    entropies = [
        np.concatenate([getattr(one, name) for one in read])
        for name in ("base_entropy", "other_entropy")
    ]
    short = float(np.mean([(one.kl_at_most - one.kl).mean() for one in read]))
    return Fidelity(
        samples=len(read),
        places=len(kl),
        kl=mean([float(one.kl.mean()) for one in read]),
        kl_percentiles=percentiles(kl),
        kl_short=None if np.isnan(at_most).any() else short,
        tail=float(tail.mean()),
        same=mean([float(one.same.mean()) for one in read], span=1.0),
        given=mean([float((one.other_given - one.base_given).mean()) for one in read], span=2.0),
        given_rms=float(np.sqrt((change**2).mean())),
        given_percentiles=percentiles(change),
        perplexity_ratio=_exponential(worse),
        entropy=(
            None
            if any(np.isnan(values).any() for values in entropies)
            else (float(entropies[0].mean()), float(entropies[1].mean()))
        ),
    )


def percentiles(values: Floats) -> dict[float, float]:
    """Return :data:`PERCENTILES` of values, by linear interpolation."""
    found = np.percentile(values, PERCENTILES)
    return dict(zip(PERCENTILES, map(float, found), strict=True))


def _exponential(mean: Mean) -> Mean:
    interval = mean.interval and Interval(
        math.exp(mean.interval.low), math.exp(mean.interval.high), mean.interval.level
    )
    return Mean(math.exp(mean.value), interval)


def by_place(read: Sequence[Divergence]) -> list[tuple[int, float, float]]:
    """Return, for each place of an answer: how many answers have it, mean KL, share of the same.

    The first token of an answer is at place 0.
    """
    longest = max((len(one) for one in read), default=0)
    rows = []
    for place in range(longest):
        reaching = [one for one in read if len(one) > place]
        kl = float(np.mean([one.kl[place] for one in reaching]))
        same = float(np.mean([one.same[place] for one in reaching]))
        rows.append((len(reaching), kl, same))
    return rows
