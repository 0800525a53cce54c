"""Prompt styles: how kept documents and the question become one prompt."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.errors import SettingsError
from qrag_tasks.hookspecs import RegisterPromptStyle, hookimpl
from qrag_tasks.prompting.base import PromptStyle
from qrag_tasks.tasks.base import Item, Task, Wording

DEFAULT_PROMPT_STYLE = "lamp"


def lamp(task: Task, question: str, items: Sequence[Item]) -> str:
    """LaMP's own prompt, to the letter."""
    return task.prompt(question, items)


class Yazan2024:
    """The prompt of arXiv 2406.10251 in its shape, not in its words, which are not published.

    Lead sentence, the examples between tags, the instruction, then the query with the name of
    what is asked for. Without examples: the instruction, which then speaks of nobody who was not
    mentioned, and the query.

    :raises SettingsError: for tasks other than LaMP-3 and LaMP-5, which it was made for.
    """

    def __call__(self, task: Task, question: str, items: Sequence[Item]) -> str:
        """Write the prompt; see :class:`~qrag_tasks.prompting.base.PromptStyle`."""
        words, _ = _wording(task)
        end = f"{words.text}:\n{task.query(question)}\n{words.answer}:"
        if not items:
            return f"{words.instruction_alone}\n{end}"
        shown = f"{words.lead}\n<EXAMPLES>\n{self.examples(task, items)}</EXAMPLES>"
        return f"{shown}\n{words.instruction}\n{end}"

    def examples(self, task: Task, items: Sequence[Item]) -> str:
        """Write what stands between the tags."""
        (words, target), long_field = _wording(task), task.prompt.long_field
        return "".join(
            f"{words.text}:\n{item[long_field]}\n{words.answer}:\n{item[target]}\n"
            for item in items
        )


yazan2024 = Yazan2024()


def _wording(task: Task) -> tuple[Wording, str]:
    """Return the words for a task, and the field of its documents' own answers."""
    if (published := task.evaluation("yazan2024")) is None or task.item_target is None:
        raise SettingsError(
            f"prompt style 'yazan2024' is for LaMP-3 and LaMP-5, as its paper is; {task.name} "
            f"is neither. Take another prompt."
        )
    return published.wording, task.item_target


def examples(style: PromptStyle, task: Task, items: Sequence[Item]) -> str:
    """Return the items' part of a style's prompt alone, or LaMP's where the style tells none."""
    own = getattr(style, "examples", None)
    return task.prompt.examples(items) if own is None else str(own(task, items))


@hookimpl
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Register ``lamp`` and ``yazan2024``."""
    register(DEFAULT_PROMPT_STYLE, lamp)
    register("yazan2024", yazan2024)
