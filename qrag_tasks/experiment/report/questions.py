"""The prompts of every question, by whatever retriever and k: together, as they are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.logs.samples import Sample

Span = tuple[int, int]
"""From a character on, up to another."""

TOGETHER = 16
"""Questions whose prompts are packed as one: a reader waits for as many to be unpacked."""


class Questions:
    """What was asked for every question of every task.

    The documents of a prompt at k = 5 are in that at k = 10, too, and other retrievers find many of
    them. Side by side they take a half of the bytes that they take cell by cell, or less.

    :param values: the cells.
    """

    def __init__(self, values: Sequence[Values]) -> None:
        self._asked: dict[str, dict[str, list[Sample]]] = {}
        self._places: dict[tuple[str, ...], list[int]] = {}
        self._numbers: dict[tuple[str, str], dict[tuple[Any, ...], int]] = {}
        for cell in values:
            task = task_of(cell)
            for asked in _sides(cell):
                self._add(task, asked)

    def keys(self) -> dict[str, list[str]]:
        """Return the keys of each task's questions, in the order in which they are packed."""
        return {task: list(questions) for task, questions in self._asked.items()}

    def places(self, cell: Values) -> list[tuple[int, int]]:
        """Return which of its question's prompts each sample of a cell was asked, by both arms."""
        task = task_of(cell)
        base, other = (self._places[_prompts(task, asked)] for asked in _sides(cell))
        return list(zip(base, other, strict=True))

    def packs(self) -> Iterator[tuple[str, list[list[dict[str, Any]]]]]:
        """Yield task and prompts of some questions: of each a list, with what is in each prompt."""
        for task, questions in self._asked.items():
            every = [sample.prompt for asked in questions.values() for sample in asked]
            # What the first and the last in the alphabet begin with, all do.
            ends = [min(every), max(every)]
            head = _common(ends, str.startswith, _start)
            lists = [_described(asked, head) for asked in questions.values()]
            for start in range(0, len(lists), TOGETHER):
                yield task, lists[start : start + TOGETHER]

    def _add(self, task: str, asked: Sequence[Sample]) -> None:
        prompts = _prompts(task, asked)
        if prompts in self._places:
            return
        places = []
        for sample in asked:
            numbers = self._numbers.setdefault((task, sample.key), {})
            identity = (sample.prompt, *(str(value) for value in sample.documents.values()))
            if identity not in numbers:
                numbers[identity] = len(numbers)
                self._asked.setdefault(task, {}).setdefault(sample.key, []).append(sample)
            places.append(numbers[identity])
        self._places[prompts] = places


def task_of(cell: Values) -> str:
    """Return the task of a cell, as the page calls it."""
    task = cell.base.task
    return task.lamp_task or task.task


def _sides(cell: Values) -> tuple[Sequence[Sample], Sequence[Sample]]:
    base, other = zip(*cell.pairs, strict=True)
    return base, other


def _prompts(task: str, asked: Sequence[Sample]) -> tuple[str, ...]:
    return (task, *(sample.prompt for sample in asked))


def _described(asked: Sequence[Sample], head: int) -> list[dict[str, Any]]:
    """Return a question's prompts, and where documents stand in each.

    The question stands last, and a chat template's text first: whatever all prompts of a question
    end with is the question, and what all prompts of a task begin with, ``head`` characters, is the
    template. Where a question was asked in one way alone, nothing tells documents from question.

    Of a prompt that begins and ends as another of the same question, ``like``, by its place, only
    what is between is held: gzip looks back no farther than 32 kB. Lengths are in code points.
    """
    texts = [sample.prompt for sample in asked]
    tail = _common(texts, str.endswith, _end)
    described: list[dict[str, Any]] = []
    for sample in asked:
        told: dict[str, Any] = {"prompt": sample.prompt, **sample.documents}
        end = len(sample.prompt) - tail
        if sample.kept and len(texts) > 1 and head < end:
            told["documents"] = (head, end)
        described.append(told)
    # In the alphabet a prompt's neighbours are those that begin with the same documents.
    order = sorted(range(len(texts)), key=texts.__getitem__)
    for like, place in pairwise(order):
        both = [texts[like], texts[place]]
        first = _common(both, str.startswith, _start)
        last = min(_common(both, str.endswith, _end), min(map(len, both)) - first)
        rest = texts[place][first : len(texts[place]) - last]
        described[place] |= {"prompt": rest, "like": (like, first, last)}
    return described


def _start(text: str, length: int) -> str:
    return text[:length]


def _end(text: str, length: int) -> str:
    return text[len(text) - length :]


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
