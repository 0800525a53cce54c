"""The LaMP tasks as data: one row says all that tells one task from another.

Formats, queries and indexed texts are those of LaMP's public code (arXiv 2304.11406).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qrag_tasks.benchmark import metrics, prompts
from qrag_tasks.errors import SettingsError, did_you_mean

Item = Mapping[str, str]
"""One profile item: field name -> text; ``id``, the task's ``item_fields``, ``date`` where the data
give one."""


@dataclass(frozen=True)
class Metric:
    """One score of a task.

    ``aggregation`` is ``"mean"``, or ``"root_mean"`` for per-sample values that are squares.
    """

    name: str
    higher_is_better: bool
    summary: str
    aggregation: Literal["mean", "root_mean"] = "mean"


@dataclass(frozen=True)
class LampTask:
    """One row of the task table.

    :ivar name: ours, and the name of its folder in the flat layout: ``lamp3u``
        (``u`` user-based split, ``t`` time-based split).
    :ivar folder: LaMP's name for it, also the value of ``task`` in its outputs file.
    :ivar item_fields: the fields every profile item must have, beside ``id``.
    :ivar item_target: the one of them that is the user's own answer to the item, or ``None``
        where none is.
    :ivar query: input -> text to search the profile with; raises ``ValueError`` where the input
        is not in the task's format.
    :ivar document_text: profile item -> text that a retriever indexes.
    :ivar prompt: (input, kept items, best first) -> the prompt.
    :ivar targets: the closed set of golds, or ``None`` where any text is one.
    :ivar answer_tokens: the longest answer, in tokens, that the model may generate.
    :ivar score: (answer, target) -> {metric: value for this sample}.
    """

    name: str
    folder: str
    summary: str
    item_fields: tuple[str, ...]
    item_target: str | None
    query: Callable[[str], str]
    document_text: Callable[[Item], str]
    prompt: Callable[[str, Sequence[Item]], str]
    targets: tuple[str, ...] | None
    answer_tokens: int
    score: Callable[[str, str], dict[str, float]]
    metrics: tuple[Metric, ...]


def _text_after(marker: str) -> Callable[[str], str]:
    def query(text: str) -> str:
        _, found, rest = text.partition(marker)
        if not found:
            raise ValueError(f"the input holds no {marker!r}")
        return rest.strip()

    return query


RUNAWAY_RATE = Metric("runaway_rate", False, "share of answers that hit their length limit")

LAMP_TASKS: Mapping[str, LampTask] = {
    task.name: task
    for task in (
        LampTask(
            name="lamp3u",
            folder="LaMP_3",
            summary="rate a review as its user would, 1 to 5",
            item_fields=("text", "score"),
            item_target="score",
            query=_text_after("review:"),
            document_text=lambda item: item["text"],
            prompt=prompts.rating_prompt,
            targets=("1", "2", "3", "4", "5"),
            answer_tokens=16,
            score=metrics.rating_scores,
            metrics=(
                Metric("mae", False, "mean absolute error of the first standalone rating"),
                Metric("rmse", False, "root mean squared error of the same", "root_mean"),
                Metric("accuracy", True, "share of ratings that equal the gold"),
                Metric("mae_lamp", False, "the official evaluator's MAE, on the raw answer"),
                Metric(
                    "rmse_lamp",
                    False,
                    "the official evaluator's RMSE, on the raw answer",
                    "root_mean",
                ),
                Metric("valid_rate", True, "share of answers that hold a rating"),
                RUNAWAY_RATE,
            ),
        ),
        LampTask(
            name="lamp5u",
            folder="LaMP_5",
            summary="write a paper's title as its author would",
            item_fields=("title", "abstract"),
            item_target="title",
            query=_text_after(":"),
            document_text=lambda item: f"{item['title']} {item['abstract']}",
            prompt=prompts.paper_title_prompt,
            targets=None,
            answer_tokens=32,
            score=metrics.title_scores,
            metrics=(
                Metric("rouge1", True, "ROUGE-1 F1 of the cleaned first line"),
                Metric("rougeL", True, "ROUGE-L F1 of the cleaned first line"),
                Metric("rouge1_lamp", True, "the official evaluator's ROUGE-1, on the raw answer"),
                Metric("rougeL_lamp", True, "the official evaluator's ROUGE-L, on the raw answer"),
                Metric("valid_rate", True, "share of answers that hold a title"),
                RUNAWAY_RATE,
            ),
        ),
    )
}


def lamp_task(name: str) -> LampTask:
    """Return the row called ``name``.

    :raises SettingsError: when there is none.
    """
    try:
        return LAMP_TASKS[name]
    except KeyError:
        raise SettingsError(
            f"unknown LaMP task {name!r} (known: {', '.join(LAMP_TASKS)})."
            + did_you_mean(name, LAMP_TASKS)
        ) from None
