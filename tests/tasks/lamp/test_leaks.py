"""What profiles give away: by hand for every task, and against a plain reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT

from qrag_tasks.tasks.base import Item
from qrag_tasks.tasks.lamp.data import DataSet, Sample
from qrag_tasks.tasks.lamp.leaks import Leaks, find_leaks
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

CITATION = (
    'For an author who has written the paper with the title "{}", which reference is related? '
    'Just answer with [1] or [2] without explanation. [1]: "{}" [2]: "{}"'
)
MOVIE = "Which tag does this movie relate to? tags: [comedy, action] description: {}"
LONG = "one two three four five six seven eight nine ten " * 5
"""Longer than what tells most texts apart."""


def leaks_of(name: str, text: str, target: str | None, *profile: Item) -> Leaks:
    """Look into one question, the second one of its data set; the first gives nothing away."""
    quiet = Sample(
        "0", CITATION.format("t", "u", "v") + "\narticle: description: review: x", (), None
    )
    items = tuple({"id": f"i{n}", **item} for n, item in enumerate(profile))
    samples = (quiet, Sample("7", text, items, target))
    return find_leaks(
        DataSet(LAMP_TASKS[name], Path("q"), Path("o"), samples, ("0", "7"), "f" * 64)
    )


def kinds_of(name: str, text: str, target: str | None, *profile: Item) -> list[tuple[str, ...]]:
    """Return for each profile item what it gives away."""
    kinds = {leak.item: leak.kinds for leak in leaks_of(name, text, target, *profile).leaks}
    return [kinds.get(f"i{n}", ()) for n in range(len(profile))]


def paper(title: str = "Other", abstract: str = "Else.") -> Item:
    return {"title": title, "abstract": abstract}


def test_citations() -> None:
    text = CITATION.format('Of "Owls" here', "Songs of small birds", "The right paper")
    profile = (
        paper(title="the  RIGHT paper"),
        paper(abstract="It extends The right paper."),
        paper(title="Songs of small birds"),  # the wrong one
        paper(title='of "owls" HERE'),
        paper(abstract='Of "Owls" here'),
    )
    expected = [("text",), ("text",), (), ("question",), ()]
    assert kinds_of("lamp1u", text, "[2]", *profile) == expected


@pytest.mark.parametrize("name", ["lamp2u", "lamp3t"])
def test_labels_count_beside_the_question_only(name: str) -> None:
    field, own, label = {
        "lamp2u": ("description", "tag", "comedy"),
        "lamp3t": ("text", "score", "2"),
    }[name]
    text = f"{MOVIE[:-2] if name == 'lamp2u' else REVIEW_INPUT}{LONG} A Cup."
    profile = (
        {field: f"{LONG}\n a  cup. ", own: label},
        {field: f"{LONG} A Cup.", own: "action" if name == "lamp2u" else "4"},
        {field: f"{LONG} A mug.", own: label},
        {field: f"{LONG} A Cup. And {label} more", own: label},
        {field: "", own: label},
    )
    expected: list[tuple[str, ...]] = [("question", "answer"), ("question",), (), (), ()]
    assert kinds_of(name, text, label, *profile) == expected
    leaks = leaks_of(name, text, label, *profile)
    assert [(leak.sample, leak.index) for leak in leaks.leaks] == [("7", 1)] * 2
    assert leaks.leaks[0].excerpt.startswith(f"{label}: one two three")
    assert len(leaks.leaks[0].excerpt) == 100
    assert (leaks.count("question"), leaks.count("answer"), leaks.golds) == (1, 1, 0)


def test_titles() -> None:
    profile = (
        paper(title="how\tBIRDS sing"),
        paper(title="Part 2: how birds sing"),
        paper(abstract="See (How birds\nsing), 2020."),
        paper(abstract="Show birds singing. How birds, sing."),
        paper(abstract=LONG),
        paper(title="How birds sing", abstract=LONG),
        paper(abstract="We say: how birds sing; how birds sing"),
        paper(abstract="Show birds sing, how birds singing: how birds sing?"),
    )
    expected: list[tuple[str, ...]] = [
        ("answer",),
        ("text",),
        ("text",),
        (),
        ("question",),
        ("question", "answer"),
        ("text",),
        ("text",),
    ]
    assert kinds_of("lamp5u", PAPER_INPUT + LONG, "How birds sing", *profile) == expected
    leaks = leaks_of("lamp5u", PAPER_INPUT + LONG, "How birds sing", *profile)
    assert (leaks.count("answer"), leaks.count("text"), leaks.count("question")) == (1, 1, 1)
    assert (leaks.count("answer", "text"), leaks.golds, leaks.short) == (1, 1, 0)


@pytest.mark.parametrize(
    ("name", "field"), [("lamp4u", "article"), ("lamp6t", "following email"), ("lamp7u", "tweet")]
)
def test_other_texts(name: str, field: str) -> None:
    rest = {} if name == "lamp7u" else {"title": "Other"}
    text = f"Do something with the {field}: Birds sing, 3 of them."
    profile = (
        {**rest, "text": "birds sing, 3 of THEM."},
        {**rest, "text": "They say the gold text is here"},
        {"title": "The Gold text", "text": "the gold text"},
    )
    expected = [("question",), ("text",), ("answer",)]
    assert kinds_of(name, text, "the gold text", *profile) == expected


def test_excerpts() -> None:
    before, behind = "b" * 30 + " " + "c" * 30, "d" * 60
    (marked,) = leaks_of(
        "lamp5u",
        PAPER_INPUT + "x",
        "a GOLD text",
        paper(abstract=f"{before}  A gold text {behind}"),
    ).leaks
    assert marked.excerpt == f"...{'b' * 8} {'c' * 30} >>A gold text<< {'d' * 39}..."
    # A letter that folds to two moves what is behind it.
    (folded,) = leaks_of(
        "lamp5u", PAPER_INPUT + "x", "a gold text", paper(title="Gro\u00dfe ON A GOLD TEXT")
    ).leaks
    assert folded.excerpt == "grosse on >>a gold text<<"


def test_short_golds_are_looked_for_as_answers_only() -> None:
    profile = (paper(title="Birds"), paper(abstract="On birds and more."))
    assert kinds_of("lamp5u", PAPER_INPUT + "x", "Birds", *profile) == [("answer",), ()]
    leaks = leaks_of("lamp5u", PAPER_INPUT + "x", "Birds", *profile)
    assert (leaks.golds, leaks.short) == (1, 1)


def test_without_golds_questions_are_looked_for() -> None:
    assert kinds_of("lamp5u", PAPER_INPUT + "A bird", None, paper(abstract="a bird")) == [
        ("question",)
    ]
    assert leaks_of("lamp5u", PAPER_INPUT + "A bird", None).golds == 0
    text = CITATION.format("A bird", "B", "C")
    assert kinds_of("lamp1u", text, None, paper(title="a bird")) == [("question",)]


def test_an_input_in_other_words_is_counted() -> None:
    leaks = leaks_of("lamp1u", 'Which? "a" [1]: "b" [2]: "c"', "[1]", paper(title="b"))
    assert (leaks.leaks, leaks.unread, leaks.golds) == ((), 1, 0)


letters = st.text(alphabet="aB\u00df\u0130\u03a3 \t\n\u00a0.-", max_size=12)
texts = st.one_of(letters, st.builds(lambda text: text * 12, letters))


@given(question=texts, gold=texts, title=texts, abstract=texts)
def test_as_a_plain_reference_has_it(question: str, gold: str, title: str, abstract: str) -> None:
    def fold(text: str) -> str:
        return " ".join(text.casefold().split())

    def stands_in(part: str, text: str) -> bool:
        edges = [
            not (text[at - 1 : at].isalnum() and text[at : at + 1].isalnum())
            for at in range(len(text) + 1)
        ]
        return any(
            text[at : at + len(part)] == part and edges[at] and edges[at + len(part)]
            for at in range(len(text) - len(part) + 1)
        )

    expected = []
    if fold(question) and fold(abstract) == fold(question):
        expected.append("question")
    if fold(gold) and fold(title) == fold(gold):
        expected.append("answer")
    elif len(gold.split()) >= 3 and any(
        stands_in(fold(gold), fold(text)) for text in (title, abstract)
    ):
        expected.append("text")
    kinds = kinds_of("lamp5u", f"a paper:{question}", gold, paper(title, abstract))
    assert kinds == [tuple(expected)]
