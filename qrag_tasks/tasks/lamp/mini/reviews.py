"""Draw the reviews of LaMP_3: users are harsh or generous, so a text alone hides its score."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qrag_tasks.tasks.lamp.mini import review_wording as wording
from qrag_tasks.tasks.lamp.mini.random_text import deal, draw_until, expand, upper_first
from qrag_tasks.tasks.lamp.mini.review_wording import GOODS, Goods
from qrag_tasks.tasks.lamp.mini.users import Item, Question, User

PROMPT = (
    "What is the score of the following review on a scale of 1 to 5? just answer with "
    "1, 2, 3, 4, or 5 without further explanation. review: "
)
WORDS = range(35, 66)

# How satisfied a text sounds, and how often that is drawn.
LEVEL_WEIGHTS = {1: 3, 2: 5, 3: 6, 4: 6, 5: 4}
# What a user adds to the satisfaction that the text shows: below zero harsh, above generous.
SHIFTS = (-1.8, -0.9, 0.0, 0.9, 1.8)
SHIFT_NOISE = 0.4
# The shift that a user may have had before this one: far from it.
EARLIER_SHIFTS = {-1.8: 0.9, -0.9: 1.8, 0.0: 1.8, 0.9: -1.8, 1.8: -0.9}

# Which aspects a review of each level mentions, in order: "+" praise, "-" blame, "." a quibble.
ASPECT_PLANS: dict[int, tuple[str, ...]] = {
    1: ("--", "---"),
    2: ("--+", "+--", "-+-", "--"),
    3: ("+-", "-+", "+-+", "-+-"),
    4: ("++", "++.", "+.+"),
    5: ("++", "+++"),
}


def lower_first(sentence: str) -> str:
    """The sentence as it reads after an introduction; the pronoun I keeps its capital."""
    if sentence.split()[0] == "I":
        return sentence
    return sentence[0].lower() + sentence[1:]


def aspect_sentences(
    goods: Goods, level: int, slots: Mapping[str, str], rng: random.Random
) -> list[str]:
    """Sentences about distinct aspects, as a plan of this level wants them, with turns marked."""
    plan = rng.choice(ASPECT_PLANS[level])
    sentences: list[str] = []
    used: list[str] = []
    for i, (sign, aspect) in enumerate(zip(plan, deal(goods.aspects, len(plan), rng), strict=True)):
        if sign == ".":
            lead = expand(rng.choice(wording.ONLY_BLAME), slots, rng)
            sentences.append(lead + expand(rng.choice(wording.QUIBBLES), slots, rng) + ".")
            continue
        sentence = expand(rng.choice(aspect.good if sign == "+" else aspect.bad), slots, rng)
        turns: Sequence[str] = ()
        if i and {sign, plan[i - 1]} == {"+", "-"}:
            turns = wording.TURNS_TO_PRAISE if sign == "+" else wording.TURNS_TO_BLAME
            # "The one good thing" is for a review that finds no more than one.
            if level == 2 and sign == "+":
                turns = wording.ONLY_PRAISE
        if turns and rng.random() < 0.85:
            used.append(rng.choice([turn for turn in turns if turn not in used]))
            sentence = used[-1] + lower_first(sentence)
        sentences.append(sentence)
    return sentences


def draw_review(goods: Goods, product: tuple[str, str], level: int, rng: random.Random) -> str:
    """A review of the product that sounds as satisfied as the level says; any length."""
    indefinite, noun = product
    giver = rng.choice(wording.GIVERS)
    reason = expand(rng.choice(goods.reasons), {}, rng)
    slots = {
        "a": indefinite,
        "noun": noun,
        "known": goods.known,
        "reason": reason,
        "Reason": upper_first(reason),
        "giver": giver,
        "Giver": upper_first(giver),
        "when": rng.choice(wording.WHENS),
        "span": rng.choice(wording.SPANS),
        "this": "these" if goods.plural else "this",
        "it": "they" if goods.plural else "it",
        "It": "They" if goods.plural else "It",
        "obj": "them" if goods.plural else "it",
        "is": "are" if goods.plural else "is",
        "was": "were" if goods.plural else "was",
        "has": "have" if goods.plural else "has",
        "does": "do" if goods.plural else "does",
    }
    opener = rng.choice(wording.OPENERS if rng.random() < 0.6 else goods.openers)
    lead = rng.choice(wording.LEADS[level])
    verdict = rng.choice(wording.VERDICTS[level])
    lead, verdict = rng.choice(((lead, ""), ("", verdict), (lead, verdict)))
    fact = rng.choice(wording.FACTS) if rng.random() < 0.2 else ""
    sentences = [expand(template, slots, rng) for template in (opener, fact, lead)]
    sentences += aspect_sentences(goods, level, slots, rng)
    sentences.append(expand(verdict, slots, rng))
    return " ".join(filter(None, sentences))


def score_of(level: int, shift: float, rng: random.Random) -> str:
    """The score that a user with this shift gives for satisfaction of this level."""
    noise = (2 * rng.random() - 1) * SHIFT_NOISE
    return str(min(5, max(1, math.floor(level + shift + noise + 0.5))))


class Buyer(NamedTuple):
    """How a user scores, and the names of the goods that the user buys."""

    shift: float
    goods: tuple[str, ...]


class Reviews:
    """Scored reviews, none of which appears twice. A habit is a buyer."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.levels = [level for level, weight in LEVEL_WEIGHTS.items() for _ in range(weight)]
        self.seen: set[str] = set()

    def habits(self, count: int) -> list[Buyer]:
        """Buyers of two goods each, with the shifts dealt evenly."""
        return [
            Buyer(shift, tuple(deal(tuple(GOODS), 2, self.rng)))
            for shift in deal(SHIFTS, count, self.rng)
        ]

    def earlier(self, habit: Buyer) -> Buyer:
        """The same goods, scored more harshly or more generously."""
        return habit._replace(shift=EARLIER_SHIFTS[habit.shift])

    def item(self, habit: Buyer) -> Item:
        """A review of something that the user buys."""
        goods = GOODS[self.rng.choice(habit.goods)]
        return self.new_item(goods, self.rng.choice(goods.products), habit.shift)

    def question(self, habit: Buyer) -> Question:
        """Which score the user gives with a review."""
        return ask_score(self.item(habit))

    def new_item(self, goods: Goods, product: tuple[str, str], shift: float) -> Item:
        """A review of the product and its score."""
        level = self.rng.choice(self.levels)
        text = draw_until(
            lambda: draw_review(goods, product, level, self.rng),
            lambda text: len(text.split()) in WORDS and text not in self.seen,
        )
        self.seen.add(text)
        return {"text": text, "score": score_of(level, shift, self.rng)}


def ask_score(review: Item) -> Question:
    """Which score belongs to the text of the review."""
    return Question(PROMPT + review["text"], review["score"])


def draw_users(users: int, sizes: Sequence[int], rng: random.Random) -> list[User]:
    """Users with one question each, and with the sizes of text and question dealt evenly."""
    reviews = Reviews(rng)
    drawn: list[User] = []
    shifts = deal(SHIFTS, users, rng)
    for shift, size in zip(shifts, deal(sizes, users, rng), strict=True):
        names = deal(tuple(GOODS), 3 if size > 10 else 2, rng)
        things = [(GOODS[name], product) for name in names for product in GOODS[name].products]
        *profile, question_item = [
            reviews.new_item(goods, product, shift) for goods, product in deal(things, size, rng)
        ]
        drawn.append(User(profile, [ask_score(question_item)]))
    return drawn
