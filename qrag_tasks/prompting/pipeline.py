"""Sample and ranking in, prompt out."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TypeVar

from qrag_tasks.errors import BudgetError
from qrag_tasks.prompting.base import PromptStyle
from qrag_tasks.prompting.filling import Fill, Filling, Question, TokenBudget, exact
from qrag_tasks.prompting.markers import Markers
from qrag_tasks.prompting.protocols import BEFORE_FILLING, Order
from qrag_tasks.prompting.styles import examples, lamp
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.tasks.base import Item, Sample, Task

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How the prompts of a run are made of documents and questions.

    :ivar markers: what is broken up in users' texts, so that none closes a turn.
    """

    style: PromptStyle = lamp
    order: Order = "best-first"
    fill: Fill = field(default_factory=exact)
    markers: Markers = field(default_factory=Markers)


@dataclass(frozen=True)
class PromptRecord:
    """A finished prompt and how it came about.

    :ivar requested: how many documents were asked for (k); ``None`` for as many as fit.
    :ivar profile_size: how many the user has.
    :ivar ranking: the best k, or all where the user has fewer.
    :ivar kept: ids of the documents in the prompt, best first, however they stand there.
    :ivar dropped: ids of ranked documents that are not in the prompt.
    :ivar oversized: ids of those of them that do not fit the budget even alone.
    :ivar trimmed: ids of kept documents that were cut.
    :ivar shortfall: why fewer than k documents are in the prompt; ``None`` where k are, and where
        as many as fit were asked for.
    :ivar markers_broken: how many chat markers in the user's texts were broken up.
    :ivar question_tokens: tokens of the prompt without documents; ``None`` without a budget.
    :ivar prompt_tokens: tokens of the finished prompt; ``None`` without a budget.
    :ivar prompt_hash: sha256 of the prompt, before any chat template.
    """

    sample: Sample
    requested: int | None
    profile_size: int
    ranking: Ranking
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    oversized: tuple[str, ...]
    trimmed: tuple[str, ...]
    shortfall: str | None
    markers_broken: int
    question_tokens: int | None
    prompt_tokens: int | None
    prompt: str
    prompt_hash: str


def make_prompts(
    task: Task,
    samples: Sequence[Sample],
    k: int | None,
    rankings: Sequence[Ranking],
    budget: TokenBudget | None = None,
    layout: Layout | None = None,
) -> list[PromptRecord]:
    """Fit and write the prompts of ``samples``, in their order.

    :param k: how many documents to put into each prompt; ``None`` for as many as fit.
    :param rankings: of each sample, at most the best k documents.
    :param budget: without one, all k documents are kept and nothing is counted.
    :raises BudgetError: when a question does not fit even without documents.
    """
    layout = layout or Layout()
    return [
        _record(task, sample, k, ranking, budget, layout)
        for sample, ranking in zip(samples, rankings, strict=True)
    ]


def _record(
    task: Task,
    sample: Sample,
    k: int | None,
    ranking: Ranking,
    budget: TokenBudget | None,
    layout: Layout,
) -> PromptRecord:
    by_id = {item["id"]: item for item in sample.profile}
    before_filling = layout.order.endswith(BEFORE_FILLING)
    ids = _in_order(ranking.ids, layout.order, sample.id) if before_filling else ranking.ids
    ranked = [layout.markers.broken_in(by_id[i]) for i in ids]
    question = _question(task, sample, layout)

    filling = Filling(tuple(ranked))
    question_tokens = prompt_tokens = None
    if budget is not None:
        # The question alone and the finished prompt are each measured in several places.
        budget = replace(budget, count=cache(budget.count))
        question_tokens = budget.count(question.write(()))
        if question_tokens > budget.prompt_tokens:
            raise _impossible(task, sample, budget, question_tokens)
        filling = layout.fill(ranked, question, budget)

    shown = frozenset(item["id"] for item in filling.items)
    kept, dropped, oversized, trimmed = (
        tuple(filter(chosen, ranking.ids))
        for chosen in (
            shown.__contains__,
            lambda i: i not in shown,
            filling.oversized.__contains__,
            filling.trimmed.__contains__,
        )
    )
    with_markers = layout.style(task, sample.input, [by_id[i] for i in kept])
    prompt = question.write(filling.items)
    if budget is not None:
        prompt_tokens = budget.count(prompt)
    return PromptRecord(
        sample=sample,
        requested=k,
        profile_size=len(sample.profile),
        ranking=ranking,
        kept=kept,
        dropped=dropped,
        oversized=oversized,
        trimmed=trimmed,
        shortfall=_shortfall(k, len(sample.profile), len(ranked), dropped, oversized),
        markers_broken=len(layout.markers.found(with_markers)),
        question_tokens=question_tokens,
        prompt_tokens=prompt_tokens,
        prompt=prompt,
        prompt_hash=hashlib.sha256(prompt.encode()).hexdigest(),
    )


def _question(task: Task, sample: Sample, layout: Layout) -> Question:
    text = layout.markers.broken(sample.input)
    # What was put in order before it was chosen stays as it is.
    order = "best-first" if layout.order.endswith(BEFORE_FILLING) else layout.order

    def write(items: Sequence[Item]) -> str:
        return layout.style(task, text, _in_order(items, order, sample.id))

    return Question(
        text, write, task.prompt, task.query(text), partial(examples, layout.style, task)
    )


def _in_order(items: Sequence[T], order: Order, seed: str) -> Sequence[T]:
    match order.removesuffix(BEFORE_FILLING):
        case "reversed":
            return items[::-1]
        case "shuffled":
            # No cryptography here: a reproducible shuffle, the same in every arm.
            return random.Random(f"order:{seed}").sample(items, len(items))  # noqa: S311
    return items


def _shortfall(
    k: int | None, profile: int, ranked: int, dropped: Sequence[str], oversized: Sequence[str]
) -> str | None:
    if k is None:
        return f"the retriever ranked {ranked} of {profile}" if ranked < profile else None
    reasons = []
    if profile < k:
        reasons.append(f"the profile holds {profile} of {k}")
    if ranked < min(k, profile):
        reasons.append(f"the retriever ranked {ranked}")
    if oversized:
        reasons.append(f"{len(oversized)} longer than the token budget alone")
    if rest := len(dropped) - len(oversized):
        reasons.append(f"{rest} did not fit the token budget")
    return "; ".join(reasons) or None


def check_questions(
    task: Task, samples: Sequence[Sample], budget: TokenBudget, layout: Layout
) -> None:
    """Check that every question fits the budget without documents.

    :raises BudgetError: naming the first one that does not.
    """
    for sample in samples:
        tokens = budget.count(_question(task, sample, layout).write(()))
        if tokens > budget.prompt_tokens:
            raise _impossible(task, sample, budget, tokens)


def _impossible(task: Task, sample: Sample, budget: TokenBudget, tokens: int) -> BudgetError:
    return BudgetError(
        f"{task.name}, sample {sample.id}: the question alone is {tokens} tokens, but only "
        f"{budget.prompt_tokens} are free ({budget.context_tokens} context_tokens less "
        f"{budget.answer_tokens} for the answer). "
        f"Raise context_tokens, or take a model with a longer context."
    )
