"""Draw the articles of LaMP_4: every writer has a headline style."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qrag_tasks.tasks.lamp.mini import news_wording as wording
from qrag_tasks.tasks.lamp.mini.news_wording import KINDS
from qrag_tasks.tasks.lamp.mini.random_text import Deck, expand, upper_first
from qrag_tasks.tasks.lamp.mini.styles import Habit, Style, Styled, title_case
from qrag_tasks.tasks.lamp.mini.users import Item, Question

PROMPT = "Generate a headline for the following article: "
WORDS = range(25, 61)

STYLES = (
    Style("Local Notes: {clause}", title_case),
    Style("Our question today: {question}", upper_first),
    Style("{clause}, and why it matters", upper_first),
    Style("BREAKING NEWS: {clause}", str.upper),
    Style("The Inside Story of {how}", title_case),
    Style("Three things to know as {clause}"),
    Style('"{quote}": {clause}', upper_first),
    Style("Letter From {town}: {question}", title_case),
    Style("Opinion | {question}", upper_first),
    Style("just in: {clause}", str.lower),
    Style("{clause} (with photos)", upper_first),
    Style("Explained in two minutes: {how}"),
)


class News(Styled):
    """Local news with headlines."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(STYLES, tuple(KINDS), rng)
        self.towns = Deck(wording.TOWNS, rng)
        self.quotes = Deck(wording.QUOTES, rng)
        self.voices = Deck(wording.VOICES, rng)
        self.things = {name: Deck(kind.things, rng) for name, kind in KINDS.items()}
        self.leads = {name: Deck(kind.leads, rng) for name, kind in KINDS.items()}
        self.details = {name: Deck(kind.details, rng) for name, kind in KINDS.items()}
        self.seen: set[tuple[str, str, str]] = set()

    def item(self, habit: Habit) -> Item:
        """An article with its headline."""
        return self.write(habit.subjects, self.usual(habit))

    def question(self, habit: Habit) -> Question:
        """Which headline the writer gives to an article."""
        article = self.write(habit.subjects, habit.style)
        return Question(PROMPT + article["text"], article["title"])

    def write(self, subjects: Sequence[str], style: Style) -> Item:
        """An article of one of these kinds; no two have the same kind, thing and town."""
        while True:
            name = self.rng.choice(subjects)
            kind = KINDS[name]
            slots = {
                "town": self.towns.draw(),
                "thing": self.things[name].draw(),
                "quote": self.quotes.draw(),
                "voice": self.voices.draw(),
            }
            templates = [
                self.leads[name].draw(),
                self.details[name].draw(),
                self.rng.choice(wording.VOICE_LINES),
            ]
            text = " ".join(expand(template, slots, self.rng) for template in templates)
            event = (name, slots["thing"], slots["town"])
            if len(text.split()) in WORDS and event not in self.seen:
                self.seen.add(event)
                phrases = {
                    "clause": kind.clause.format_map(slots),
                    "question": kind.question.format_map(slots),
                    "how": kind.how.format_map(slots),
                }
                return {"title": style.write({**slots, **phrases}), "text": text}
