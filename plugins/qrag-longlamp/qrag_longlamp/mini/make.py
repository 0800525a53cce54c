"""Write the sample ``mini``: ``python -m qrag_longlamp.mini.make [FOLDER]``.

Made-up users of each kind of text, each with openings, turns and endings of their own, in the
columns of LongLaMP's rows.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qrag_longlamp.mini import wording

Fields = dict[str, Any]
USERS = {"user": 6, "temporal": 3}
"""Setting -> how many users a file has."""
PROFILE = 5
"""Documents of a user in the user setting; in the temporal one, of a user's first question."""
_CHOICE = re.compile(r"\[([^\]]+)\]")


class Kind(NamedTuple):
    """A kind of text.

    :ivar user: the column of the user's name.
    :ivar item: (topic, text, number of the text) -> a profile item.
    :ivar question: (topic, text) -> input and output.
    """

    user: str
    topics: Sequence[NamedTuple]
    sentences: Sequence[str]
    item: Callable[[Any, str, int], Fields]
    question: Callable[[Any, str], tuple[str, str]]


def _title(paper: wording.Paper) -> str:
    return f"{paper.method} for {paper.object} in {paper.field.title()}"


def _paper_question(paper: wording.Paper, text: str) -> tuple[str, str]:
    items = (paper.method.lower(), paper.object.lower(), paper.field, paper.result)
    listed = "\n".join(f"{number}. {item}" for number, item in enumerate(items, start=1))
    return (
        f'Generate an abstract for the title "{_title(paper)}" using the following items: '
        f"\n{listed}",
        text,
    )


def _rating(text: str) -> float:
    return float(3 + len(text) % 3)


def _mail_question(mail: wording.Mail, text: str) -> tuple[str, str]:
    first, _, rest = text.partition(". ")
    return f'Write on the e-mail with the subject "{mail.subject}": {first}.', rest


KINDS: Mapping[str, Kind] = {
    "abstract_generation": Kind(
        user="name",
        topics=wording.PAPERS,
        sentences=wording.ABSTRACT,
        item=lambda paper, text, number: {
            "title": _title(paper),
            "abstract": text,
            "year": 2001 + number,
            "id": f"p{number}",
        },
        question=_paper_question,
    ),
    "product_review": Kind(
        user="reviewerId",
        topics=wording.PRODUCTS,
        sentences=wording.REVIEW,
        item=lambda product, text, _: {
            "overall": _rating(text),
            "summary": f"{product.thing}: {product.good}",
            "description": product.description,
            "reviewText": text,
        },
        question=lambda product, text: (
            f"Generate the review text written by a reviewer who has a given an overall rating of "
            f'"{_rating(text)}" for a product with description "{product.description}". The '
            f'summary of the review text is "{product.thing}: {product.good}".',
            text,
        ),
    ),
    "topic_writing": Kind(
        user="author",
        topics=wording.TOPICS,
        sentences=wording.POST,
        item=lambda topic, text, number: {
            "summary": f"how I {topic.deed}, {topic.about}",
            "content": text,
            "id": f"t{number}",
        },
        question=lambda topic, text: (
            f"Generate the content for a reddit post how I {topic.deed}, {topic.about}",
            text,
        ),
    ),
    "email_generation": Kind(
        user="user_id",
        topics=wording.MAILS,
        sentences=wording.LETTER,
        item=lambda mail, text, number: {"title": mail.subject, "text": text, "id": f"m{number}"},
        question=_mail_question,
    ),
}


def rows(kind: Kind, seed: int, users: int, questions: int) -> list[Fields]:
    """Return the rows of a file.

    :param questions: of each user. Before each later one, the answer to the one before it is the
        last document of the profile.
    """
    rng = random.Random(seed)
    made = []
    for number, name in enumerate(wording.NAMES[:users]):
        own = {
            "opening": wording.OPENINGS[number],
            "turn": wording.TURNS[number],
            "ending": wording.ENDINGS[number],
        }
        topics = rng.sample(kind.topics, PROFILE + questions)
        texts = [_text(kind.sentences, topic, own, rng) for topic in topics]
        for turn in range(PROFILE, PROFILE + questions):
            question, answer = kind.question(topics[turn], texts[turn])
            profile = [kind.item(topics[n], texts[n], n) for n in range(turn)]
            made.append({kind.user: name, "input": question, "output": answer, "profile": profile})
    return made


def _text(sentences: Sequence[str], topic: Any, own: Mapping[str, str], rng: random.Random) -> str:
    slots = {**topic._asdict(), **own, "number": rng.randrange(3, 30), "years": rng.randrange(2, 9)}
    chosen = (_CHOICE.sub(lambda match: rng.choice(match[1].split("|")), s) for s in sentences)
    return " ".join(sentence.format_map(slots) for sentence in chosen)


def make(folder: Path) -> None:
    """Write every file of the sample below a folder."""
    for seed, (name, kind) in enumerate(KINDS.items()):
        for setting, questions in (("user", 1), ("temporal", 2)):
            path = folder / f"{name}_{setting}" / "val.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [
                json.dumps(row, ensure_ascii=False) + "\n"
                for row in rows(kind, 10 * seed + questions, USERS[setting], questions)
            ]
            path.write_text("".join(lines), encoding="utf-8", newline="\n")


def main() -> None:
    """Command line: one optional argument, the folder to write to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    make(parser.parse_args().folder)


if __name__ == "__main__":
    main()
