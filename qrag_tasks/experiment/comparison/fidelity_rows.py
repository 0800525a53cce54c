"""What readings say in a comparison: how near an arm's distributions are to its base's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qrag_tasks.experiment.statistics import Interval


@dataclass(frozen=True)
class MeanRow:
    """A mean over samples.

    :ivar interval: by users; ``None`` for too few of them, or too few that differ.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class AnswersRead:
    """What both arms make of the same answers, token by token. Logarithms are natural.

    :ivar samples: how many answers were read.
    :ivar places: tokens of all of them, their ends included.
    :ivar kl: Kullback-Leibler divergence of the base from the other arm, in nats a token.
    :ivar kl_short: how much more its mean can be at most, as the tokens that were not kept were
        taken as one; ``None`` where that is not known.
    :ivar kl_percentiles: percentile, as text -> KL of a token.
    :ivar same_top: share of places where both arms have the same likeliest token.
    :ivar given: change in the probability of the answer's own token, the other arm's less the
        base's.
    :ivar given_rms: root of the mean square of that change, over places.
    :ivar perplexity_ratio: the other arm's perplexity of the answers over the base's.
    :ivar samples_needed: with so many samples KL would be told from 0 with a power of 0.8, by the
        mean and the spread that were measured; ``None`` where they do not tell.
    """

    samples: int
    places: int
    kl: MeanRow
    kl_short: float | None
    kl_percentiles: Mapping[str, float]
    same_top: MeanRow
    given: MeanRow
    given_rms: float
    perplexity_ratio: MeanRow
    samples_needed: float | None = None


@dataclass(frozen=True)
class Direction:
    """Which way the answers go that change, by one metric.

    KL says how far an arm is from its base, not which way; this does.

    :ivar changed: samples whose answers differ between the arms, to the letter.
    :ivar better: how many of these score better under the other arm.
    :ivar worse: how many of them score worse under it; the rest score the same.
    :ivar samples_needed: with so many samples the metric would have told a difference as large as
        the one that was measured from 0, with a power of 0.8; ``None`` where that is not known,
        as where the scores are equal.
    """

    metric: str
    changed: int
    better: int
    worse: int
    samples_needed: float | None = None


@dataclass(frozen=True)
class FidelityRow:
    """What readings say of a cell (``qrag fidelity``), beside its scores.

    :ivar own: along the base arm's own answers; ``None`` where they were not read.
    :ivar gold: along the right answers; ``None`` likewise, and where they are not known.
    :ivar directions: one for each metric whose values say how good an answer is.
    """

    own: AnswersRead | None = None
    gold: AnswersRead | None = None
    directions: Sequence[Direction] = field(default_factory=list)


@dataclass(frozen=True)
class FidelityTrendRow:
    """Whether KL changes with the number of documents, by the samples that all k have.

    :ivar answers: whose answers were read: ``own``, the base arm's, or ``gold``.
    :ivar documents: mean number of documents in the prompts, one per cell.
    :ivar slope: change of KL a token, in nats, with each further document.
    :ivar interval: ``None``, as ``p``, where units, or units whose slope is another than most
        have, are too few.
    :ivar p_holm: ``p``, corrected by Holm over the trends of the comparison, own and gold apart.
    """

    model: str
    arm: str
    base_arm: str
    lamp_task: str
    retriever: str
    order: str
    answers: str
    k: Sequence[str]
    documents: Sequence[float]
    samples: int
    slope: float
    interval: Interval | None
    p: float | None
    p_holm: float | None
