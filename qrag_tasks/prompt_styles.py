"""Prompt styles: how kept documents and the question become one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qrag_tasks.benchmark.prompts import Item
from qrag_tasks.benchmark.tasks import LampTask
from qrag_tasks.errors import SettingsError
from qrag_tasks.hookspecs import RegisterPromptStyle, hookimpl

DEFAULT_PROMPT_STYLE = "lamp"


class PromptStyle(Protocol):
    """A function that writes the prompt of one sample.

    The same arguments give the same prompt in every process, and a document more makes it longer:
    the documents that fit are found by measuring finished prompts. The texts come from users;
    whatever they hold (braces, quotes) goes in to the letter. Chat markers in them were broken up
    already (:mod:`qrag_tasks.markers`).
    """

    def __call__(self, task: LampTask, question: str, items: Sequence[Item]) -> str:
        """Write the prompt.

        :param task: the task's row: what kind of question it is, and its item fields.
        :param question: the sample's ``input``, as the data words it.
        :param items: the kept profile items in the order in which they are to stand, best first
            where a run asks for no other; none for k = 0. Not to be changed.
        """
        ...


def lamp(task: LampTask, question: str, items: Sequence[Item]) -> str:
    """LaMP's own prompt, to the letter."""
    return task.prompt(question, items)


def yazan2024(task: LampTask, question: str, items: Sequence[Item]) -> str:
    """The prompt of arXiv 2406.10251 in its shape, not in its words, which are not published.

    Lead sentence, the examples between tags, the instruction, then the query with the name of
    what is asked for.

    :raises SettingsError: for tasks other than LaMP-3 and LaMP-5, which it was made for.
    """
    if task.folder not in _YAZAN2024:
        raise SettingsError(
            f"prompt style 'yazan2024' is for LaMP-3 and LaMP-5, as its paper is; {task.name} "
            f"is neither. Take another prompt."
        )
    lead, instruction, text, answer = _YAZAN2024[task.folder]
    long_field = task.prompt.long_field
    examples = "".join(
        f"{text}:\n{item[long_field]}\n{answer}:\n{item[str(task.item_target)]}\n" for item in items
    )
    shown = f"{lead}\n<EXAMPLES>\n{examples}</EXAMPLES>\n" if items else ""
    return f"{shown}{instruction}\n{text}:\n{task.query(question)}\n{answer}:"


_YAZAN2024 = {
    "LaMP_3": (
        "The following are reviews by one user, each with the score that the user gave.",
        "Give the score, from 1 to 5, that the same user would give in the review below. Answer "
        "with the score and nothing else.",
        "Review",
        "Score",
    ),
    "LaMP_5": (
        "The following are abstracts of one author's papers, each with the title that the author "
        "gave.",
        "Give the title that the same author would give to the abstract below. Answer with the "
        "title and nothing else.",
        "Abstract",
        "Title",
    ),
}


@hookimpl
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Register ``lamp`` and ``yazan2024``."""
    register(DEFAULT_PROMPT_STYLE, lamp)
    register("yazan2024", yazan2024)
