"""How a task's own prompt is written of kept items and an input, and cut where tokens are short."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Item = Mapping[str, str]
"""One profile item: field name -> text; ``id``, the task's fields, ``date`` where there is one."""


class Tokens(Protocol):
    """How a tokenizer counts and cuts, as the official code uses it."""

    def count(self, text: str) -> int:
        """Return the tokens of ``text``, with the special tokens that the tokenizer adds."""
        ...

    def cut(self, text: str, limit: int) -> tuple[str, int]:
        """Return what the first ``limit`` tokens of ``text`` say, and how many there were.

        Special tokens count, and are not part of the text returned.

        :raises ValueError: when ``limit`` is less than the special tokens alone.
        """
        ...


class PromptWriter(Protocol):
    """How the prompts of a task are written."""

    @property
    def long_field(self) -> str:
        """The field of an item that is cut where tokens are short."""
        ...

    def __call__(self, text: str, items: Sequence[Item]) -> str:
        """Return the prompt of an input and the kept items, best first, whole."""
        ...

    def examples(self, items: Sequence[Item]) -> str:
        """Return the items' part of the prompt alone."""
        ...


@dataclass(frozen=True)
class TaskPrompt:
    """How the prompts of one task are written, and cut as LaMP's code cuts its own.

    :ivar example: profile item -> its part of the prompt.
    :ivar merge: (input, the parts joined by ``", and "``) -> the prompt.
    :ivar long_field: the field that is cut where tokens are short.
    :ivar frame: profile item -> the text whose tokens its part is charged beside that field; or
        a number of tokens.
    :ivar frame_of_all: text whose tokens all parts are charged together.
    :ivar spare: tokens that all parts are charged beside that.
    """

    example: Callable[[Item], str]
    merge: Callable[[str, str], str]
    long_field: str
    frame: Callable[[Item], str | int]
    frame_of_all: str = ""
    spare: int = 1

    def __call__(self, text: str, items: Sequence[Item]) -> str:
        """Return the prompt of an input and the kept items, best first, whole."""
        if not items:
            return text
        return self.merge(text, self.examples(items))

    def examples(self, items: Sequence[Item]) -> str:
        """Return the items' part of the prompt alone."""
        return ", and ".join(self.example(item) for item in items)

    def trimmed(
        self, text: str, items: Sequence[Item], max_length: int, tokens: Tokens
    ) -> list[Item] | None:
        """Return the items with their long fields cut as the official code cuts them.

        The question is given at most 60 % of ``max_length``; what is left is shared equally, and
        what one item does not use goes to the next. Where an item would get no token at all, the
        question's share is lowered in steps of 10 %.

        :param max_length: tokens of the whole prompt.
        :returns: ``None`` where no share leaves room; the official code drops the profile then.
        """
        question = tokens.count(text)
        share = 0.6
        while items and share >= 0:
            room = max_length - min(question, int(share * max_length))
            try:
                return self._trim(items, room, tokens)
            except ValueError:
                share -= 0.1  # in floating point, as the official code counts
        return None

    def _trim(self, items: Sequence[Item], room: int, tokens: Tokens) -> list[Item]:
        room -= self.spare + 2 * (len(items) - 1)
        if self.frame_of_all:
            room -= tokens.count(self.frame_of_all)
        each = room // len(items)
        unused = 0
        cut: list[Item] = []
        for item in items:
            frame = self.frame(item)
            needed = frame if isinstance(frame, int) else tokens.count(frame)
            short, length = tokens.cut(item[self.long_field], each + unused - needed)
            unused += each - length - needed
            cut.append({**item, self.long_field: short})
        return cut
