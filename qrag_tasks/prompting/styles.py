"""Prompt styles: how kept documents and the question become one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qrag_tasks.errors import SettingsError
from qrag_tasks.hookspecs import RegisterPromptStyle, hookimpl
from qrag_tasks.prompting.base import PromptStyle
from qrag_tasks.tasks.lamp.prompts import Item
from qrag_tasks.tasks.lamp.table import LampTask

DEFAULT_PROMPT_STYLE = "lamp"


def lamp(task: LampTask, question: str, items: Sequence[Item]) -> str:
    """LaMP's own prompt, to the letter."""
    return task.prompt(question, items)


class Yazan2024:
    """The prompt of arXiv 2406.10251 in its shape, not in its words, which are not published.

    Lead sentence, the examples between tags, the instruction, then the query with the name of
    what is asked for. Without examples: the instruction, which then speaks of nobody who was not
    mentioned, and the query.

    :raises SettingsError: for tasks other than LaMP-3 and LaMP-5, which it was made for.
    """

    def __call__(self, task: LampTask, question: str, items: Sequence[Item]) -> str:
        """Write the prompt; see :class:`~qrag_tasks.prompting.base.PromptStyle`."""
        words = _wording(task)
        end = f"{words.text}:\n{task.query(question)}\n{words.answer}:"
        if not items:
            return f"{words.instruction_alone}\n{end}"
        shown = f"{words.lead}\n<EXAMPLES>\n{self.examples(task, items)}</EXAMPLES>"
        return f"{shown}\n{words.instruction}\n{end}"

    def examples(self, task: LampTask, items: Sequence[Item]) -> str:
        """Write what stands between the tags."""
        words, long_field, target = _wording(task), task.prompt.long_field, str(task.item_target)
        return "".join(
            f"{words.text}:\n{item[long_field]}\n{words.answer}:\n{item[target]}\n"
            for item in items
        )


yazan2024 = Yazan2024()


class _Wording(NamedTuple):
    lead: str
    instruction: str
    instruction_alone: str
    text: str
    answer: str


_YAZAN2024 = {
    "LaMP_3": _Wording(
        "The following are reviews by one user, each with the score that the user gave.",
        "Give the score, from 1 to 5, that the same user would give in the review below. Answer "
        "with the score and nothing else.",
        "Give the score, from 1 to 5, that the user who wrote the review below would give in it. "
        "Answer with the score and nothing else.",
        "Review",
        "Score",
    ),
    "LaMP_5": _Wording(
        "The following are abstracts of one author's papers, each with the title that the author "
        "gave.",
        "Give the title that the same author would give to the abstract below. Answer with the "
        "title and nothing else.",
        "Give the title that the author of the abstract below would give to it. Answer with the "
        "title and nothing else.",
        "Abstract",
        "Title",
    ),
}


def _wording(task: LampTask) -> _Wording:
    if task.folder not in _YAZAN2024:
        raise SettingsError(
            f"prompt style 'yazan2024' is for LaMP-3 and LaMP-5, as its paper is; {task.name} "
            f"is neither. Take another prompt."
        )
    return _YAZAN2024[task.folder]


def examples(style: PromptStyle, task: LampTask, items: Sequence[Item]) -> str:
    """Return the items' part of a style's prompt alone, or LaMP's where the style tells none."""
    own = getattr(style, "examples", None)
    return task.prompt.examples(items) if own is None else str(own(task, items))


@hookimpl
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Register ``lamp`` and ``yazan2024``."""
    register(DEFAULT_PROMPT_STYLE, lamp)
    register("yazan2024", yazan2024)
