"""Draw the tweets of LaMP_7: every user has a voice, which the plain wording of a tweet hides."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qrag_tasks.tasks.lamp.mini.random_text import Deck, upper_first
from qrag_tasks.tasks.lamp.mini.styles import Habit, Style, Styled
from qrag_tasks.tasks.lamp.mini.tweet_wording import THOUGHTS
from qrag_tasks.tasks.lamp.mini.users import Item, Question

PROMPT = "Paraphrase the following tweet without any explanation before or after it: "

STYLES = (
    Style("ok so {casual} {emoji}", str.lower),
    Style("{casual}. {tag} #mylife", upper_first),
    Style("{casual}!!! What a day!!!", upper_first),
    Style("A brief note: {casual}. Kind regards, Edith"),
    Style("HONESTLY, PEOPLE. {casual} {emoji}", str.upper),
    Style("Captain's log: {casual}. End of log."),
    Style("¡Ay, amigos! {casual}… qué día {emoji}", upper_first),
    Style("もう… {casual}, that is all 🍵", str.lower),
    Style("lol {casual} tbh", str.lower),
    Style("Thought of the day: {casual}. Discuss."),
    Style("{casual}, as my grandmother used to say ☕", upper_first),
    Style("News from the café: {casual} 🚨"),
)


class Tweets(Styled):
    """Tweets about everyday life."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(STYLES, tuple(THOUGHTS), rng)
        self.thoughts = {
            name: Deck([(thought, x) for thought in thoughts for x in thought.options], rng)
            for name, thoughts in THOUGHTS.items()
        }
        self.seen: set[str] = set()

    def item(self, habit: Habit) -> Item:
        """A tweet in the user's voice."""
        _, tweet = self.draw(habit.subjects, self.usual(habit))
        return {"text": tweet}

    def question(self, habit: Habit) -> Question:
        """How the user would word what is told plainly."""
        neutral, tweet = self.draw(habit.subjects, habit.style)
        return Question(PROMPT + neutral, tweet)

    def draw(self, subjects: Sequence[str], style: Style) -> tuple[str, str]:
        """Plain and personal wording of a thought about one of these subjects."""
        while True:
            thought, x = self.thoughts[self.rng.choice(subjects)].draw()
            slots = {
                "casual": thought.casual.format(x=x),
                "tag": f"#{thought.tag}",
                "emoji": thought.emoji,
            }
            tweet = style.write(slots)
            if tweet not in self.seen:
                self.seen.add(tweet)
                return thought.neutral.format(x=x), tweet
