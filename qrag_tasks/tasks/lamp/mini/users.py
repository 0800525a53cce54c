"""Draw users from a source of texts: how long their profiles are, and what they are asked."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

Item = dict[str, str]
Habit = TypeVar("Habit")

# How many texts the profile of each user holds: some, none, one, or many.
SIZES = (11, 8, 0, 12, 1, 9, 32, 10, 13, 14, 9, 12)
SIZES_OF_CHANGING = (10, 12, 0, 9, 1, 11, 30, 8)
# The users who are asked twice, each time with the same profile.
ASKED_TWICE = (0, 3)

FIRST_DAY = datetime.date(2016, 1, 1)


class Question(NamedTuple):
    """What is asked, as LaMP words it, and the answer."""

    prompt: str
    gold: str


class User(NamedTuple):
    """One user: a profile of texts without ids, and one question or more."""

    profile: list[Item]
    questions: list[Question]


class Source(Protocol[Habit]):
    """Where the texts of one task come from. What users have in common with themselves is a habit.

    Whatever it gives, it gives once: no text appears twice in a data set.
    """

    def habits(self, count: int) -> list[Habit]:
        """The habits of as many users, as unlike each other as can be."""
        ...

    def earlier(self, habit: Habit) -> Habit:
        """Another habit, which a user may have had before this one."""
        ...

    def item(self, habit: Habit) -> Item:
        """The fields of a profile item, without id and date."""
        ...

    def question(self, habit: Habit) -> Question:
        """A question about another text of such a user."""
        ...


Sources = Callable[[random.Random], Source[Habit]]


def draw_steady(new_source: Sources[Habit], rng: random.Random) -> list[User]:
    """Users who keep to one habit, as the user-based split has them."""
    source = new_source(rng)
    drawn: list[User] = []
    for place, (habit, size) in enumerate(zip(source.habits(len(SIZES)), SIZES, strict=True)):
        profile = [source.item(habit) for _ in range(size)]
        drawn.append(User(profile, draw_questions(source, habit, place)))
    return drawn


def draw_changing(new_source: Sources[Habit], rng: random.Random) -> list[User]:
    """Users whose habit changed halfway, in dated profiles; they are asked after the last date."""
    source = new_source(rng)
    sizes = SIZES_OF_CHANGING
    drawn: list[User] = []
    for place, (habit, size) in enumerate(zip(source.habits(len(sizes)), sizes, strict=True)):
        before = source.earlier(habit)
        habits = [before] * (size // 2) + [habit] * (size - size // 2)
        profile = [
            {**source.item(each), "date": day}
            for each, day in zip(habits, draw_days(size, rng), strict=True)
        ]
        # The dates alone tell the order.
        rng.shuffle(profile)
        drawn.append(User(profile, draw_questions(source, habit, place)))
    return drawn


def draw_questions(source: Source[Habit], habit: Habit, place: int) -> list[Question]:
    """The questions to the user in this place."""
    return [source.question(habit) for _ in range(2 if place in ASKED_TWICE else 1)]


def draw_days(count: int, rng: random.Random) -> list[str]:
    """As many dates, the earliest first; no day comes twice."""
    day = FIRST_DAY + datetime.timedelta(days=rng.randrange(1000))
    days: list[str] = []
    for _ in range(count):
        day += datetime.timedelta(days=rng.randrange(3, 100))
        days.append(day.isoformat())
    return days
