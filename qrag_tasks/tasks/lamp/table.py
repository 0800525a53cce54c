"""The LaMP tasks as data: one row says all that tells one task from another.

Formats, queries and indexed texts are those of LaMP's public code (arXiv 2304.11406).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from qrag_tasks.hookspecs import RegisterTask, hookimpl
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.lamp import labels, prompts, queries, yazan2024
from qrag_tasks.tasks.lamp.layout import LICENSE, files_of
from qrag_tasks.tasks.lamp.source import LampSource
from qrag_tasks.tasks.scoring.kinds import Labels, Ratings, Text

RATING = Ratings("rating", ("1", "2", "3", "4", "5"))
REFERENCE = Labels("reference", labels.CITATIONS, labels.citation)
MOVIE_TAG = Labels("tag", queries.MOVIE_TAGS, labels.movie_tag)

_row = partial(
    Task,
    family="LaMP",
    version="1.0",
    license=LICENSE,
    reference="2304.11406",
    setting="user-based split",
    groups=("lamp_rag_all",),
)

_USER_SPLIT = (
    _row(
        name="lamp1u",
        official_name="LaMP_1",
        summary="tell which of two papers an author would cite",
        item_fields=("title", "abstract"),
        item_target=None,
        query=queries.candidate_titles,
        document_text=lambda item: f"{item['title']} {item['abstract']}",
        prompt=prompts.CITATION,
        answer=REFERENCE,
        answer_tokens=16,
        source=LampSource("lamp1u", "LaMP_1"),
    ),
    _row(
        name="lamp2u",
        official_name="LaMP_2",
        summary="tag a movie as its user would, one of 15 tags",
        item_fields=("tag", "description"),
        item_target="tag",
        query=queries.text_after("description:"),
        document_text=lambda item: item["description"],
        prompt=prompts.MOVIE_TAG,
        answer=MOVIE_TAG,
        answer_tokens=16,
        # Plain LaMP_2 is a retired task on news.
        source=LampSource("lamp2u", "LaMP_2/new", repair=queries.repair_movie_input),
    ),
    _row(
        name="lamp3u",
        official_name="LaMP_3",
        groups=("lamp_rag", "lamp_rag_all"),
        summary="rate a review as its user would, 1 to 5",
        item_fields=("text", "score"),
        item_target="score",
        query=queries.text_after("review:"),
        document_text=lambda item: item["text"],
        prompt=prompts.RATING,
        answer=RATING,
        answer_tokens=16,
        source=LampSource("lamp3u", "LaMP_3"),
        evaluations=(yazan2024.REVIEWS,),
    ),
    _row(
        name="lamp4u",
        official_name="LaMP_4",
        summary="write an article's headline as its author would",
        item_fields=("title", "text"),
        item_target="title",
        query=queries.text_after("article:"),
        document_text=lambda item: f"{item['title']} {item['text']}",
        prompt=prompts.HEADLINE,
        answer=Text("headline"),
        answer_tokens=32,
        source=LampSource("lamp4u", "LaMP_4"),
    ),
    _row(
        name="lamp5u",
        official_name="LaMP_5",
        groups=("lamp_rag", "lamp_rag_all"),
        summary="write a paper's title as its author would",
        item_fields=("title", "abstract"),
        item_target="title",
        query=queries.text_after(":"),
        document_text=lambda item: f"{item['title']} {item['abstract']}",
        prompt=prompts.PAPER_TITLE,
        answer=Text("title"),
        answer_tokens=32,
        source=LampSource("lamp5u", "LaMP_5"),
        evaluations=(yazan2024.PAPERS,),
    ),
    _row(
        name="lamp6u",
        official_name="LaMP_6",
        license="the LDC's, for Avocado (LDC2015T03)",
        groups=(),
        summary="write an e-mail's subject as its author would",
        item_fields=("title", "text"),
        item_target="title",
        query=queries.text_after(":"),
        document_text=lambda item: item["text"],
        prompt=prompts.HEADLINE,
        answer=Text("subject"),
        answer_tokens=32,
        source=LampSource("lamp6u", "LaMP_6", public=False),
    ),
    _row(
        name="lamp7u",
        official_name="LaMP_7",
        summary="word a tweet as its user would",
        item_fields=("text",),
        item_target="text",
        query=queries.text_after(":"),
        document_text=lambda item: item["text"],
        prompt=prompts.TWEET,
        answer=Text("tweet"),
        answer_tokens=64,
        source=LampSource("lamp7u", "LaMP_7"),
    ),
)


def _of_time_split(task: Task) -> Task:
    name, files = f"{task.name[:-1]}t", files_of(task)
    return replace(
        task,
        name=name,
        setting="time-based split",
        groups=("lamp_rag_time",) if task.groups else (),
        source=LampSource(name, f"time/{files.path}", True, files.public, files.repair),
    )


LAMP_TASKS: Mapping[str, Task] = {
    task.name: task for task in (*_USER_SPLIT, *map(_of_time_split, _USER_SPLIT))
}


@hookimpl
def qrag_register_tasks(register: RegisterTask) -> None:
    """Register LaMP's tasks."""
    for name, row in LAMP_TASKS.items():
        register(name, row)
