"""How long the prompts of a cell will be: made for some of its questions, and counted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from qrag_tasks.experiment.plan.cells import Cell
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.token_rates import TokenRate
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting import pipeline
from qrag_tasks.prompting.filling import FILLS, TokenBudget
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.registry import PROMPT_STYLES, RETRIEVERS, core_origin
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.retrieval.options import split_spec
from qrag_tasks.tasks.base import DataSet, Depth, Sample, Task

QUESTIONS = 128
"""Questions of a task that are looked at; all of them where there are fewer."""

_MEASURED = 16
_DOCUMENTS = 10


@dataclass(frozen=True)
class Questions:
    """Some questions of a task, drawn by the plan's seed.

    :ivar prompts: how many the plan asks.
    :ivar places: of those drawn, in the data.
    """

    task: Task
    settings: Settings
    data: DataSet
    prompts: int
    places: tuple[int, ...]
    seed: int
    asked_answer_tokens: int | None
    _ranked: dict[str, list[Ranking]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, cell: Cell, data: DataSet, task: Task) -> Questions:
        """Draw questions among those that the plan asks."""
        prompts = min(len(data.ids), plan.limit or len(data.ids))
        drawn = random.Random(plan.seed).sample(  # noqa: S311 - no secret
            range(prompts), min(QUESTIONS, prompts)
        )
        settings = Settings.from_metadata(plan.metadata_of(cell), ())
        return cls(
            task, settings, data, prompts, tuple(sorted(drawn)), plan.seed, plan.answer_tokens
        )

    @property
    def answer_tokens(self) -> int:
        """Tokens that an answer may have."""
        own = self.settings.protocol.answer_tokens or self.task.answer_tokens
        return self.asked_answer_tokens or own

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """Those drawn."""
        return tuple(self.data.samples[place] for place in self.places)

    def examples(self, k: str) -> list[str]:
        """Return some prompts at a k, of drawn documents, to measure a tokenizer on."""
        asked = Depth.parse(k).documents
        documents = _DOCUMENTS if asked is None else asked
        few = self.samples[:: max(1, len(self.samples) // _MEASURED)]
        drawn = [self._drawn(sample, documents) for sample in few]
        return [record.prompt for record in pipeline.make_prompts(self.task, few, documents, drawn)]

    def mean_tokens(
        self, k: str, retriever: str | None, rate: TokenRate, window: int | None
    ) -> float:
        """Return the tokens of a mean prompt.

        :param k: as in the names of tasks.
        :param retriever: its spec; ``None`` where none is asked.
        :param window: of the model; ``None`` where it is not known, and taken for endless.
        :raises BudgetError: when a question is too long for it.
        :raises RetrieverError: when the data lack what the retriever needs.
        """
        chosen, budget = self.settings.protocol, None
        depth = Depth.parse(k)
        room = depth.window or self.settings.context_tokens or window
        if room is not None:
            budget = TokenBudget(rate.tokens, room, self.answer_tokens, rate)
        layout = pipeline.Layout(
            style=PROMPT_STYLES.get(chosen.prompt).value,
            fill=FILLS[chosen.fill](self.settings.oversized),
        )
        rankings: Sequence[Ranking] = [Ranking()] * len(self.samples)
        if retriever is not None:
            rankings = self._rankings(retriever, depth.documents)
        records = pipeline.make_prompts(
            self.task, self.samples, depth.documents, rankings, budget, layout
        )
        return fmean(rate.tokens(record.prompt) for record in records)

    def _rankings(self, retriever: str, k: int | None) -> Sequence[Ranking]:
        if retriever not in self._ranked:
            if ranked_here(retriever):
                rankings = Rankings(self.data, build_retriever(retriever))
                self._ranked[retriever] = [rankings.look(place) for place in self.places]
            else:
                self._ranked[retriever] = [self._drawn(sample, None) for sample in self.samples]
        return [ranking.best(k) for ranking in self._ranked[retriever]]

    def _drawn(self, sample: Sample, k: int | None) -> Ranking:
        """Return documents drawn from a profile, in place of a ranking."""
        ids = [item["id"] for item in sample.profile]
        draw = random.Random(f"{self.seed}:{sample.id}")  # noqa: S311 - no secret
        drawn = draw.sample(ids, len(ids) if k is None else min(k, len(ids)))
        return Ranking(tuple(drawn), (0.0,) * len(drawn))


def ranked_here(retriever: str) -> bool:
    """Tell whether a retriever can rank without a model: those that are built in can."""
    supplied = RETRIEVERS.all().get(split_spec(retriever)[0])
    return supplied is not None and supplied.origin == core_origin()
