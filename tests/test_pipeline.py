"""Sample in, prompt out: what holds for any profile, k and budget."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT

from qrag_tasks.benchmark.data import Sample
from qrag_tasks.benchmark.tasks import LAMP_TASKS
from qrag_tasks.errors import BudgetError
from qrag_tasks.pipeline import PromptRecord, TokenBudget, check_questions, make_prompts
from qrag_tasks.plugins import build_retriever
from qrag_tasks.rankings import make_query

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\"'{}<|>/sé茶"), max_size=60
)
RETRIEVERS = st.sampled_from(["bm25", "first", "random:seed=4", "none"])


def words(prompt: str) -> int:
    """A tokenizer: words, and a fixed cost as a chat template has it."""
    return len(prompt.split()) + 3


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, Sample]:
    name = draw(st.sampled_from(["lamp3u", "lamp5u"]))
    pairs = draw(st.lists(st.tuples(texts, texts), max_size=12))
    if name == "lamp3u":
        profile = [{"id": str(i), "text": a, "score": "4"} for i, (a, _) in enumerate(pairs)]
        question = REVIEW_INPUT
    else:
        profile = [{"id": str(i), "title": a, "abstract": b} for i, (a, b) in enumerate(pairs)]
        question = PAPER_INPUT
    return name, Sample("1", question + draw(texts), tuple(profile), "4")


def prompt_of(
    name: str, sample: Sample, k: int, spec: str, budget: TokenBudget | None = None
) -> PromptRecord:
    task, retriever = LAMP_TASKS[name], build_retriever(spec)
    rankings = retriever.rank([make_query(task, sample, retriever)], k)
    (record,) = make_prompts(task, [sample], k, rankings, budget)
    return record


@given(samples(), st.sampled_from([0, 1, 3, 5, 10]), RETRIEVERS, st.integers(0, 200))
def test_any_profile_k_and_budget(
    drawn: tuple[str, Sample], k: int, retriever: str, budget_tokens: int
) -> None:
    name, sample = drawn
    task = LAMP_TASKS[name]
    budget = TokenBudget(words, context_tokens=budget_tokens, answer_tokens=7)
    question = words(sample.input)
    if question > budget.prompt_tokens:
        with pytest.raises(BudgetError, match=f"{name}, sample 1: .* {question} tokens"):
            prompt_of(name, sample, k, retriever, budget)
        with pytest.raises(BudgetError):
            check_questions(task, [sample], budget)
        return
    check_questions(task, [sample], budget)
    record = prompt_of(name, sample, k, retriever, budget)
    whole = prompt_of(name, sample, k, retriever)

    # The question is whole and last; the documents are whole; nothing else is in the prompt.
    assert record.prompt.endswith(sample.input)
    by_id = {item["id"]: item for item in sample.profile}
    assert record.prompt == task.prompt(sample.input, [by_id[i] for i in record.kept])
    # What is kept is the head of the ranking, as long as it can be.
    assert record.kept + record.dropped == record.ranking.ids == whole.ranking.ids
    assert record.prompt_tokens == words(record.prompt) <= budget.prompt_tokens
    if record.dropped:
        n = len(record.kept) + 1
        more = task.prompt(sample.input, [by_id[i] for i in record.ranking.ids[:n]])
        assert words(more) > budget.prompt_tokens
    # Everything is accounted for.
    assert (record.requested, record.profile_size) == (k, len(sample.profile))
    assert (record.shortfall is None) == (len(record.kept) == k)
    assert record.question_tokens == question
    assert record.prompt_hash == hashlib.sha256(record.prompt.encode()).hexdigest()


def _sample(size: int) -> Sample:
    profile = tuple({"id": str(i), "text": f"cup {i}", "score": "4"} for i in range(size))
    return Sample("1", f"{REVIEW_INPUT}nice cup", profile, "4")


def test_shortfalls_say_why() -> None:
    task = LAMP_TASKS["lamp3u"]
    tight = TokenBudget(words, words(task.prompt(_sample(9).input, _sample(9).profile[:2])), 0)
    cases = {
        "the profile holds 2 of 5": (_sample(2), "first", None),
        "the profile holds 0 of 5": (_sample(0), "first", None),
        "the retriever ranked 0": (_sample(9), "none", None),
        "3 did not fit the token budget": (_sample(9), "first", tight),
    }
    for reason, (sample, retriever, budget) in cases.items():
        record = prompt_of("lamp3u", sample, 5, retriever, budget)
        assert record.shortfall == reason


def test_an_empty_profile_is_asked_without_documents() -> None:
    sample = _sample(0)
    record = prompt_of("lamp3u", sample, 5, "bm25")
    assert record.prompt == sample.input


def test_the_prompt_of_k_begins_that_of_more() -> None:
    records = [prompt_of("lamp3u", _sample(10), k, "bm25") for k in (1, 3, 5, 10)]
    for fewer, more in pairwise(records):
        documents = fewer.prompt.removesuffix(". " + fewer.sample.input)
        assert more.prompt.startswith(documents)


def test_ten_thousand_documents() -> None:
    budget = TokenBudget(words, 10_000, 16)
    record = prompt_of("lamp3u", _sample(10_000), 10, "bm25", budget)
    assert len(record.kept) == 10
    assert record.profile_size == 10_000
