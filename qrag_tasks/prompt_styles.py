"""Prompt styles: how kept documents and the question become one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qrag_tasks.benchmark.tasks import Item, LampTask
from qrag_tasks.hookspecs import RegisterPromptStyle, hookimpl

DEFAULT_PROMPT_STYLE = "lamp"


class PromptStyle(Protocol):
    """A function that writes the prompt of one sample.

    The same arguments give the same prompt in every process, and a document more makes it longer:
    the documents that fit are found by measuring finished prompts. The texts come from users;
    whatever they hold (braces, quotes, chat markers) goes in to the letter.
    """

    def __call__(self, task: LampTask, question: str, items: Sequence[Item]) -> str:
        """Write the prompt.

        :param task: the task's row: what kind of question it is, and its item fields.
        :param question: the sample's ``input``, as the data words it.
        :param items: the kept profile items, whole, best first; none for k = 0. Not to be changed.
        """
        ...


def lamp(task: LampTask, question: str, items: Sequence[Item]) -> str:
    """LaMP's own prompt, to the letter."""
    return task.prompt(question, items)


@hookimpl
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Register ``lamp``."""
    register(DEFAULT_PROMPT_STYLE, lamp)
