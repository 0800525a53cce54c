"""What many answers say of an arm's fidelity to its base.

A sample's figure is the mean over its answer's places; a cell's is the mean over samples, and its
interval is by whole users, since samples of one user are not independent and places of one answer
even less so. Percentiles are over all places, as llama.cpp's ``llama-perplexity --kl-divergence``
prints them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

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


class Figures:
    """The figures of a cell, before their intervals are drawn: many are drawn at once.

    :param read: at least one answer, one a sample.
    :param users: a label a sample; ``None`` for each on its own.
    :param resamples: of the bootstrap.
    :raises ValueError: where there is no sample.
    """

    def __init__(
        self,
        read: ReadAnswers,
        users: ArrayLike | None = None,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        if not len(read):
            raise ValueError("no answer was read")
        self._read = read
        places = read.places
        self._change = places.other_given - places.base_given
        spans = {"kl": None, "same": 1.0, "given": 2.0, "worse": None}
        self._by_sample: dict[str, Floats] = {
            "kl": read.means(places.kl),
            "same": read.means(places.same),
            "given": read.means(self._change),
            # Of one answer: the ratio of the perplexities' logarithms is a mean over its tokens.
            "worse": read.means(places.base_logprob - places.other_logprob),
        }
        self._drawn = {
            name: Bootstrap.of(
                *(np.zeros(len(values)), values, users),
                resamples=resamples,
                seed=seed,
                span=spans[name],
            )
            for name, values in self._by_sample.items()
        }

    @property
    def bootstraps(self) -> list[Bootstrap]:
        """What is to be drawn, for :func:`~qrag_tasks.experiment.statistics.draw_together`."""
        return [each for each in self._drawn.values() if each.units.measurable]

    def at(self, level: float = 0.95) -> Fidelity:
        """Return the figures.

        :param level: of the intervals.
        """
        read, places, change = self._read, self._read.places, self._change
        means = {
            name: Mean(float(values.mean()), self._drawn[name].interval(level))
            for name, values in self._by_sample.items()
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
                means["kl"].value, effect_to_show(self._drawn["kl"].units), len(read)
            ),
        )


_TOGETHER = 16
"""Cells that are drawn at once, as each holds what was drawn for it."""


def drawn_together(cells: Iterable[Figures], level: float = 0.95) -> Iterator[Fidelity]:
    """Yield the figures of many cells, in their order.

    :param level: of the intervals.
    """
    every = iter(cells)
    while batch := list(islice(every, _TOGETHER)):
        draw_together(each for figures in batch for each in figures.bootstraps)
        yield from (figures.at(level) for figures in batch)


def fidelity(
    read: ReadAnswers, users: ArrayLike | None = None, *, resamples: int = RESAMPLES
) -> Fidelity:
    """Return the figures of one cell; see :class:`Figures`."""
    (figures,) = drawn_together([Figures(read, users, resamples=resamples)])
    return figures


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
