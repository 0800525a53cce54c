"""Prompt styles: LaMP's own, and the shape of arXiv 2406.10251."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT

from qrag_tasks.errors import SettingsError
from qrag_tasks.plugins import PROMPT_STYLES
from qrag_tasks.prompting.styles import examples, lamp, yazan2024
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

REVIEWS = [
    {"id": "1", "text": "Nice cup.", "score": "4"},
    {"id": "2", "text": "Bad\npot.", "score": "1", "date": "2020-01-01"},
]
PAPERS = [
    {"id": "1", "title": "On Owls", "abstract": "Owls hoot."},
    {"id": "2", "title": "On Larks", "abstract": "Larks sing."},
]


def test_lamp_is_the_official_prompt() -> None:
    question = f"{REVIEW_INPUT}Good tea."
    assert lamp(LAMP_TASKS["lamp3u"], question, REVIEWS[:1]) == (
        f'4 is the score for "Nice cup." . {question}'
    )
    assert lamp(LAMP_TASKS["lamp3u"], question, []) == question


# One sentence that says what the examples are, the examples between tags, one sentence that asks,
# and the query with the name of what is asked for. The sentences are our own.
@pytest.mark.parametrize("name", ["lamp3u", "lamp3t"])
def test_the_papers_prompt_for_reviews(name: str) -> None:
    prompt = yazan2024(task_named(name, "yazan2024"), f"{REVIEW_INPUT} Good: tea. ", REVIEWS)
    match = re.fullmatch(
        r"([^\n]+ user[^\n]+\.)\n"
        r"<EXAMPLES>\n"
        r"Review:\nNice cup\.\nScore:\n4\n"
        r"Review:\nBad\npot\.\nScore:\n1\n"
        r"</EXAMPLES>\n"
        r"([^\n]+ same user [^\n]+ nothing else\.)\n"
        r"Review:\nGood: tea\.\nScore:",
        prompt,
    )
    assert match, prompt


@pytest.mark.parametrize("name", ["lamp5u", "lamp5t"])
def test_the_papers_prompt_for_papers(name: str) -> None:
    prompt = yazan2024(LAMP_TASKS[name], f"{PAPER_INPUT}Wrens: loud.", PAPERS)
    match = re.fullmatch(
        r"([^\n]+ author[^\n]+\.)\n"
        r"<EXAMPLES>\n"
        r"Abstract:\nOwls hoot\.\nTitle:\nOn Owls\n"
        r"Abstract:\nLarks sing\.\nTitle:\nOn Larks\n"
        r"</EXAMPLES>\n"
        r"([^\n]+ same author [^\n]+ nothing else\.)\n"
        r"Abstract:\nWrens: loud\.\nTitle:",
        prompt,
    )
    assert match, prompt


@pytest.mark.parametrize(
    ("name", "question", "items", "end"),
    [
        ("lamp3u", f"{REVIEW_INPUT}Good tea.", REVIEWS, "\nReview:\nGood tea.\nScore:"),
        ("lamp5u", f"{PAPER_INPUT}Wrens.", PAPERS, "\nAbstract:\nWrens.\nTitle:"),
    ],
)
def test_the_papers_prompt_without_documents_is_instruction_and_query(
    name: str, question: str, items: list[dict[str, str]], end: str
) -> None:
    task = LAMP_TASKS[name]
    alone = yazan2024(task, question, [])
    assert alone.endswith(end)
    instruction = alone.removesuffix(end)
    assert "\n" not in instruction
    assert instruction.endswith(" and nothing else.")
    # Nobody was mentioned who could be the same.
    assert "same" not in instruction
    assert yazan2024(task, question, items).endswith(end)


def test_the_examples_of_a_style_alone() -> None:
    paper, reviews = LAMP_TASKS["lamp5u"], LAMP_TASKS["lamp3u"]
    told = "Abstract:\nOwls hoot.\nTitle:\nOn Owls\nAbstract:\nLarks sing.\nTitle:\nOn Larks\n"
    assert examples(yazan2024, paper, PAPERS) == told
    assert f"<EXAMPLES>\n{told}</EXAMPLES>" in yazan2024(paper, f"{PAPER_INPUT}x", PAPERS)
    assert examples(yazan2024, paper, []) == ""
    one = '4 is the score for "Nice cup." '
    assert examples(lamp, reviews, REVIEWS[:1]) == one
    # A style that tells nothing of its examples.
    assert examples(lambda task, question, items: "", reviews, REVIEWS[:1]) == one


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(texts, st.lists(st.tuples(texts, texts), max_size=4))
def test_every_text_goes_in_to_the_letter_and_in_order(
    query: str, pairs: list[tuple[str, str]]
) -> None:
    items = [{"id": str(i), "title": t, "abstract": a} for i, (t, a) in enumerate(pairs)]
    prompt = yazan2024(LAMP_TASKS["lamp5u"], PAPER_INPUT + query, items)
    examples = "".join(f"Abstract:\n{a}\nTitle:\n{t}\n" for t, a in pairs)
    shown = f"<EXAMPLES>\n{examples}</EXAMPLES>\n" if pairs else ""
    assert shown in prompt
    assert prompt.endswith(f"\nAbstract:\n{query.strip()}\nTitle:")
    assert prompt.count("<EXAMPLES>") == (bool(pairs) + (query + examples).count("<EXAMPLES>"))


@pytest.mark.parametrize("name", sorted({*LAMP_TASKS} - {"lamp3u", "lamp3t", "lamp5u", "lamp5t"}))
def test_the_papers_prompt_refuses_other_tasks(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"LaMP-3 and LaMP-5.* {name} is neither"):
        yazan2024(LAMP_TASKS[name], "x", [])


def test_both_can_be_asked_for_by_name() -> None:
    assert PROMPT_STYLES.get("lamp").value is lamp
    assert PROMPT_STYLES.get("yazan2024").value is yazan2024
