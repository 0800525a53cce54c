"""Personal styles: the frame and the letter case in which a user writes short texts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from qrag_tasks.tasks.lamp.mini.random_text import deal

# How often a user keeps to the own style.
CONSISTENCY = 0.9
# How many subjects a user writes about.
SUBJECTS = 4

SMALL_WORDS = ("a", "an", "and", "as", "by", "for", "in", "of", "on", "the", "to", "with")


def title_case(phrase: str) -> str:
    """The phrase as it stands in a title; small words inside it stay small."""
    parts = re.split(r"([ -])", phrase)
    return "".join(
        part if i and part in SMALL_WORDS else part[:1].upper() + part[1:]
        for i, part in enumerate(parts)
    )


class Style(NamedTuple):
    """How one user words things: a frame, and the case of what fills its slots."""

    frame: str
    case: Callable[[str], str] = str

    def write(self, slots: Mapping[str, str]) -> str:
        """The slots in this style."""
        return self.frame.format_map({key: self.case(text) for key, text in slots.items()})


class Habit(NamedTuple):
    """One user's style, and the subjects that the user writes about."""

    style: Style
    subjects: tuple[str, ...]


class Styled:
    """The users of a task whose answers are texts in a personal style."""

    def __init__(self, styles: Sequence[Style], subjects: Sequence[str], rng: random.Random):
        self.styles = styles
        self.subjects = subjects
        self.rng = rng

    def habits(self, count: int) -> list[Habit]:
        """As many users, with the styles dealt evenly."""
        return [
            Habit(style, tuple(deal(self.subjects, SUBJECTS, self.rng)))
            for style in deal(self.styles, count, self.rng)
        ]

    def earlier(self, habit: Habit) -> Habit:
        """The same subjects in another style."""
        return habit._replace(style=self.other(habit.style))

    def other(self, style: Style) -> Style:
        """Any style but this one."""
        return self.rng.choice([other for other in self.styles if other != style])

    def usual(self, habit: Habit) -> Style:
        """The user's style, from which the user strays now and then."""
        return habit.style if self.rng.random() < CONSISTENCY else self.other(habit.style)
