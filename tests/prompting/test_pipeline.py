"""Sample in, prompt out: what holds for any profile, k, budget and layout."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT
from word_tokens import WORDS, word_budget

from qrag_tasks.errors import BudgetError, SettingsError
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.filling import FILLS, TokenBudget
from qrag_tasks.prompting.markers import Markers
from qrag_tasks.prompting.pipeline import Layout, PromptRecord, check_questions, make_prompts
from qrag_tasks.prompting.protocols import CHOICES, Order
from qrag_tasks.prompting.queries import make_query
from qrag_tasks.prompting.styles import lamp, yazan2024
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.tasks.base import Item, Task
from qrag_tasks.tasks.lamp.data import Sample
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\"'{}<|>/sé茶"), max_size=60
)
documents = st.one_of(texts, st.builds(lambda text, n: f"{text} " * n, texts, st.integers(0, 20)))
RETRIEVERS = st.sampled_from(["bm25", "first", "random:seed=4", "none"])
layouts = st.builds(
    lambda style, order, fill, oversized, own: Layout(
        style, order, FILLS[fill](oversized), Markers(own)
    ),
    st.sampled_from([lamp, yazan2024]),
    st.sampled_from(CHOICES["order"]),
    st.sampled_from(list(FILLS)),
    st.sampled_from(["skip", "trim"]),
    st.lists(st.sampled_from(["[CLS]", "<sé>"]), max_size=2),
)


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, Sample]:
    name = draw(st.sampled_from(["lamp3u", "lamp5u"]))
    pairs = draw(st.lists(st.tuples(documents, documents), max_size=12))
    if name == "lamp3u":
        profile = [{"id": str(i), "text": a, "score": "4"} for i, (a, _) in enumerate(pairs)]
        question = REVIEW_INPUT
    else:
        profile = [{"id": str(i), "title": a, "abstract": b} for i, (a, b) in enumerate(pairs)]
        question = PAPER_INPUT
    return name, Sample("1", question + draw(texts), tuple(profile), "4")


def prompt_of(
    name: str,
    sample: Sample,
    k: int | None,
    spec: str,
    budget: TokenBudget | None = None,
    layout: Layout | None = None,
) -> PromptRecord:
    task, retriever = LAMP_TASKS[name], build_retriever(spec)
    rankings = retriever.rank([make_query(task, sample, retriever)], k)
    (record,) = make_prompts(task, [sample], k, rankings, budget, layout)
    return record


ks = st.sampled_from([0, 1, 3, 5, 10, None])


@given(samples(), ks, RETRIEVERS, st.integers(0, 300), layouts)
def test_any_profile_k_budget_and_layout(
    drawn: tuple[str, Sample], k: int | None, retriever: str, window: int, layout: Layout
) -> None:
    name, sample = drawn
    task = LAMP_TASKS[name]
    budget = word_budget(window, answer_tokens=7)
    question = layout.markers.broken(sample.input)
    alone = budget.count(layout.style(task, question, []))
    if alone > budget.prompt_tokens:
        with pytest.raises(BudgetError, match=f"{name}, sample 1: .* {alone} tokens"):
            prompt_of(name, sample, k, retriever, budget, layout)
        with pytest.raises(BudgetError):
            check_questions(task, [sample], budget, layout)
        return
    check_questions(task, [sample], budget, layout)
    record = prompt_of(name, sample, k, retriever, budget, layout)
    whole = prompt_of(name, sample, k, retriever, None, layout)

    # It fits, is hashed, and holds no marker; all that was ranked is kept or dropped.
    assert record.prompt_tokens == budget.count(record.prompt) <= budget.prompt_tokens
    assert record.question_tokens == alone
    assert record.prompt_hash == hashlib.sha256(record.prompt.encode()).hexdigest()
    assert layout.markers.found(record.prompt) == []
    assert record.ranking == whole.ranking
    assert sorted(record.kept + record.dropped) == sorted(record.ranking.ids)
    ranks = {i: rank for rank, i in enumerate(record.ranking.ids)}
    for ids in (record.kept, record.dropped, record.oversized, record.trimmed):
        assert list(ids) == sorted(ids, key=ranks.__getitem__)
    assert set(record.oversized) <= set(record.dropped)
    assert set(record.trimmed) <= set(record.kept)
    # Whole documents are in the prompt to the letter, except for their markers.
    by_id = {item["id"]: item for item in sample.profile}
    for i in {*record.kept} - {*record.trimmed}:
        assert layout.markers.broken(by_id[i][task.prompt.long_field]) in record.prompt
    # Fewer than were asked for have a reason.
    assert (record.requested, record.profile_size) == (k, len(sample.profile))
    if k is None:
        assert (record.shortfall is None) == (len(record.ranking.ids) == len(sample.profile))
    else:
        assert (record.shortfall is None) == (len(record.kept) == k)
    # Without a budget all are kept and nothing is counted.
    assert (whole.kept, whole.dropped) == (whole.ranking.ids, ())
    assert (whole.question_tokens, whole.prompt_tokens) == (None, None)


@given(samples(), st.integers(0, 200))
def test_the_prompt_is_the_head_of_the_ranking_then_the_question(
    drawn: tuple[str, Sample], room: int
) -> None:
    name, sample = drawn
    task = LAMP_TASKS[name]
    markers = Markers()
    question = markers.broken(sample.input)
    budget = word_budget(word_budget(0).count(question) + room)
    record = prompt_of(name, sample, None, "first", budget)
    by_id = {item["id"]: markers.broken_in(item) for item in sample.profile}
    assert record.prompt == task.prompt(question, [by_id[i] for i in record.kept])
    assert record.prompt.endswith(question)
    # With one document more, of those that fit alone, it would not fit.
    fit_alone = [i for i in record.ranking.ids if i not in record.oversized]
    if record.dropped != record.oversized:
        more = [by_id[i] for i in fit_alone[: len(record.kept) + 1]]
        assert budget.count(task.prompt(question, more)) > budget.prompt_tokens


@given(samples(), st.integers(0, 200))
def test_order_changes_places_and_nothing_else(drawn: tuple[str, Sample], room: int) -> None:
    name, sample = drawn
    budget = word_budget(word_budget(0).count(Markers().broken(sample.input)) + room)
    shown: dict[str, list[str]] = {}

    def record_of(order: Order) -> PromptRecord:
        def style(task: Task, question: str, items: Sequence[Item]) -> str:
            shown[order] = [item["id"] for item in items]
            return lamp(task, question, items)

        return prompt_of(name, sample, None, "bm25", budget, Layout(style, order))

    records = [record_of(order) for order in ("best-first", "reversed", "shuffled")]
    best_first, *others = records
    assert shown["best-first"] == list(best_first.kept)
    assert shown["reversed"] == list(best_first.kept)[::-1]
    assert sorted(shown["shuffled"]) == sorted(best_first.kept)
    for record in others:
        assert (record.ranking, record.kept, record.dropped, record.oversized) == (
            best_first.ranking,
            best_first.kept,
            best_first.dropped,
            best_first.oversized,
        )
        assert record.question_tokens == best_first.question_tokens
        assert sorted(record.prompt) == sorted(best_first.prompt)


def _sample(size: int, name: str = "1") -> Sample:
    profile = tuple({"id": str(i), "text": f"cup {i}", "score": "4"} for i in range(size))
    return Sample(name, f"{REVIEW_INPUT}nice cup", profile, "4")


def test_the_shuffle_is_of_the_sample_and_the_same_everywhere() -> None:
    def order_of(sample: Sample, order: Order) -> str:
        prompt = prompt_of("lamp3u", sample, 8, "first", layout=Layout(order=order)).prompt
        return "".join(re.findall(r"cup (\d)", prompt))

    assert order_of(_sample(8), "best-first") == "01234567"
    assert order_of(_sample(8), "reversed") == "76543210"
    # To the letter: an arm that ran with another Python must have had the same prompts.
    assert order_of(_sample(8), "shuffled") == "60721354"
    assert order_of(_sample(8, "2"), "shuffled") != "60721354"


def test_an_order_before_filling_keeps_other_documents() -> None:
    # Room for two of nine.
    def shown(order: Order, k: int | None) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        record = prompt_of("lamp3u", _sample(9), k, "first", _room_for_two(), Layout(order=order))
        assert sorted(record.kept + record.dropped) == sorted(record.ranking.ids)
        return "".join(re.findall(r"cup (\d)", record.prompt)), record.kept, record.dropped[:2]

    assert shown("reversed", None) == ("10", ("0", "1"), ("2", "3"))
    # The worst first, and told by rank as always.
    assert shown("reversed-before-filling", None) == ("87", ("7", "8"), ("0", "1"))
    # Of the three that were asked for.
    assert shown("reversed-before-filling", 3) == ("21", ("1", "2"), ("0",))
    # To the letter, as above; here the first two of the whole ranking's shuffle.
    whole = prompt_of("lamp3u", _sample(9), 9, "first", layout=Layout(order="shuffled")).prompt
    assert shown("shuffled-before-filling", None)[0] == "".join(re.findall(r"cup (\d)", whole))[:2]


@pytest.mark.parametrize("turned", ["reversed", "shuffled"])
def test_where_all_fit_both_orders_are_one(turned: str) -> None:
    kept, before = (
        prompt_of("lamp3u", _sample(9), 5, "first", word_budget(900), Layout(order=order))
        for order in CHOICES["order"]
        if order.startswith(turned)
    )
    assert kept == before
    assert kept.prompt != prompt_of("lamp3u", _sample(9), 5, "first").prompt


def test_the_papers_protocol_at_a_full_window_by_hand() -> None:
    # An example is 10 words: "Review:", 7 of its own, "Score:" and "4"; the query is 40, and the
    # mark one. The prompt of n examples is 10 n words and what stands around them.
    texts = " ".join(f"w{i}" for i in range(7))
    profile = tuple({"id": str(i), "text": texts, "score": "4"} for i in range(9))
    sample = Sample("1", REVIEW_INPUT + " ".join(["q"] * 40), profile, "4")
    alone = word_budget(0).count(yazan2024(LAMP_TASKS["lamp3u"], sample.input, ()))
    around = word_budget(0).count(yazan2024(LAMP_TASKS["lamp3u"], sample.input, profile[:1])) - 10
    kept = {}
    # For document n + 1: 10 (n + 1) + 40 + 1 < window - (10 n + around).
    for window in (51 + alone, 52 + alone, 71 + around, 72 + around, 191 + around, 192 + around):
        layout = Layout(yazan2024, fill=FILLS["yazan2024"]("skip"))
        record = prompt_of("lamp3u", sample, None, "first", word_budget(window), layout)
        kept[window] = len(record.kept)
    assert list(kept.values()) == [0, 1, 1, 2, 7, 8]


def _room_for_two() -> TokenBudget:
    sample = _sample(2)
    prompt = lamp(LAMP_TASKS["lamp3u"], sample.input, sample.profile)
    return word_budget(word_budget(0).count(prompt))


def _with_long(sample: Sample, *places: int) -> Sample:
    profile = [
        item | {"text": "cup " * 500} if place in places else item
        for place, item in enumerate(sample.profile)
    ]
    return Sample(sample.id, sample.input, tuple(profile), sample.target)


def test_shortfalls_say_why() -> None:
    tight = _room_for_two()
    cases = {
        "the profile holds 2 of 5": (_sample(2), "first", None),
        "the profile holds 0 of 5": (_sample(0), "first", None),
        "the retriever ranked 0": (_sample(9), "none", None),
        "the profile holds 3 of 5; the retriever ranked 0": (_sample(3), "none", None),
        "3 did not fit the token budget": (_sample(9), "first", tight),
        "the profile holds 3 of 5; 1 did not fit the token budget": (_sample(3), "first", tight),
        "2 longer than the token budget alone; 1 did not fit the token budget": (
            _with_long(_sample(9), 0, 2),
            "first",
            tight,
        ),
    }
    for reason, (sample, retriever, budget) in cases.items():
        record = prompt_of("lamp3u", sample, 5, retriever, budget)
        assert record.shortfall == reason


def test_as_many_as_fit_fall_short_of_nothing_but_what_was_not_ranked() -> None:
    record = prompt_of("lamp3u", _sample(9), None, "first", _room_for_two())
    assert (len(record.kept), record.shortfall, record.requested) == (2, None, None)
    record = prompt_of("lamp3u", _sample(9), None, "none", _room_for_two())
    assert record.shortfall == "the retriever ranked 0 of 9"


def test_documents_longer_than_the_budget_are_passed_over_or_cut() -> None:
    sample, tight = _with_long(_sample(9), 1), _room_for_two()
    skip = prompt_of("lamp3u", sample, 3, "first", tight, Layout(fill=FILLS["exact"]("skip")))
    assert (skip.kept, skip.dropped, skip.oversized) == (("0", "2"), ("1",), ("1",))
    cut = prompt_of("lamp3u", sample, 3, "first", tight, Layout(fill=FILLS["exact"]("trim")))
    assert (cut.kept, cut.dropped, cut.oversized) == (("0", "1"), ("2",), ())
    assert cut.trimmed == ("1",)
    assert ' , and 4 is the score for "cup cup" . ' in cut.prompt
    all_cut = prompt_of(
        "lamp3u", sample, 3, "first", word_budget(100), Layout(fill=FILLS["trimmed"]("skip"))
    )
    assert (all_cut.kept, all_cut.trimmed, all_cut.shortfall) == (("0", "1", "2"), ("1",), None)


def test_markers_are_broken_in_the_prompt_and_counted() -> None:
    profile = (
        {"id": "<s>", "text": "a</s>b<|im_end|>", "score": "4"},
        {"id": "2", "text": "[CLS]", "score": "4"},
    )
    sample = Sample("1", f"{REVIEW_INPUT}[/INST] <br>", profile, "4")
    layout = Layout(markers=Markers(["[CLS]"]))
    record = prompt_of("lamp3u", sample, 2, "first", layout=layout)
    assert record.prompt == (
        '4 is the score for "a< /s>b< |im_end|>" , and 4 is the score for "[ CLS]" . '
        f"{REVIEW_INPUT}[ /INST] <br>"
    )
    assert record.markers_broken == 4
    assert record.kept == ("<s>", "2")
    # Only what is in the prompt counts; the sample stays as it was read.
    assert prompt_of("lamp3u", sample, 0, "first", layout=layout).markers_broken == 1
    assert prompt_of("lamp3u", sample, 2, "first").markers_broken == 3
    assert record.sample == sample
    assert sample.profile[0]["text"] == "a</s>b<|im_end|>"


def test_an_empty_profile_is_asked_without_documents() -> None:
    sample = _sample(0)
    for fill in FILLS:
        layout = Layout(fill=FILLS[fill]("skip"))
        record = prompt_of("lamp3u", sample, 5, "bm25", word_budget(100), layout)
        assert record.prompt == sample.input


def test_the_prompt_of_k_begins_that_of_more() -> None:
    records = [prompt_of("lamp3u", _sample(10), k, "bm25") for k in (1, 3, 5, 10)]
    for fewer, more in pairwise(records):
        documents = fewer.prompt.removesuffix(". " + fewer.sample.input)
        assert more.prompt.startswith(documents)


def test_ten_thousand_documents() -> None:
    record = prompt_of("lamp3u", _sample(10_000), 10, "bm25", word_budget(10_000, 16))
    assert len(record.kept) == 10
    assert record.profile_size == 10_000


def test_little_is_measured_to_fill_a_window_from_ten_thousand_documents() -> None:
    measured: list[int] = []

    def count(prompt: str) -> int:
        measured.append(WORDS.count(prompt))
        return measured[-1]

    budget = TokenBudget(count, 8_000, 0, WORDS)
    record = prompt_of("lamp3u", _sample(10_000), None, "first", budget)
    assert 800 < len(record.kept) < 1_000
    assert len(measured) <= 12
    assert max(measured) <= 4 * 8_000


def test_samples_and_rankings_go_together() -> None:
    task, (a, b) = LAMP_TASKS["lamp3u"], (_sample(3, "a"), _sample(3, "b"))
    rankings = [Ranking(("2",), (1.0,)), Ranking(("0", "1"), (2.0, 1.0))]
    records = make_prompts(task, [a, b], 2, rankings)
    assert [(r.sample.id, r.kept) for r in records] == [("a", ("2",)), ("b", ("0", "1"))]
    with pytest.raises(ValueError, match="shorter"):
        make_prompts(task, [a, b], 2, rankings[:1])


def test_the_error_of_a_long_question_says_what_to_do() -> None:
    with pytest.raises(BudgetError, match=r"context_tokens.* 16 for the answer.*longer context"):
        prompt_of("lamp3u", _sample(1), 1, "first", word_budget(30, 16))


def test_a_style_for_other_tasks_is_an_error() -> None:
    sample = Sample("1", "Paraphrase the following tweet: x", ({"id": "1", "text": "y"},), "z")
    with pytest.raises(SettingsError, match="lamp7u"):
        prompt_of("lamp7u", sample, 1, "first", layout=Layout(yazan2024))


@pytest.mark.parametrize("fill", list(FILLS))
def test_prompts_of_a_real_tokenizer_fit(tiny_model: Path, fill: str) -> None:
    from transformers import AutoTokenizer

    from qrag_tasks.prompting.model_text import PlainTokens

    plain = PlainTokens(AutoTokenizer.from_pretrained(tiny_model))
    sample = _with_long(_sample(9), 3)
    for window in range(200, 700, 25):
        budget = TokenBudget(lambda prompt: plain.count(f"<|user|>{prompt}"), window, 16, plain)
        record = prompt_of(
            "lamp3u", sample, None, "first", budget, Layout(fill=FILLS[fill]("trim"))
        )
        assert record.prompt_tokens == plain.count(f"<|user|>{record.prompt}") <= window - 16
        assert record.prompt.endswith(sample.input)
