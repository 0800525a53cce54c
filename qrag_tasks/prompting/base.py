"""What a prompt style is: how kept documents and the question become one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qrag_tasks.tasks.base import Item, Task


class PromptStyle(Protocol):
    """A function that writes the prompt of one sample.

    The same arguments give the same prompt in every process, and a document more makes it longer:
    the documents that fit are found by measuring finished prompts. The texts come from users;
    whatever they hold (braces, quotes) goes in to the letter. Chat markers in them were broken up
    already (:mod:`qrag_tasks.prompting.markers`).

    A style may have a method ``examples(task, items)`` that returns the items' part of the prompt
    alone, which ``fill=yazan2024`` counts. Of one that has not, LaMP's wording of them is counted.
    """

    def __call__(self, task: Task, question: str, items: Sequence[Item]) -> str:
        """Write the prompt.

        :param task: the task's row: what kind of question it is, and its item fields.
        :param question: the sample's ``input``, as the data words it.
        :param items: the kept profile items in the order in which they are to stand, best first
            where a run asks for no other; none for k = 0. Not to be changed.
        """
        ...
