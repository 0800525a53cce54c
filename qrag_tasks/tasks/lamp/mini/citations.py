"""Draw the citations of LaMP_1: a title between two fields, and a reference from each of them."""

from __future__ import annotations

import random
from typing import NamedTuple

from qrag_tasks.tasks.lamp.mini.citation_wording import BRIDGES, QUOTING_FRAMES
from qrag_tasks.tasks.lamp.mini.paper_wording import FIELDS, NEIGHBORS, TITLE_FRAMES
from qrag_tasks.tasks.lamp.mini.papers import Papers
from qrag_tasks.tasks.lamp.mini.random_text import Deck, deal
from qrag_tasks.tasks.lamp.mini.users import Item, Question

PROMPT = (
    'For an author who has written the paper with the title "{title}", which reference is related? '
    'Just answer with [1] or [2] without explanation. [1]: "{first}" [2]: "{second}"'
)

# How often an author writes in the own field.
CONSISTENCY = 0.85


class Author(NamedTuple):
    """An author who knows two fields and is at home in one of them."""

    home: str
    neighbor: str
    frame: str  # of the author's own titles


class Citations:
    """Papers of authors; what they cite comes from their own field. A habit is an author."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.papers = Papers(rng)
        # Quotes are the hard part of this task's format: more of them than real titles have.
        self.frames = Deck((*TITLE_FRAMES, *QUOTING_FRAMES * 2), rng)
        self.answers = Deck(("[1]", "[2]"), rng)
        self.bridges = {frozenset(pair): iter(titles) for pair, titles in BRIDGES.items()}

    def habits(self, count: int) -> list[Author]:
        """Authors of as many different fields and title styles as can be."""
        pairs = [deal(pair, 2, self.rng) for pair in deal(NEIGHBORS, count, self.rng)]
        frames = deal(TITLE_FRAMES, count, self.rng)
        return [
            Author(home, neighbor, frame)
            for (home, neighbor), frame in zip(pairs, frames, strict=True)
        ]

    def earlier(self, habit: Author) -> Author:
        """The same author before moving over from the neighboring field."""
        return habit._replace(home=habit.neighbor, neighbor=habit.home)

    def item(self, habit: Author) -> Item:
        """A paper by the author."""
        at_home = self.rng.random() < CONSISTENCY
        field = FIELDS[habit.home if at_home else habit.neighbor]
        return self.papers.new_item(field, habit.frame)

    def question(self, habit: Author) -> Question:
        """Which of two references is from the field where the author is at home."""
        title = next(self.bridges[frozenset((habit.home, habit.neighbor))])
        right, wrong = (
            self.papers.new_paper(FIELDS[name], self.frames.draw()).title()
            for name in (habit.home, habit.neighbor)
        )
        gold = self.answers.draw()
        first, second = (right, wrong) if gold == "[1]" else (wrong, right)
        return Question(PROMPT.format(title=title, first=first, second=second), gold)
