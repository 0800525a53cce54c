"""Random text: templates with choices and slots, redraws until a text fits, and even dealing."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

Card = TypeVar("Card")

INNERMOST_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expand(template: str, slots: Mapping[str, str], rng: random.Random) -> str:
    """The template with one option taken of each "[one|another]" and every "{slot}" filled."""
    while "[" in template:
        template = INNERMOST_CHOICE.sub(lambda m: rng.choice(m[1].split("|")), template, count=1)
    return template.format_map(slots)


def upper_first(text: str) -> str:
    """The text with a capital first letter, the rest untouched."""
    return text[0].upper() + text[1:]


def draw_until(draw: Callable[[], str], accept: Callable[[str], bool]) -> str:
    """The first drawn text that is accepted."""
    while True:
        text = draw()
        if accept(text):
            return text


def deal(cards: Sequence[Card], count: int, rng: random.Random) -> list[Card]:
    """`count` of the cards in random order, each used as often as any other, give or take one."""
    dealt: list[Card] = []
    while len(dealt) < count:
        deck = list(cards)
        rng.shuffle(deck)
        dealt += deck
    return dealt[:count]


class Deck(Generic[Card]):
    """Cards drawn one at a time in random order; none comes again before all have come."""

    def __init__(self, cards: Sequence[Card], rng: random.Random) -> None:
        self.cards = cards
        self.rng = rng
        self.left: list[Card] = []

    def draw(self) -> Card:
        """The next card."""
        if not self.left:
            self.left = deal(self.cards, len(self.cards), self.rng)
        return self.left.pop()
