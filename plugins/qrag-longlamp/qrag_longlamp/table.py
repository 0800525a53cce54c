"""LongLaMP's tasks as data, and the hook that registers them.

Formats, queries and indexed texts are those of LongLaMP's public training code (arXiv 2407.11016).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from qrag_tasks.hookspecs import RegisterTask, hookimpl
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.lamp.queries import text_after

from qrag_longlamp import prompts
from qrag_longlamp.answers import LongText, LongTextWithoutMeteor
from qrag_longlamp.source import LongLampSource

METEOR = "QRAG_LONGLAMP_METEOR"
"""The environment variable that leaves METEOR out of all scores where it is ``0``."""


def whole_input(text: str) -> str:
    """Return an input as the query that it is, without the white space around it."""
    return text.strip()


_row = partial(
    Task,
    family="LongLaMP",
    version="1.0",
    license="not stated with the data",
    reference="2407.11016",
    setting="user setting: users that no other split has",
    groups=("longlamp_rag_user",),
    answer_tokens=1024,
)

_USER_SETTING = (
    _row(
        name="longlamp-abstract-user",
        official_name="abstract_generation_user",
        summary="write a paper's abstract as its author would",
        item_fields=("title", "abstract"),
        item_target="abstract",
        query=text_after("items:"),
        document_text=lambda item: f"{item['title']} {item['abstract']}",
        prompt=prompts.ABSTRACT,
        answer=LongText("abstract"),
        source=LongLampSource("abstract_generation_user", user="name", date="year"),
    ),
    _row(
        name="longlamp-review-user",
        official_name="product_review_user",
        summary="write a review as its reviewer would",
        item_fields=("overall", "summary", "description", "reviewText"),
        item_target="reviewText",
        query=whole_input,
        document_text=lambda item: (
            f"{item['overall']} {item['summary']} {item['description']} {item['reviewText']}"
        ),
        prompt=prompts.REVIEW,
        answer=LongText("review"),
        source=LongLampSource("product_review_user", user="reviewerId"),
    ),
    _row(
        name="longlamp-topic-user",
        official_name="topic_writing_user",
        summary="write a post on a topic as its author would",
        item_fields=("summary", "content"),
        item_target="content",
        query=whole_input,
        document_text=lambda item: f"{item['summary']} {item['content']}",
        prompt=prompts.TOPIC,
        answer=LongText("post"),
        source=LongLampSource("topic_writing_user", user="author"),
    ),
    _row(
        name="longlamp-email-user",
        official_name="email_generation_user",
        license="the LDC's, for Avocado (LDC2015T03)",
        groups=(),
        summary="go on with an e-mail as its author would",
        item_fields=("title", "text"),
        item_target="text",
        query=text_after(":"),
        document_text=lambda item: item["text"],
        prompt=prompts.EMAIL,
        answer=LongText("e-mail"),
        source=LongLampSource("email_generation_user", user="user_id", public=False),
    ),
)


def _temporal(row: Task) -> Task:
    source = row.source
    if not isinstance(source, LongLampSource):
        raise TypeError(f"{row.name} is not of LongLaMP")
    official_name = row.official_name.replace("_user", "_temporal")
    return replace(
        row,
        name=row.name.replace("-user", "-temporal"),
        official_name=official_name,
        setting="temporal setting: later texts of users whose earlier ones are the profile",
        groups=("longlamp_rag_temporal",) if row.groups else (),
        source=replace(source, config=official_name),
    )


LONGLAMP_TASKS: Mapping[str, Task] = {
    row.name: row for row in (*_USER_SETTING, *map(_temporal, _USER_SETTING))
}


@hookimpl
def qrag_register_tasks(register: RegisterTask) -> None:
    """Register LongLaMP's tasks, with METEOR among their scores or without."""
    without = os.environ.get(METEOR) == "0"
    for name, row in LONGLAMP_TASKS.items():
        kind = LongTextWithoutMeteor(row.answer.asks_for) if without else row.answer
        register(name, replace(row, answer=kind))
