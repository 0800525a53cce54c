"""What a comparison says: a row per cell, with a row per metric in it, and trends over k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qrag_tasks.experiment.comparison.agreement import Agreement, Flips
from qrag_tasks.experiment.comparison.fidelity_rows import FidelityRow, FidelityTrendRow
from qrag_tasks.experiment.statistics import Interval


@dataclass(frozen=True)
class ArmWeights:
    """What the weights of an arm are, as far as its results say.

    :ivar method: how they are quantized, alike at all bits: a format's name as a rule; ``none``
        where they are not.
    :ivar bits: that a weight of the linear layers in blocks takes, scales and zeros included.
    :ivar model_bits: that a weight of the whole model takes.
    :ivar bytes: of the whole model.
    :ivar shares: of a GGUF file: kind of its tensors -> share of its bytes, the largest first.
    """

    method: str | None = None
    bits: float | None = None
    model_bits: float | None = None
    bytes: int | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmFacts:
    """One of the two arms of a cell.

    :ivar label: model and arm.
    :ivar arm: what it is called beside its model: as it was named, else its precision; empty where
        neither is known.
    :ivar run: where its results lie.
    :ivar identity: digest of all that its answers depend on, where it is known.
    :ivar valid_rate: share of answers that hold what was asked for, where the task counts it.
    :ivar runaway_rate: share of answers that hit their length limit, where the task counts it.
    :ivar unfinished_thought_rate: share of answers that are a thought without an end, where the
        task counts it.
    :ivar engine: what ran it, where it is known.
    :ivar evidence: how its precision is known: :data:`qrag_tasks.engines.base.Evidence`.
    :ivar kv_cache: how keys and values were kept; ``None`` where nothing else was asked for than
        usual.
    :ivar cache_bytes_per_token: of its keys and values, where they were read.
    :ivar prompt_tokens: of a prompt, the mean of those that are compared, where they were counted.
    """

    label: str
    model: str
    arm: str
    precision: str | None
    run: str
    identity: str | None
    valid_rate: float | None
    runaway_rate: float | None
    unfinished_thought_rate: float | None
    engine: str | None = None
    evidence: str | None = None
    weights: ArmWeights = field(default_factory=ArmWeights)
    kv_cache: str | None = None
    cache_bytes_per_token: float | None = None
    prompt_tokens: float | None = None


@dataclass(frozen=True)
class MetricRow:
    """One score of a cell under both arms.

    ``difference`` is the other arm's score less the base's; every figure after it is about that.

    :ivar higher_is_better: ``None`` where lm_eval's results do not say.
    :ivar units: what is resampled as a whole: users where they are known, else samples; ``None``
        where the score is not known as a function of the samples' values, and nothing is tested.
    :ivar differing: how many units differ between the two arms.
    :ivar interval: paired bootstrap; ``None`` where units, or units that differ, are too few.
    :ivar bound: where too few units differ for an interval: the largest difference, in either
        direction, that so few leave possible.
    :ivar p: two-sided permutation test; ``None`` where units, or units that differ, are too few.
    :ivar smallest_p: the smallest p that this test could have given.
    :ivar p_holm: the same, corrected by Holm over the cells of the comparison, for this metric.
    :ivar margin: differences below it do not matter; ``None`` where none was stated.
    :ivar equivalence_p: the larger p of two one-sided tests against the margin.
    :ivar smallest_effect: the smallest true difference that this sample would have shown with a
        power of 0.8; ``None`` where too few units differ to tell how much the difference spreads.
    :ivar recovery: share of the base's score that is left: other over base, or base over other
        where lower is better.
    :ivar mcnemar_p: McNemar's exact test, where every sample is right or wrong, and a unit of its
        own; ``None`` elsewhere.
    :ivar mcnemar_mid_p: the same by mid-p.
    :ivar noise_floor: difference that other batches alone would make in 5 % of runs, where it was
        measured.
    """

    metric: str
    higher_is_better: bool | None
    base: float
    other: float
    difference: float
    recovery: float | None
    units: int | None = None
    differing: int | None = None
    interval: Interval | None = None
    bound: float | None = None
    p: float | None = None
    p_holm: float | None = None
    smallest_p: float | None = None
    margin: float | None = None
    equivalence_p: float | None = None
    smallest_effect: float | None = None
    flips: Flips | None = None
    mcnemar_p: float | None = None
    mcnemar_mid_p: float | None = None
    noise_floor: float | None = None


@dataclass(frozen=True)
class CellRow:
    """Two arms over the same prompts.

    :ivar task: lm_eval's name of the task.
    :ivar filter: lm_eval's name for how answers were taken out of the text.
    :ivar facts: of our tasks: ``lamp_task``, ``k``, ``retriever``, ``order``, ``protocol``.
    :ivar kept: mean number of documents in the prompts, of our tasks.
    :ivar users: different users, where they are known; they are resampled as a whole.
    :ivar cost: what was measured -> the other arm's over the base's.
    :ivar noise: what ``qrag noise`` measured of the base arm on this task, where it was given.
    :ivar batch_noise: what is known of the noise of batches: ``measured``, ``excluded`` where no
        answer of either arm depended on its batch, or ``unknown``.
    :ivar by_design: in what the prompts of the two differ because that is compared: ``k``,
        ``retriever``, ``order``. Task and facts are then those of the other.
    :ivar metrics: empty where the golds are not known.
    :ivar fidelity: what ``qrag fidelity`` read; ``None`` where it read nothing.
    """

    task: str
    filter: str
    facts: Mapping[str, Any]
    kept: float | None
    samples: int
    users: int | None
    base: ArmFacts
    other: ArmFacts
    agreement: Agreement
    cost: Mapping[str, float]
    noise: Mapping[str, Any] | None
    metrics: Sequence[MetricRow]
    fidelity: FidelityRow | None = None
    batch_noise: str = "unknown"
    by_design: Sequence[str] = ()

    @property
    def lamp_task(self) -> str | None:
        """Which of LaMP's tasks it is; ``None``, as the three below, where it is none."""
        return self.facts.get("lamp_task")

    @property
    def k(self) -> str | None:
        """How many documents were asked for, as the task's name has it."""
        return self.facts.get("k")

    @property
    def retriever(self) -> str | None:
        """Who ranked; ``none`` where no documents were asked for."""
        return self.facts.get("retriever")

    @property
    def order(self) -> str | None:
        """In what order documents stand; ``None`` where there is one, or none."""
        return self.facts.get("order")

    @property
    def names(self) -> dict[str, str | None]:
        """What tells its task and documents from those of others, by the names of columns."""
        names = ("task", "filter", "lamp_task", "k", "retriever", "order")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class TrendRow:
    """Whether the difference between two arms grows with the number of documents.

    :ivar documents: mean number of documents in the prompts, one per cell.
    :ivar slope: change of the difference with each further document.
    :ivar interval: ``None``, as ``p``, where units, or units whose slope is another than most
        have, are too few.
    """

    model: str
    arm: str
    base_arm: str
    lamp_task: str
    retriever: str
    order: str
    metric: str
    higher_is_better: bool | None
    k: Sequence[str]
    documents: Sequence[float]
    samples: int
    slope: float
    interval: Interval | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class PooledRow:
    """One arm against its base over all cells of a comparison together.

    Every cell counts once, by its headline metric. A cell's loss is taken in margins, so that
    losses of different metrics add up: 1 is the size that was stated to matter.

    :ivar retriever: whose cells these are; :data:`ALL` for every cell, those without documents
        among them.
    :ivar metrics: by which the cells count.
    :ivar samples: different questions; each may be in several cells.
    :ivar users: different users; ``None`` where they are not known of every sample.
    :ivar effect: mean over the cells of the other arm's loss, in margins: above 0 it is worse.
    :ivar interval: of the effect: bootstrap over users with all of their samples in all cells;
        ``None`` where units, or units that differ, are too few.
    :ivar p: two-sided permutation test, in which the arms are swapped by user in all cells at once.
    :ivar p_holm: the same, corrected by Holm over the rows of all retrievers together, or over
        those of single retrievers.
    :ivar equivalence_p: the larger p of two one-sided tests that the effect is within one margin.
    :ivar recovery: mean over the cells of :attr:`MetricRow.recovery`; ``None`` where a cell has
        none.
    :ivar verdict: in a word, as a single cell's.
    :ivar smallest_effect: the smallest true effect, in margins, that these samples would have shown
        with a power of 0.8.
    :ivar samples_needed: of an undecided row: with how many samples a verdict is reached with a
        power of 0.8, whatever the true effect is; ``None`` where these samples do not tell.
    :ivar bound: where too few units differ for an interval: the largest effect that is possible.
    :ivar noise: as :attr:`CellRow.batch_noise`, of all cells.
    :ivar noise_floor: as :attr:`MetricRow.noise_floor`, of the effect.
    """

    model: str
    arm: str
    base_arm: str
    retriever: str
    metrics: Sequence[str]
    cells: int
    samples: int
    users: int | None
    effect: float
    interval: Interval | None
    p: float | None
    p_holm: float | None
    equivalence_p: float | None
    recovery: float | None
    recovery_interval: Interval | None
    verdict: str
    smallest_effect: float | None
    samples_needed: int | None
    bound: float | None = None
    noise: str = "unknown"
    noise_floor: float | None = None


