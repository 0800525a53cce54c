"""Draw the papers of LaMP_5: writers have a title style, so an abstract alone hides its title."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from qrag_tasks.benchmark.mini import paper_wording as wording
from qrag_tasks.benchmark.mini.paper_wording import FIELDS, TITLE_FRAMES, Field
from qrag_tasks.benchmark.mini.random_text import deal, draw_until, expand, upper_first

WORDS = range(40, 61)

# How often a writer keeps to the own title frame.
STYLE_CONSISTENCY = 0.9

SMALL_WORDS = ("a", "an", "and", "for", "in", "of", "on", "the", "to", "with")


def title_case(phrase: str) -> str:
    """The phrase as it stands in a title; small words inside it stay small."""
    parts = re.split(r"([ -])", phrase)
    return "".join(
        part if i and part in SMALL_WORDS else part[:1].upper() + part[1:]
        for i, part in enumerate(parts)
    )


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


def draw_users(users: int, sizes: Sequence[int], rng: random.Random) -> list[list[dict[str, str]]]:
    """The papers of each user, with the sizes dealt evenly; no title stands twice."""
    names = ["".join(parts) for parts in itertools.product(*wording.NAME_PARTS)]
    rng.shuffle(names)
    taken: set[str] = set()

    def new_paper(field: Field, own_frame: str) -> Paper:
        while True:
            frame = own_frame
            if rng.random() >= STYLE_CONSISTENCY:
                frame = rng.choice([other for other in TITLE_FRAMES if other != own_frame])
            paper = Paper(
                field,
                frame,
                {
                    "m": rng.choice(field.methods),
                    "o": rng.choice(field.objects),
                    "s": rng.choice(field.settings),
                    "d": rng.choice(field.sources),
                    "q": rng.choice(wording.QUALITIES),
                    "name": names[-1],
                },
            )
            if paper.title() not in taken:
                taken.add(paper.title())
                if "{name}" in frame:
                    names.pop()
                return paper

    drawn: list[list[dict[str, str]]] = []
    frames = deal(TITLE_FRAMES, users, rng)
    dealt_sizes = deal(sizes, users, rng)
    interests = deal(wording.NEIGHBORS, users, rng)
    for frame, size, pair in zip(frames, dealt_sizes, interests, strict=True):
        fields = [FIELDS[name] for name in (pair if size > 9 else pair[:1])]
        items: list[dict[str, str]] = []
        for field in deal(fields, size, rng):
            paper = new_paper(field, frame)
            items.append({"title": paper.title(), "abstract": full_abstract(paper, rng)})
        drawn.append(items)
    return drawn
