"""From a run's choices to what makes its prompts: data, retriever, layout, budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from qrag_tasks.errors import SettingsError
from qrag_tasks.logs.schema import LoggedPrompts
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.base import PromptStyle
from qrag_tasks.prompting.filling import FILLS, TokenBudget, trimming_prompt
from qrag_tasks.prompting.markers import Markers
from qrag_tasks.prompting.pipeline import Layout, PromptRecord, check_questions, make_prompts
from qrag_tasks.prompting.protocols import BEFORE_FILLING, CHOICES
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.registry import PROMPT_STYLES, Supplied
from qrag_tasks.retrieval.named import NamedRetriever
from qrag_tasks.tasks.base import DEPTHS, DataSet, Depth, Task
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.lamp.filters import yazan2024_filter
from qrag_tasks.tasks.own.kinds import as_record
from qrag_tasks.tasks.scoring.answer_scores import AnswerScores

if TYPE_CHECKING:
    from qrag_tasks.prompting.model_text import ModelText

logger = logging.getLogger("lm_eval.qrag_tasks")


@dataclass(frozen=True)
class PromptSource:
    """One task at one depth, with the choices of a run."""

    task: Task
    depth: Depth
    settings: Settings
    data: DataSet
    retriever: NamedRetriever
    rankings: Rankings
    prompt_style: Supplied[PromptStyle]

    @classmethod
    def of(cls, task: Task, depth: Depth, settings: Settings) -> PromptSource:
        """Read the data and build the retriever.

        :raises QragError: where a choice is impossible, or the data cannot be had.
        """
        chosen, name = settings.protocol, task.name
        task = task.described(settings.data)
        chosen.published(task)
        if chosen.fill == "trimmed":
            trimming_prompt(task.prompt)
        if settings.answer == "likelihood" and not task.answer.likelihood_metrics:
            raise SettingsError(f"{no_likelihoods(task)}. Leave {name} out of --tasks.")
        task = replace(task, index=chosen.index)
        if depth.window and settings.context_tokens not in (None, depth.window):
            raise SettingsError(
                f"context_tokens is {settings.context_tokens}, but {name}_rag_k{depth} fixes it to "
                f"{depth.window}: leave it out, or ask for another k"
            )
        if (
            chosen.name == "yazan2024"
            and (published := f"{chosen.order}{BEFORE_FILLING}") in CHOICES["order"]
        ):
            logger.warning(
                "%s: order %r puts the documents that were kept in another order; what protocol %r "
                "stands for is order %r, which keeps others where not all fit",
                *(name, chosen.order, chosen.name, published),
            )
        return cls.over(chosen_data(task, settings), depth, settings)

    @classmethod
    def over(cls, data: DataSet, depth: Depth, settings: Settings) -> PromptSource:
        """Build the retriever for data that were read, or made, already.

        :raises QragError: where the retriever or the prompt style cannot be had.
        """
        retriever = build_retriever(settings.protocol.retriever)
        return cls(
            task=data.task,
            depth=depth,
            settings=settings,
            data=data,
            retriever=retriever,
            rankings=Rankings(data, retriever),
            prompt_style=PROMPT_STYLES.get(settings.protocol.prompt),
        )

    def layout(self, text: ModelText | None) -> Layout:
        """Return how the prompts are laid out for a model that reads text so."""
        return Layout(
            style=self.prompt_style.value,
            order=self.settings.protocol.order,
            fill=FILLS[self.settings.protocol.fill](self.settings.oversized),
            markers=Markers(text.markers if text else ()),
        )

    def budget(
        self, text: ModelText | None, answer_tokens: int, finish: Callable[[str], str]
    ) -> TokenBudget | None:
        """Return the room of a prompt, or ``None`` where the model's tokenizer is not known.

        :param answer_tokens: the longest answer.
        :param finish: prompt -> what the model is given, chat template included.
        :raises SettingsError: where the window asked for cannot be had.
        """
        window = self.depth.window
        fixed = window or self.settings.context_tokens
        by = f"the task's name fixes {fixed} tokens" if window else f"context_tokens is {fixed}"
        if text is None:
            if fixed is not None:
                raise SettingsError(
                    f"{by}, which needs the model's tokenizer, and nothing names it: give "
                    f"tokenizer=... in --model_args or --metadata"
                )
            return None
        if fixed is not None and fixed > text.window:
            raise SettingsError(
                f"{by}, but the model's window is {text.window} tokens: prompts would be cut. "
                f"{self._what_fits(text.window)} If the model takes more, say so: max_length="
                f"{fixed + text.kept_back} in --model_args."
            )
        from qrag_tasks.prompting.model_text import PlainTokens

        return TokenBudget(
            count=lambda prompt: text.count(finish(prompt)),
            context_tokens=fixed or text.window,
            answer_tokens=0 if text.answer_apart else answer_tokens,
            tokens=PlainTokens(text.tokenizer),
        )

    def _what_fits(self, window: int) -> str:
        if not self.depth.window:
            return f"Ask for {window} or less."
        fitting = [depth for depth in DEPTHS if depth.window and depth.window <= window]
        if fitting:
            return f"Ask for {self.task.name}_rag_k{fitting[-1]}."
        return f"Ask for {self.task.name}_rag_k10, which takes as many of ten documents as fit."

    def prompts(
        self, indices: Sequence[int], budget: TokenBudget | None, text: ModelText | None
    ) -> list[PromptRecord]:
        """Rank, fit and write the prompts of the samples at ``indices``.

        :raises QragError: when a question does not fit, or the retriever fails.
        """
        return make_prompts(
            self.task,
            [self.data.samples[index] for index in indices],
            self.depth.documents,
            self.rankings.of(indices, self.depth.documents),
            budget,
            self.layout(text),
        )

    def check_questions(
        self, indices: Sequence[int], budget: TokenBudget, text: ModelText | None
    ) -> None:
        """Check that every question fits the budget, without ranking anything.

        :raises BudgetError: naming the first question that does not.
        """
        samples = [self.data.samples[index] for index in indices]
        check_questions(self.task, samples, budget, self.layout(text))

    @property
    def scores(self) -> AnswerScores:
        """The scores that the choices ask for."""
        published = self.settings.protocol.published(self.task)
        likelihoods = self.settings.answer == "likelihood"
        return AnswerScores(self.task.answer, published, likelihoods, self.task.metrics)

    def provenance(self) -> LoggedPrompts:
        """Return what the results say about how the prompts came about."""
        chosen, fingerprint = self.settings.protocol, self.retriever.fingerprint
        return LoggedPrompts(
            version=version("qrag-tasks"),
            data=str(self.data.questions),
            split=self.settings.split,
            data_sha256=self.data.fingerprint,
            data_notes=list(self.data.notes[:20]),
            protocol=chosen.name,
            retriever=self.retriever.spec,
            retriever_from=str(fingerprint.origin),
            retriever_options=dict(fingerprint.options),
            retriever_identity=dict(fingerprint.identity),
            retriever_sha256=fingerprint.digest,
            retriever_sees_gold=self.retriever.sees_gold,
            prompt=self.prompt_style.name,
            prompt_from=str(self.prompt_style.origin),
            filter=chosen.filter,
            index=chosen.index,
            order=chosen.order,
            fill=chosen.fill,
            oversized=self.settings.oversized,
            answer=self.settings.answer,
            answer_kind=as_record(self.task.answer),
        )


def no_likelihoods(task: Task) -> str:
    """Say why the likelihoods of a task's answers cannot be measured."""
    able = [each.official_name for each in TASKS.values() if each.answer.likelihood_metrics]
    return (
        f"answer 'likelihood' is for the tasks with a closed set of answers "
        f"({', '.join(dict.fromkeys(able))}); {task.name} asks for free text"
    )


@lru_cache(maxsize=8)
def _filtered(data: DataSet) -> DataSet:
    return yazan2024_filter(data)


def chosen_data(task: Task, settings: Settings) -> DataSet:
    """Read the data set that the choices name, without what they leave out.

    :param task: the row, with the texts to be indexed that the choices name.
    :raises DataError: when it cannot be had.
    """
    data = task.load(settings.data, settings.split)
    return _filtered(data) if settings.protocol.filter == "yazan2024" else data
