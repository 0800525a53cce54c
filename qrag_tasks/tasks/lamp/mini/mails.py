"""Draw the e-mails of LaMP_6: every sender has a way to write subject lines."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qrag_tasks.tasks.lamp.mini import mail_wording as wording
from qrag_tasks.tasks.lamp.mini.mail_wording import KINDS
from qrag_tasks.tasks.lamp.mini.random_text import Deck, deal, expand, upper_first
from qrag_tasks.tasks.lamp.mini.styles import Habit, Style, Styled, title_case
from qrag_tasks.tasks.lamp.mini.users import Item, Question

PROMPT = "Generate a subject for the following email: "
WORDS = range(25, 56)

STYLES = (
    Style("[Office] {subject}", upper_first),
    Style("ACTION NEEDED: {subject}", str.upper),
    Style("fyi - {subject}", str.lower),
    Style("Quick one: {subject}"),
    Style("{subject} (no reply needed)", upper_first),
    Style("{subject} - please read today", upper_first),
    Style("Re: {subject}", title_case),
    Style("Project Heron | {subject}", upper_first),
    Style("From the Desk of L. Voss: {subject}", title_case),
    Style("{subject}!! Thanks, your Boris", upper_first),
    Style("Friendly reminder: {subject}"),
    Style("Dear all, {subject}"),
)


class Mails(Styled):
    """E-mails within a company, with subjects."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(STYLES, tuple(KINDS), rng)
        self.greetings = Deck(wording.GREETINGS, rng)
        self.closings = Deck(wording.CLOSINGS, rng)
        self.topics = {name: Deck(kind.topics, rng) for name, kind in KINDS.items()}
        self.leads = {name: Deck(kind.leads, rng) for name, kind in KINDS.items()}
        self.details = {name: Deck(kind.details, rng) for name, kind in KINDS.items()}
        self.seen: set[str] = set()

    def item(self, habit: Habit) -> Item:
        """An e-mail with its subject."""
        return self.write(habit.subjects, self.usual(habit))

    def question(self, habit: Habit) -> Question:
        """Which subject the sender gives to an e-mail."""
        mail = self.write(habit.subjects, habit.style)
        return Question(PROMPT + mail["text"], mail["title"])

    def write(self, subjects: Sequence[str], style: Style) -> Item:
        """An e-mail of one of these kinds; no two are about the same."""
        while True:
            name = self.rng.choice(subjects)
            before, day = deal(wording.DAYS, 2, self.rng)
            who, you = deal(wording.PEOPLE, 2, self.rng)
            slots = {
                "topic": self.topics[name].draw(),
                "before": before,
                "day": day,
                "month": self.rng.choice(wording.MONTHS),
                "who": who,
                "you": you,
            }
            templates = [
                self.greetings.draw(),
                self.leads[name].draw(),
                self.details[name].draw(),
                self.closings.draw(),
            ]
            text = " ".join(expand(template, slots, self.rng) for template in templates)
            subject = KINDS[name].subject.format_map(slots)
            if len(text.split()) in WORDS and subject not in self.seen:
                self.seen.add(subject)
                return {"text": text, "title": style.write({"subject": subject})}
