"""Prompts, queries and indexed texts, to the letter of LongLaMP's public training code."""

from __future__ import annotations

import pytest
from qrag_tasks.tasks.base import Task

from qrag_longlamp.table import LONGLAMP_TASKS

ABSTRACT = LONGLAMP_TASKS["longlamp-abstract-user"]
REVIEW = LONGLAMP_TASKS["longlamp-review-user"]
TOPIC = LONGLAMP_TASKS["longlamp-topic-user"]
EMAIL = LONGLAMP_TASKS["longlamp-email-user"]

PAPERS = (
    {"id": "1", "title": "On A", "abstract": "We  study\nA."},
    {"id": "2", "title": "On B", "abstract": "We study B."},
)
REVIEWS = (
    {"id": "0", "overall": "5.0", "summary": "Good", "description": "A pan", "reviewText": "Hot."},
    {"id": "1", "overall": "1.0", "summary": "", "description": "A pot", "reviewText": "Cold."},
)
POSTS = (
    {"id": "7", "summary": "my cat", "content": "He sleeps."},
    {"id": "8", "summary": "my dog", "content": "He runs."},
)
MAILS = ({"id": "x", "title": "Lunch", "text": "At noon?"},)


@pytest.mark.parametrize(
    ("task", "items", "prompt"),
    [
        (
            ABSTRACT,
            PAPERS,
            '"We study A." is the abstract for the title "On A", and "We study B." is the abstract '
            'for the title "On B". Use the above abstracts as context to understand the style and '
            "language of the user and, INPUT",
        ),
        (
            REVIEW,
            REVIEWS,
            '"5.0" is a rating for the product with description "A pan". "Good" is summary for '
            '"Hot." , and "1.0" is a rating for the product with description "A pot". "" is '
            'summary for "Cold." . Following the given patterns INPUT',
        ),
        (
            TOPIC,
            POSTS,
            '"my cat" is a summary for "He sleeps." , and "my dog" is a summary for "He runs." . '
            "Following the given patterns, INPUT",
        ),
        (EMAIL, MAILS, '"Lunch" is the title for "At noon?" . INPUT'),
    ],
)
def test_prompt(task: Task, items: tuple[dict[str, str], ...], prompt: str) -> None:
    assert task.prompt("INPUT", items) == prompt
    assert task.prompt("INPUT", ()) == "INPUT"


def test_an_abstract_is_cut_after_750_words_in_the_prompt_and_not_in_the_index() -> None:
    item = {"id": "1", "title": "T", "abstract": " ".join(f"w{n}" for n in range(800))}
    assert "w749" in ABSTRACT.prompt("INPUT", (item,))
    assert "w750" not in ABSTRACT.prompt("INPUT", (item,))
    assert ABSTRACT.document_text(item).endswith("w799")


@pytest.mark.parametrize(
    ("task", "text", "query"),
    [
        (ABSTRACT, 'For the title "T" use the following items: \n1. a\n2. b', "1. a\n2. b"),
        (REVIEW, " Write a review. ", "Write a review."),
        (TOPIC, "Write a post: on cats", "Write a post: on cats"),
        (EMAIL, "Go on with this: dear all: hello", "dear all: hello"),
    ],
)
def test_query(task: Task, text: str, query: str) -> None:
    assert task.query(text) == query


@pytest.mark.parametrize(
    ("task", "item", "text"),
    [
        (ABSTRACT, PAPERS[1], "On B We study B."),
        (REVIEW, REVIEWS[0], "5.0 Good A pan Hot."),
        (TOPIC, POSTS[0], "my cat He sleeps."),
        (EMAIL, MAILS[0], "At noon?"),
    ],
)
def test_indexed_text(task: Task, item: dict[str, str], text: str) -> None:
    assert task.document_text(item) == text


def test_both_settings_ask_alike() -> None:
    for name, row in LONGLAMP_TASKS.items():
        other = LONGLAMP_TASKS[name.replace("-user", "-temporal")]
        for field in ("prompt", "query", "document_text", "answer", "answer_tokens", "license"):
            assert getattr(row, field) == getattr(other, field), name


def test_only_tasks_whose_data_anyone_may_have_are_in_groups_and_tag() -> None:
    private = {name for name, row in LONGLAMP_TASKS.items() if row.tag is None}
    assert private == {"longlamp-email-user", "longlamp-email-temporal"}
    assert private == {name for name, row in LONGLAMP_TASKS.items() if not row.groups}
