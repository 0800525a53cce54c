"""Draw the papers of LaMP_5: writers have a title style, so an abstract alone hides its title."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from qrag_tasks.tasks.lamp.mini import paper_wording as wording
from qrag_tasks.tasks.lamp.mini.paper_wording import FIELDS, NEIGHBORS, TITLE_FRAMES, Field
from qrag_tasks.tasks.lamp.mini.random_text import deal, draw_until, expand, upper_first
from qrag_tasks.tasks.lamp.mini.styles import title_case
from qrag_tasks.tasks.lamp.mini.users import Item, Question, User

PROMPT = "Generate a title for the following abstract of a paper: "
WORDS = range(40, 61)

# How often a writer keeps to the own title frame.
STYLE_CONSISTENCY = 0.9


class Paper(NamedTuple):
    """What a paper is about; every slot of its title also stands in its abstract."""

    field: Field
    frame: str
    topic: dict[str, str]  # m, o, s, d, q, name

    def title(self) -> str:
        """The topic in the writer's frame."""
        return self.frame.format_map({key: title_case(word) for key, word in self.topic.items()})


def draw_abstract(paper: Paper, rng: random.Random) -> str:
    """An abstract of any length, which may leave a part of the topic out."""
    field, topic = paper.field, paper.topic
    change = rng.choice(field.changes)
    slots = {
        **topic,
        "O": upper_first(topic["o"]),
        "M": upper_first(topic["m"]),
        "change": change,
        "Change": upper_first(change),
        "low": str(rng.randrange(2, 6)),
        "pct": str(rng.randrange(6, 38)),
    }
    aims: Sequence[str] = wording.TRIAL_AIMS if field.trial else wording.METHOD_AIMS
    if "{name}" in paper.frame:
        aims = wording.TRIAL_NAME_AIMS if field.trial else wording.METHOD_NAME_AIMS
    elif "{q}" in paper.frame:
        aims = wording.QUALITY_AIMS
    templates = [
        rng.choice(field.openers if rng.random() < 0.6 else wording.SHARED_OPENERS),
        rng.choice(wording.GAPS) if rng.random() < 0.4 else "",
        rng.choice(aims),
        rng.choice(wording.TRIAL_EVIDENCE if field.trial else wording.METHOD_EVIDENCE),
        rng.choice(wording.RESULTS),
        rng.choice(field.findings) if rng.random() < 0.6 else "",
        rng.choice(wording.OUTLOOKS) if rng.random() < 0.5 else "",
    ]
    return " ".join(expand(template, slots, rng) for template in templates if template)


def full_abstract(paper: Paper, rng: random.Random) -> str:
    """An abstract of the agreed length that names method, object, setting and source."""

    def fits(text: str) -> bool:
        lowered = text.lower()
        needed = [paper.topic[key].lower() for key in "mosd"]
        return len(text.split()) in WORDS and all(word in lowered for word in needed)

    return draw_until(lambda: draw_abstract(paper, rng), fits)


class Author(NamedTuple):
    """A writer's title frame, and the names of the fields written about."""

    frame: str
    fields: tuple[str, ...]


class Papers:
    """Papers of writers, no title of which appears twice. A habit is a writer."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names = ["".join(parts) for parts in itertools.product(*wording.NAME_PARTS)]
        rng.shuffle(self.names)
        self.taken: set[str] = set()

    def habits(self, count: int) -> list[Author]:
        """Writers with two fields each, with frames and fields dealt evenly."""
        frames = deal(TITLE_FRAMES, count, self.rng)
        pairs = deal(NEIGHBORS, count, self.rng)
        return [Author(frame, pair) for frame, pair in zip(frames, pairs, strict=True)]

    def earlier(self, habit: Author) -> Author:
        """The same fields under another frame."""
        return habit._replace(frame=self.other_frame(habit.frame))

    def item(self, habit: Author) -> Item:
        """A paper from one of the writer's fields."""
        return self.new_item(FIELDS[self.rng.choice(habit.fields)], habit.frame)

    def question(self, habit: Author) -> Question:
        """Which title the writer gives to a paper."""
        return ask_title(self.item(habit))

    def new_item(self, field: Field, own_frame: str) -> Item:
        """Title and abstract of a paper by someone who owns this frame."""
        paper = self.new_paper(field, own_frame)
        return {"title": paper.title(), "abstract": full_abstract(paper, self.rng)}

    def new_paper(self, field: Field, own_frame: str) -> Paper:
        """A paper by someone who owns this frame; its title is new."""
        while True:
            frame = own_frame
            if self.rng.random() >= STYLE_CONSISTENCY:
                frame = self.other_frame(own_frame)
            paper = Paper(
                field,
                frame,
                {
                    "m": self.rng.choice(field.methods),
                    "o": self.rng.choice(field.objects),
                    "s": self.rng.choice(field.settings),
                    "d": self.rng.choice(field.sources),
                    "q": self.rng.choice(wording.QUALITIES),
                    "name": self.names[-1],
                },
            )
            if paper.title() not in self.taken:
                self.taken.add(paper.title())
                if "{name}" in frame:
                    self.names.pop()
                return paper

    def other_frame(self, frame: str) -> str:
        """Any frame but this one."""
        return self.rng.choice([other for other in TITLE_FRAMES if other != frame])


def ask_title(paper: Item) -> Question:
    """Which title belongs to the abstract of the paper."""
    return Question(PROMPT + paper["abstract"], paper["title"])


def draw_users(users: int, sizes: Sequence[int], rng: random.Random) -> list[User]:
    """Users with one question each, and with the sizes of text and question dealt evenly."""
    papers = Papers(rng)
    drawn: list[User] = []
    frames = deal(TITLE_FRAMES, users, rng)
    dealt_sizes = deal(sizes, users, rng)
    interests = deal(NEIGHBORS, users, rng)
    for frame, size, pair in zip(frames, dealt_sizes, interests, strict=True):
        fields = [FIELDS[name] for name in (pair if size > 9 else pair[:1])]
        *profile, question_item = [
            papers.new_item(field, frame) for field in deal(fields, size, rng)
        ]
        drawn.append(User(profile, [ask_title(question_item)]))
    return drawn
