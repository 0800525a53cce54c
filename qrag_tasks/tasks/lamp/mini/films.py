"""Draw the films of LaMP_2: two tags fit each film, and users lean towards a few tags."""

from __future__ import annotations

import random

from qrag_tasks.tasks.lamp.mini import film_wording as wording
from qrag_tasks.tasks.lamp.mini.film_wording import THEMES
from qrag_tasks.tasks.lamp.mini.random_text import Deck, deal, draw_until, expand
from qrag_tasks.tasks.lamp.mini.users import Item, Question

PROMPT = (
    "Which tag does this movie relate to among the following tags? Just answer with the tag name "
    f"without further explanation. tags: [{', '.join(THEMES)}] description: "
)
WORDS = range(25, 56)

# How many tags a user leans towards, and how often one of them is the user's choice.
LEANINGS = 3
CONSISTENCY = 0.9

Leaning = tuple[str, ...]


class Films:
    """Descriptions of films that do not exist, tagged by users. A habit is the tags they like."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.heroes = Deck(wording.HEROES, rng)
        self.jobs = Deck(wording.JOBS, rng)
        self.places = Deck(wording.PLACES, rng)
        self.premises = {tag: Deck(theme.premises, rng) for tag, theme in THEMES.items()}
        self.turns = {tag: Deck(theme.turns, rng) for tag, theme in THEMES.items()}
        self.seen: set[str] = set()

    def habits(self, count: int) -> list[Leaning]:
        """Tags, three a user; each is as frequent as any other."""
        tags = deal(tuple(THEMES), count * LEANINGS, self.rng)
        return [tuple(tags[i : i + LEANINGS]) for i in range(0, len(tags), LEANINGS)]

    def earlier(self, habit: Leaning) -> Leaning:
        """Tags that are not among these."""
        return tuple(deal([tag for tag in THEMES if tag not in habit], LEANINGS, self.rng))

    def item(self, habit: Leaning) -> Item:
        """A film and its tag, in most cases one that the user likes."""
        description, own, other = self.draw(habit)
        tag = own if self.rng.random() < CONSISTENCY else other
        return {"tag": tag, "description": description}

    def question(self, habit: Leaning) -> Question:
        """Which tag the user gives to a film."""
        description, own, _ = self.draw(habit)
        return Question(PROMPT + description, own)

    def draw(self, habit: Leaning) -> tuple[str, str, str]:
        """A film, the tag of the user's that fits it, and another one that does."""
        own = self.rng.choice(habit)
        other = self.rng.choice(
            [tag for tag in THEMES if tag not in habit and {tag, own} not in wording.CLASHES]
        )
        first, second = deal((own, other), 2, self.rng)
        description = draw_until(
            lambda: self.describe(first, second),
            lambda text: len(text.split()) in WORDS and text not in self.seen,
        )
        self.seen.add(description)
        return description, own, other

    def describe(self, first: str, second: str) -> str:
        """A film that begins with the first tag and turns to the second."""
        name, she, her = self.heroes.draw()
        job = self.jobs.draw()
        slots = {
            "name": name,
            "first": name.split()[0],
            "she": she,
            "her": her,
            "job": job,
            "a_job": f"a {job}",
            "place": self.places.draw(),
        }
        templates = [self.premises[first].draw(), self.turns[second].draw()]
        if self.rng.random() < 0.4:
            templates.append(self.rng.choice(wording.REMARKS))
        return " ".join(expand(template, slots, self.rng) for template in templates)