@dataclass(frozen=True)
class AttributeBin:
    """The samples of a cell whose attribute lies in a range, or that are of a class.

    :ivar label: the range or the class: ``1,200 to 4,800``.
    :ivar mean: of the attribute; ``None`` for a class.
    :ivar users: different users; ``None`` where they are not known.
    :ivar row: the score under both arms; its ``p_holm`` is corrected over all bins of the
        attribute in all cells, for this metric.
    """

    label: str
    mean: float | None
    samples: int
    users: int | None
    row: MetricRow


@dataclass(frozen=True)
class AttributeRow:
    """How one score of a cell, and the difference between its arms, go with an attribute.

    :ivar cell: number of the cell in :attr:`Comparison.cells`.
    :ivar bins: in the order of the attribute.
    :ivar binned: by what its values fall into bins: ``quantiles``, ``edges`` or ``values``.
    :ivar unknown: samples whose attribute is not known; they are in no bin.
    :ivar reach: the highest value of a number less the lowest; ``None`` for classes.
    :ivar slope: change of the difference with 1 more of a number, over single samples, not bins;
        ``None`` for classes, and where all have the same.
    :ivar interval: of the slope; ``None``, as ``p``, where units, or units that differ otherwise
        than most, are too few.
    :ivar p_holm: corrected over all cells, for this attribute and metric.
    """

    cell: int
    attribute: str
    metric: str
    higher_is_better: bool | None
    binned: str
    bins: Sequence[AttributeBin]
    unknown: int
    samples: int
    reach: float | None = None
    slope: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None


ALL = "all"
"""The retriever of a :class:`PooledRow` that holds the cells of all of them."""


@dataclass(frozen=True)
class Comparison:
    """All of it.

    :ivar notes: what was left out, and why.
    :ivar pooled: a row for each arm, and for each retriever where there are several.
    :ivar fidelity_trends: of the KL of cells whose answers were read.
    :ivar attributes: a row for each attribute of each cell's questions: of its headline metric,
        and of all where it was asked for.
    """

    cells: Sequence[CellRow]
    trends: Sequence[TrendRow]
    notes: Sequence[str]
    level: float
    seed: int
    pooled: Sequence[PooledRow] = field(default_factory=list)
    fidelity_trends: Sequence[FidelityTrendRow] = field(default_factory=list)
    attributes: Sequence[AttributeRow] = field(default_factory=list)
