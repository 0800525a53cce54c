"""Sample and ranking in, prompt out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from qrag_tasks.benchmark.data import Sample
from qrag_tasks.benchmark.tasks import LampTask
from qrag_tasks.errors import BudgetError
from qrag_tasks.prompt_styles import PromptStyle, lamp
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.retrieval.context import fit_documents


@dataclass(frozen=True)
class TokenBudget:
    """How much room a prompt has, and how it is measured.

    :ivar count: prompt -> tokens of what the model is given: chat template and special tokens
        included.
    :ivar context_tokens: tokens for prompt and answer together.
    :ivar answer_tokens: tokens kept free for the answer.
    """

    count: Callable[[str], int]
    context_tokens: int
    answer_tokens: int

    @property
    def prompt_tokens(self) -> int:
        """The most tokens that a finished prompt may have."""
        return self.context_tokens - self.answer_tokens


@dataclass(frozen=True)
class PromptRecord:
    """A finished prompt and how it came about.

    :ivar requested: how many documents were asked for (k).
    :ivar profile_size: how many the user has.
    :ivar ranking: the best k, or all where the user has fewer.
    :ivar kept: ids of the documents in the prompt, best first: the head of the ranking.
    :ivar dropped: ids of ranked documents that did not fit the budget.
    :ivar shortfall: why fewer than k documents are in the prompt; ``None`` where k are.
    :ivar question_tokens: tokens of the prompt without documents; ``None`` without a budget.
    :ivar prompt_tokens: tokens of the finished prompt; ``None`` without a budget.
    :ivar prompt_hash: sha256 of the prompt, before any chat template.
    """

    sample: Sample
    requested: int
    profile_size: int
    ranking: Ranking
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    shortfall: str | None
    question_tokens: int | None
    prompt_tokens: int | None
    prompt: str
    prompt_hash: str


def make_prompts(
    task: LampTask,
    samples: Sequence[Sample],
    k: int,
    rankings: Sequence[Ranking],
    budget: TokenBudget | None = None,
    style: PromptStyle = lamp,
) -> list[PromptRecord]:
    """Fit and write the prompts of ``samples``, in their order.

    :param k: how many documents to put into each prompt.
    :param rankings: of each sample, at most the best k documents.
    :param budget: without one, all k documents are kept and nothing is counted.
    :raises BudgetError: when a question does not fit even without documents.
    """
    return [
        _record(task, sample, k, ranking, budget, style)
        for sample, ranking in zip(samples, rankings, strict=True)
    ]


def _record(
    task: LampTask,
    sample: Sample,
    k: int,
    ranking: Ranking,
    budget: TokenBudget | None,
    style: PromptStyle,
) -> PromptRecord:
    by_id = {item["id"]: item for item in sample.profile}
    ranked = [by_id[i] for i in ranking.ids]

    def prompt_with(n: int) -> str:
        return style(task, sample.input, ranked[:n])

    fits = len(ranked)
    question_tokens = prompt_tokens = None
    if budget is not None:
        count = budget.count

        @cache
        def tokens_with(n: int) -> int:
            return count(prompt_with(n))

        question_tokens = tokens_with(0)
        if question_tokens > budget.prompt_tokens:
            raise _impossible(task, sample, budget, question_tokens)
        fits = fit_documents(len(ranked), tokens_with, budget.prompt_tokens)
        prompt_tokens = tokens_with(fits)

    prompt = prompt_with(fits)
    return PromptRecord(
        sample=sample,
        requested=k,
        profile_size=len(sample.profile),
        ranking=ranking,
        kept=ranking.ids[:fits],
        dropped=ranking.ids[fits:],
        shortfall=_shortfall(k, len(sample.profile), len(ranked), fits),
        question_tokens=question_tokens,
        prompt_tokens=prompt_tokens,
        prompt=prompt,
        prompt_hash=hashlib.sha256(prompt.encode()).hexdigest(),
    )


def _shortfall(k: int, profile: int, ranked: int, kept: int) -> str | None:
    reasons = []
    if profile < k:
        reasons.append(f"the profile holds {profile} of {k}")
    if ranked < min(k, profile):
        reasons.append(f"the retriever ranked {ranked}")
    if kept < ranked:
        reasons.append(f"{ranked - kept} did not fit the token budget")
    return "; ".join(reasons) or None


def check_questions(
    task: LampTask, samples: Sequence[Sample], budget: TokenBudget, style: PromptStyle = lamp
) -> None:
    """Check that every question fits the budget without documents.

    :raises BudgetError: naming the first one that does not.
    """
    for sample in samples:
        tokens = budget.count(style(task, sample.input, ()))
        if tokens > budget.prompt_tokens:
            raise _impossible(task, sample, budget, tokens)


def _impossible(task: LampTask, sample: Sample, budget: TokenBudget, tokens: int) -> BudgetError:
    return BudgetError(
        f"{task.name}, sample {sample.id}: the question alone is {tokens} tokens, but only "
        f"{budget.prompt_tokens} are free ({budget.context_tokens} context_tokens less "
        f"{budget.answer_tokens} for the answer). "
        f"Raise context_tokens, or take a model with a longer context."
    )
