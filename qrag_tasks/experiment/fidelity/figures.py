"""What many answers say of an arm's fidelity to its base.

A sample's figure is the mean over its answer's places; a cell's is the mean over samples, and its
interval is by whole users, since samples of one user are not independent and places of one answer
even less so. Percentiles are over all places, as llama.cpp's ``llama-perplexity --kl-divergence``
prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qrag_tasks.experiment.fidelity.divergence import Floats, ReadAnswers
from qrag_tasks.experiment.statistics import Bootstrap, Interval, draw_together, effect_to_show
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
    :ivar samples_needed: with so many samples KL would be told from 0 with a power of 0.8, by the
        mean and the spread that were measured (:func:`samples_to_show`); ``None`` where they do
        not tell.
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
    samples_needed: float | None


def fidelity(
    read: ReadAnswers,
    users: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Fidelity:
    """Return the figures of a cell.

    :param read: at least one answer, one a sample.
    :param users: a label a sample; ``None`` for each on its own.
    :param level: of the intervals.
    :param resamples: of the bootstrap.
    :raises ValueError: where there is no sample.
    """
    if not len(read):
        raise ValueError("no answer was read")
    places = read.places
    change = places.other_given - places.base_given
    by_sample: dict[str, tuple[Floats, float | None]] = {
        "kl": (read.means(places.kl), None),
        "same": (read.means(places.same), 1.0),
        "given": (read.means(change), 2.0),
        # Of one answer: the ratio of the perplexities' logarithms is a mean over its tokens.
        "worse": (read.means(places.base_logprob - places.other_logprob), None),
    }
    drawn = {
        name: Bootstrap.of(
            np.zeros(len(values)), values, users, resamples=resamples, seed=seed, span=span
        )
        for name, (values, span) in by_sample.items()
    }
    draw_together(each for each in drawn.values() if each.units.measurable)
    means = {
        name: Mean(float(values.mean()), drawn[name].interval(level))
        for name, (values, _) in by_sample.items()
    }
    short = read.means(places.kl_at_most - places.kl)
    entropies = places.base_entropy, places.other_entropy
    return Fidelity(
        samples=len(read),
        places=len(places),
        kl=means["kl"],
        kl_percentiles=percentiles(places.kl),
        kl_short=None if np.isnan(short).any() else float(short.mean()),
        tail=float(places.tail.mean()),
        same=means["same"],
        given=means["given"],
        given_rms=float(np.sqrt((change**2).mean())),
        given_percentiles=percentiles(change),
        perplexity_ratio=_exponential(means["worse"]),
        entropy=(
            None
            if any(np.isnan(values).any() for values in entropies)
            else (float(entropies[0].mean()), float(entropies[1].mean()))
        ),
        samples_needed=samples_to_show(
            means["kl"].value, effect_to_show(drawn["kl"].units), len(read)
        ),
    )


def samples_to_show(effect: float, smallest: float | None, samples: int) -> float | None:
    """Return how many samples would show an effect with a power of 0.8.

    An order of magnitude: the effect and its spread are taken for the true ones, and errors shrink
    with the root of the number of samples.

    :param effect: that was measured.
    :param smallest: the smallest true effect that the samples would have shown with that power
        (:func:`~qrag_tasks.experiment.statistics.effect_to_show`).
    :param samples: that were measured.
    :returns: ``None`` where there is no effect, or its spread is not known.
    """
    if smallest is None or effect == 0:
        return None
    return samples * (smallest / effect) ** 2


def percentiles(values: Floats) -> dict[float, float]:
    """Return :data:`PERCENTILES` of values, by linear interpolation."""
    found = np.percentile(values, PERCENTILES)
    return dict(zip(PERCENTILES, map(float, found), strict=True))


def _exponential(mean: Mean) -> Mean:
    interval = mean.interval and Interval(
        math.exp(mean.interval.low), math.exp(mean.interval.high), mean.interval.level
    )
    return Mean(math.exp(mean.value), interval)


def by_place(read: ReadAnswers) -> list[tuple[int, float, float]]:
    """Return, for each place of an answer: how many answers have it, mean KL, share of the same.

    The first token of an answer is at place 0.
    """
    place = np.arange(len(read.places)) - np.repeat(read.starts, read.lengths)
    reaching = np.bincount(place)
    kl, same = (
        np.bincount(place, weights=values.astype(np.float64)) / reaching
        for values in (read.places.kl, read.places.same)
    )
    return list(zip(reaching.tolist(), kl.tolist(), same.tolist(), strict=True))
