"""Which documents go into a prompt of limited length: ``exact``, ``yazan2024`` and ``trimmed``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_tokens import WORDS, word_budget

from qrag_tasks.prompting.filling import (
    FILLS,
    Filling,
    Question,
    TokenBudget,
    exact,
    trimmed,
    yazan2024,
)
from qrag_tasks.prompting.protocols import CHOICES
from qrag_tasks.tasks.base import Item
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

TASKS = [name for name in LAMP_TASKS if name.endswith("u")]


def question_of(name: str, words: int) -> Question:
    prompt = LAMP_TASKS[name].prompt
    text = " ".join(["title"] * words)
    return Question(text, partial(prompt, text), prompt, text, prompt.examples)


def tokens(items: Sequence[Item], question: Question, budget: TokenBudget) -> int:
    return budget.count(question.write(items))


lengths = st.one_of(st.integers(0, 12), st.integers(0, 300))
texts = lengths.map(lambda n: " ".join(f"w{i}" for i in range(n)))
profiles = st.lists(
    st.fixed_dictionaries(
        {"title": texts, "abstract": texts, "text": texts, "description": texts}
        | {"tag": st.just("dark comedy"), "score": st.just("4")}
    ),
    max_size=8,
).map(lambda fields: [{"id": str(i), **item} for i, item in enumerate(fields)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Question, list[Item], TokenBudget]:
    question = question_of(draw(st.sampled_from(TASKS)), draw(st.integers(0, 30)))
    answer = draw(st.integers(0, 20))
    alone = tokens([], question, word_budget(0))
    room = draw(st.one_of(st.integers(0, 60), st.integers(0, 900)))
    return question, draw(profiles), word_budget(alone + room + answer, answer)


def whole_documents(
    question: Question, ranked: Sequence[Item], budget: TokenBudget, trim: bool
) -> Filling:
    """One document after the other, as a person would."""
    field, kept, too_long = question.official.long_field, [], []
    for item in ranked:
        if tokens([*kept, item], question, budget) <= budget.prompt_tokens:
            kept.append(item)
        elif tokens([item], question, budget) <= budget.prompt_tokens:
            break
        else:
            words = item[field].split()
            for length in range(len(words), 0, -1) if trim else ():
                cut = {**item, field: " ".join(words[:length])}
                if tokens([*kept, cut], question, budget) <= budget.prompt_tokens:
                    return Filling((*kept, cut), tuple(too_long), (item["id"],))
            too_long.append(item["id"])
    return Filling(tuple(kept), tuple(too_long))


@given(cases())
def test_exact_keeps_the_best_whole_documents_that_fit(
    case: tuple[Question, list[Item], TokenBudget],
) -> None:
    question, ranked, budget = case
    filling = exact()(ranked, question, budget)
    assert filling == whole_documents(question, ranked, budget, trim=False)
    # Said otherwise: of the documents that fit alone, as many as fit together, from the best on.
    fit_alone = [i for i in ranked if tokens([i], question, budget) <= budget.prompt_tokens]
    n = len(filling.items)
    assert list(filling.items) == fit_alone[:n]
    assert tokens(filling.items, question, budget) <= budget.prompt_tokens
    if n < len(fit_alone):
        assert tokens(fit_alone[: n + 1], question, budget) > budget.prompt_tokens
    assert not set(filling.oversized) & {item["id"] for item in fit_alone}


@given(cases())
def test_exact_may_cut_a_document_that_is_longer_than_the_budget_alone(
    case: tuple[Question, list[Item], TokenBudget],
) -> None:
    question, ranked, budget = case
    filling = exact("trim")(ranked, question, budget)
    assert filling == whole_documents(question, ranked, budget, trim=True)
    assert tokens(filling.items, question, budget) <= budget.prompt_tokens


def review(name: str, words: int) -> Item:
    return {"id": name, "text": " ".join(f"{name}{i}" for i in range(words)), "score": "4"}


def test_a_document_longer_than_the_budget_is_passed_over_or_cut() -> None:
    # Room for reviews of 2 and 4 words; "e" would fit alone, and "d" would not.
    question = question_of("lamp3u", 10)
    ranked = [review("a", 2), review("b", 90), review("c", 4), review("d", 80), review("e", 1)]
    room = tokens([ranked[0], ranked[2]], question, word_budget(0))

    kept = exact()(ranked, question, word_budget(room))
    assert [item["id"] for item in kept.items] == ["a", "c"]
    assert (kept.oversized, kept.trimmed) == (("b", "d"), ())

    kept = exact("trim")(ranked, question, word_budget(room))
    assert [item["id"] for item in kept.items] == ["a", "b"]
    assert kept.items[1]["text"] == "b0 b1 b2 b3"
    assert (kept.oversized, kept.trimmed) == ((), ("b",))
    assert ranked[1]["text"].endswith(" b89")


def test_a_document_that_fits_alone_is_never_cut() -> None:
    question = question_of("lamp3u", 10)
    ranked = [review("a", 20), review("b", 20)]
    budget = word_budget(tokens(ranked[:1], question, word_budget(0)) + 10)
    for fill in (exact(), exact("trim")):
        assert fill(ranked, question, budget) == Filling((ranked[0],))


# The paper's way of filling, on prompts that are documents of 10 words and a query of 16: with the
# mark and what is around, 20 tokens.


def ten_words_each(items: Sequence[Item]) -> str:
    return "".join(f"{item['text']} " for item in items)


@pytest.mark.parametrize(
    ("window", "answer", "kept"),
    [
        # Document n + 1 goes in while 10 (n + 1) + 16 + 1, the examples with it, the query and the
        # mark, are less than the window less 10 n + 20, the prompt so far: for n = 3 while
        # the window is more than 57 + 50, for n = 4 more than 67 + 60.
        (107, 0, 3),
        (108, 0, 4),
        (127, 0, 4),
        (128, 0, 5),
        # 27 is not less than 47 - 20.
        (47, 0, 0),
        (48, 0, 1),
        # 37 < 68 - 30, but a prompt of 40 leaves no room for an answer of 30.
        (68, 30, 1),
        (68, 28, 2),
    ],
)
def test_the_papers_filling_counts_examples_and_query_twice(
    window: int, answer: int, kept: int
) -> None:
    ranked = [review("a", 10) | {"id": str(i)} for i in range(9)]
    query = "q " * 16
    question = Question(
        f"Rate this: {query}",
        lambda items: ten_words_each(items) + query,
        LAMP_TASKS["lamp3u"].prompt,
        query,
        ten_words_each,
    )
    filling = yazan2024(ranked, question, word_budget(window, answer))
    assert filling == Filling(tuple(ranked[:kept]))


@given(cases())
def test_the_papers_filling_uses_less_than_half_of_the_window(
    case: tuple[Question, list[Item], TokenBudget],
) -> None:
    question, ranked, budget = case
    sizes = [tokens(ranked[:n], question, budget) for n in range(len(ranked) + 1)]
    filling = yazan2024(ranked, question, budget)
    n = len(filling.items)
    assert filling == Filling(tuple(ranked[:n]))
    assert sizes[n] <= budget.prompt_tokens

    def goes_in(n: int) -> bool:
        examples = question.official.examples(ranked[: n + 1])
        again = WORDS.count(examples + question.query)
        return again < budget.context_tokens - sizes[n] and sizes[n + 1] <= budget.prompt_tokens

    assert all(goes_in(m) for m in range(n))
    assert n == len(ranked) or not goes_in(n)


@given(cases())
def test_trimming_keeps_all_documents_or_none(
    case: tuple[Question, list[Item], TokenBudget],
) -> None:
    question, ranked, budget = case
    field = question.official.long_field
    filling = trimmed(ranked, question, budget)
    assert filling.oversized == ()
    assert tokens(filling.items, question, budget) <= budget.prompt_tokens
    if not filling.items:
        assert filling.trimmed == ()
        return
    assert [item | {field: ""} for item in filling.items] == [i | {field: ""} for i in ranked]
    for whole, cut in zip(ranked, filling.items, strict=True):
        assert whole[field].startswith(cut[field])
        assert (whole["id"] in filling.trimmed) == (whole[field] != cut[field])


@given(cases())
def test_trimming_is_the_official_one_where_that_fits(
    case: tuple[Question, list[Item], TokenBudget],
) -> None:
    question, ranked, budget = case
    # 3 tokens around the prompt are not the question's.
    length = budget.prompt_tokens - 3
    official = question.official.trimmed(question.text, ranked, length, WORDS)
    filling = trimmed(ranked, question, budget)
    if official is None:
        assert filling == Filling(())
    elif tokens(official, question, budget) <= budget.prompt_tokens:
        assert list(filling.items) == official
    else:
        # There the tokenizer would cut the end of the prompt, which is the question.
        assert list(filling.items) != official


def test_every_fill_has_a_name_and_a_plain_call() -> None:
    assert tuple(FILLS) == CHOICES["fill"]
    question, ranked = question_of("lamp3u", 10), [review("a", 90)]
    budget = word_budget(40)
    for oversized in ("skip", "trim"):
        for name, plain in (
            ("exact", exact(oversized)),
            ("yazan2024", yazan2024),
            ("trimmed", trimmed),
        ):
            filling = FILLS[name](oversized)(ranked, question, budget)
            assert filling == plain(ranked, question, budget)


@pytest.mark.parametrize("fill", ["exact", "yazan2024", "trimmed"])
def test_prompts_of_a_real_tokenizer_fit(tiny_model: Path, fill: str) -> None:
    from transformers import AutoTokenizer

    from qrag_tasks.prompting.model_text import PlainTokens

    plain = PlainTokens(AutoTokenizer.from_pretrained(tiny_model))
    question = question_of("lamp5u", 20)
    ranked = [
        {"id": str(n), "title": "On Owls", "abstract": "Owls  hoot – über 茶 😀\n" * n}
        for n in (3, 40, 1, 5)
    ]
    alone = plain.count(question.text)
    for room in range(0, 600, 13):
        budget = TokenBudget(plain.count, alone + room, 0, plain)
        filling = FILLS[fill]("trim")(ranked, question, budget)
        assert tokens(filling.items, question, budget) <= budget.prompt_tokens
        whole = {item["id"]: item for item in ranked}
        for item in filling.items:
            assert (item == whole[item["id"]]) == (item["id"] not in filling.trimmed)
