"""Finds the documents in a logged prompt, which says nothing of where its parts begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qrag_tasks.experiment.comparison.sample_arrays import Values

Span = tuple[int, int]
"""From a character on, up to another."""


class PromptParts:
    """What prompts of the same question have in common, over all retrievers and k.

    The question stands last, and a chat template's text first: whatever all prompts of a question
    end with is the question, and what all prompts of a task begin with is the template.
    """

    def __init__(self, values: Sequence[Values]) -> None:
        self._by_question: dict[tuple[str, str], dict[str, None]] = {}
        ends: dict[str, list[str]] = {}
        for cell in values:
            prompts = [one.prompt for one, _ in cell.pairs]
            # What the first and the last in the alphabet begin with, all do.
            ends.setdefault(_task(cell), []).extend((min(prompts), max(prompts)))
            for one, _ in cell.pairs:
                key = (_task(cell), one.key)
                self._by_question.setdefault(key, {}).setdefault(one.prompt)
        self._heads = {
            task: _common([min(texts), max(texts)], str.startswith, lambda text, n: text[:n])
            for task, texts in ends.items()
        }

    def documents(self, values: Values) -> list[Span | None]:
        """Return where the documents stand in each prompt of a cell.

        ``None`` where a prompt has none, or the same question was asked in no other way, so that
        nothing tells documents from question.
        """
        head = self._heads[_task(values)]
        spans: list[Span | None] = []
        for one, _ in values.pairs:
            others = list(self._by_question[_task(values), one.key])
            if not one.kept or len(others) < 2:
                spans.append(None)
                continue
            tail = _common(others, str.endswith, lambda text, n: text[len(text) - n :])
            start, end = head, len(one.prompt) - tail
            spans.append((start, end) if start < end else None)
        return spans


def _task(values: Values) -> str:
    task = values.base.task
    return task.lamp_task or task.task


def _common(
    texts: Sequence[str],
    holds: Callable[[str, str], bool],
    part: Callable[[str, int], str],
) -> int:
    """Return how many characters at one end are in all texts."""
    low, high = 0, min(map(len, texts))
    while low < high:
        middle = (low + high + 1) // 2
        if all(holds(text, part(texts[0], middle)) for text in texts):
            low = middle
        else:
            high = middle - 1
    return low
