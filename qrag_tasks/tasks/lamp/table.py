"""The LaMP tasks as data: one row says all that tells one task from another.

Formats, queries and indexed texts are those of LaMP's public code (arXiv 2304.11406).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.tasks.lamp import prompts, queries
from qrag_tasks.tasks.lamp.prompts import Item as Item
from qrag_tasks.tasks.lamp.prompts import OfficialPrompt
from qrag_tasks.tasks.scoring import answers, metrics, ratings
from qrag_tasks.tasks.scoring.metrics import Metric

Index = Literal["lamp", "yazan2024"]
"""Which text of a profile item a retriever reads: LaMP's, or that of arXiv 2406.10251, which took
the long field alone."""


@dataclass(frozen=True)
class LampTask:
    """One row of the task table.

    :ivar name: ours, and the name of its folder in the flat layout: ``lamp3u``
        (``u`` user-based split, ``t`` time-based split).
    :ivar folder: LaMP's name for it, also the value of ``task`` in its outputs file.
    :ivar path: its folder below a data root, and below LaMP's URL.
    :ivar time: whether it is of the time-based split: profile items have dates.
    :ivar public: whether LaMP gives the texts away; those of LaMP-6 belong to the LDC.
    :ivar item_fields: the fields every profile item must have, beside ``id``.
    :ivar item_target: the one of them that is the user's own answer to the item, or ``None``
        where none is.
    :ivar query: input -> text to search the profile with; raises ``ValueError`` where the input
        is not in the task's format.
    :ivar document_text: profile item -> text that a retriever indexes.
    :ivar index: which text that is.
    :ivar prompt: LaMP's own: (input, kept items, best first) -> the prompt.
    :ivar answer: what the model is asked for, in one word.
    :ivar targets: the closed set of golds, or ``None`` where any text is one.
    :ivar read_gold: a gold as the outputs file has it -> one of ``targets``, as the official
        evaluator takes it; any other text where it is none of them.
    :ivar answer_tokens: the longest answer, in tokens, that the model may generate.
    :ivar read_answer: the model's text -> the answer in it, empty where there is none.
    :ivar score: (the model's text, target, whether it is a thought without an end) -> {metric:
        value for this sample}.
    :ivar repair: (question id, input) -> the input without a known flaw of the data, or ``None``.
    """

    name: str
    folder: str
    path: str
    summary: str
    item_fields: tuple[str, ...]
    item_target: str | None
    query: Callable[[str], str]
    document_text: Callable[[Item], str]
    prompt: OfficialPrompt
    answer: str
    targets: tuple[str, ...] | None
    answer_tokens: int
    read_answer: Callable[[str], str]
    score: Callable[[str, str, bool], dict[str, metrics.Value]]
    metrics: tuple[Metric, ...]
    time: bool = False
    public: bool = True
    repair: Callable[[str, str], str | None] | None = None
    read_gold: Callable[[str], str] = str.strip
    index: Index = "lamp"


CITATIONS = ("[1]", "[2]")
RATINGS = ("1", "2", "3", "4", "5")

_text_task = partial(
    LampTask,
    targets=None,
    read_answer=answers.title,
    read_gold=str,
    score=metrics.text_scores,
    metrics=metrics.TEXT_METRICS,
)

_USER_SPLIT = (
    LampTask(
        name="lamp1u",
        folder="LaMP_1",
        path="LaMP_1",
        summary="tell which of two papers an author would cite",
        item_fields=("title", "abstract"),
        item_target=None,
        query=queries.candidate_titles,
        document_text=lambda item: f"{item['title']} {item['abstract']}",
        prompt=prompts.CITATION,
        answer="reference",
        targets=CITATIONS,
        answer_tokens=16,
        read_answer=answers.citation,
        score=partial(metrics.label_scores, answers.citation, CITATIONS),
        metrics=metrics.LABEL_METRICS,
    ),
    LampTask(
        name="lamp2u",
        folder="LaMP_2",
        # Plain LaMP_2 is a retired task on news.
        path="LaMP_2/new",
        summary="tag a movie as its user would, one of 15 tags",
        item_fields=("tag", "description"),
        item_target="tag",
        query=queries.text_after("description:"),
        document_text=lambda item: item["description"],
        prompt=prompts.MOVIE_TAG,
        answer="tag",
        targets=queries.MOVIE_TAGS,
        answer_tokens=16,
        read_answer=answers.movie_tag,
        score=partial(metrics.label_scores, answers.movie_tag, queries.MOVIE_TAGS),
        metrics=metrics.LABEL_METRICS,
        repair=queries.repair_movie_input,
    ),
    LampTask(
        name="lamp3u",
        folder="LaMP_3",
        path="LaMP_3",
        summary="rate a review as its user would, 1 to 5",
        item_fields=("text", "score"),
        item_target="score",
        query=queries.text_after("review:"),
        document_text=lambda item: item["text"],
        prompt=prompts.RATING,
        answer="rating",
        targets=RATINGS,
        answer_tokens=16,
        read_answer=ratings.rating,
        read_gold=ratings.gold_rating,
        score=metrics.rating_scores,
        metrics=metrics.RATING_METRICS,
    ),
    _text_task(
        name="lamp4u",
        folder="LaMP_4",
        path="LaMP_4",
        summary="write an article's headline as its author would",
        item_fields=("title", "text"),
        item_target="title",
        query=queries.text_after("article:"),
        document_text=lambda item: f"{item['title']} {item['text']}",
        prompt=prompts.HEADLINE,
        answer="headline",
        answer_tokens=32,
    ),
    _text_task(
        name="lamp5u",
        folder="LaMP_5",
        path="LaMP_5",
        summary="write a paper's title as its author would",
        item_fields=("title", "abstract"),
        item_target="title",
        query=queries.text_after(":"),
        document_text=lambda item: f"{item['title']} {item['abstract']}",
        prompt=prompts.PAPER_TITLE,
        answer="title",
        answer_tokens=32,
    ),
    _text_task(
        name="lamp6u",
        folder="LaMP_6",
        path="LaMP_6",
        summary="write an e-mail's subject as its author would",
        item_fields=("title", "text"),
        item_target="title",
        query=queries.text_after(":"),
        document_text=lambda item: item["text"],
        prompt=prompts.HEADLINE,
        answer="subject",
        answer_tokens=32,
        public=False,
    ),
    _text_task(
        name="lamp7u",
        folder="LaMP_7",
        path="LaMP_7",
        summary="word a tweet as its user would",
        item_fields=("text",),
        item_target="text",
        query=queries.text_after(":"),
        document_text=lambda item: item["text"],
        prompt=prompts.TWEET,
        answer="tweet",
        answer_tokens=64,
    ),
)


def _of_time_split(task: LampTask) -> LampTask:
    return replace(task, name=f"{task.name[:-1]}t", path=f"time/{task.path}", time=True)


LAMP_TASKS: Mapping[str, LampTask] = {
    task.name: task for task in (*_USER_SPLIT, *map(_of_time_split, _USER_SPLIT))
}


@cache
def lamp_task(name: str, index: Index = "lamp") -> LampTask:
    """Return the row called ``name``, with the texts to be indexed that ``index`` names.

    :raises SettingsError: when there is none.
    """
    try:
        task = LAMP_TASKS[name]
    except KeyError:
        raise SettingsError(
            f"unknown LaMP task {name!r} (known: {', '.join(LAMP_TASKS)})."
            + did_you_mean(name, LAMP_TASKS)
        ) from None
    if index == task.index:
        return task
    long_field = task.prompt.long_field
    return replace(task, index=index, document_text=lambda item: item[long_field])
