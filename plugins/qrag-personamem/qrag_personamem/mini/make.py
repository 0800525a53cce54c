"""Makes the embedded sample: ``python -m qrag_personamem.mini.make FOLDER``.

A user likes one thing of each topic and says so in one session; some say in a later one that it has
become another. Every question is about one topic, and its options name four things of it: so it is
known in which session the answer lies. Nobody in it is real. Tokens are counted as words.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOPICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "bookRecommendation": (
        "what to read on the train",
        ("sea stories", "short poems", "crime novels", "old diaries", "letters", "fables"),
    ),
    "foodRecommendation": (
        "what to cook tonight",
        ("lentil stew", "mushroom pie", "rice noodles", "baked beets", "fish soup", "dumplings"),
    ),
    "musicRecommendation": (
        "what to listen to while I work",
        ("cello suites", "brass bands", "folk songs", "piano trios", "choirs", "slow jazz"),
    ),
    "sportsRecommendation": (
        "how to move a little more",
        ("rowing", "fencing", "bouldering", "swimming", "table tennis", "skating"),
    ),
    "travelPlanning": (
        "where to go for a long weekend",
        ("lake villages", "night trains", "salt marshes", "harbour towns", "moors", "vineyards"),
    ),
    "homeDecoration": (
        "how to do up the kitchen",
        ("blue tiles", "open shelves", "oak boards", "copper pans", "linen blinds", "ferns"),
    ),
}
"""Topic -> what a question is about, and the things that users like."""
_NAMES = (
    *("Ada", "Bruno", "Carla", "Demir", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas"),
    *("Kaya", "Leon", "Mira", "Nils", "Olga", "Pavel", "Ruth", "Sami", "Tilda", "Umar"),
)
_JOBS = ("baker", "surveyor", "nurse", "violin maker", "tram driver", "botanist", "welder")
_SMALL_TALK = (
    ("It has rained here all week.", "Then it is a good week to stay in."),
    ("My neighbour is learning the trumpet.", "I hope the walls are thick."),
    ("I am back from a long shift.", "Then let us keep this short."),
    ("The market was closed today.", "It opens again on Saturday, I believe."),
)
_ASKED = (
    ("recall_user_shared_facts", "Do you remember what I told you about {about}?"),
    ("suggest_new_ideas", "Have you a new idea for {about}?"),
    ("provide_preference_aligned_recommendations", "Could you recommend {about}?"),
)
_UPDATED = (
    ("acknowledge_latest_user_preferences", "I am thinking again about {about}."),
    ("revisit_reasons_behind_preference_updates", "Why did I change my mind about {about}?"),
)
COLUMNS = (
    *("persona_id", "question_id", "question_type", "topic"),
    *("context_length_in_tokens", "context_length_in_letters"),
    *("distance_to_ref_in_blocks", "distance_to_ref_in_tokens", "num_irrelevant_tokens"),
    *("distance_to_ref_proportion_in_context", "user_question_or_message", "correct_answer"),
    *("all_options", "shared_context_id", "end_index_in_shared_context"),
)


@dataclass(frozen=True)
class Told:
    """What a session tells of a topic.

    :ivar message: number of the message that tells it.
    """

    topic: str
    thing: str
    session: int
    message: int
    updates: bool


def make(folder: Path, size: str, users: int = 10, sessions: int = 8, seed: int = 11) -> None:
    """Write the two files of one size.

    :param sessions: of each user; every one tells something, and is followed by a question.
    """
    contexts, rows = [], []
    for user in range(users):
        rng = random.Random(f"{seed}-{user}")
        history, told = _history(rng, user, sessions)
        name = hashlib.sha256(json.dumps(history).encode()).hexdigest()
        contexts.append({name: [{"role": role, "content": content} for role, content in history]})
        rows += [{**row, "shared_context_id": name} for row in _questions(rng, user, history, told)]
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(context) + "\n" for context in contexts)
    (folder / f"shared_contexts_{size}.jsonl").write_text(lines, encoding="utf-8")
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / f"questions_{size}.csv").write_text(out.getvalue(), encoding="utf-8")


def _history(
    rng: random.Random, user: int, sessions: int
) -> tuple[list[tuple[str, str]], list[Told]]:
    """Return messages as role and content, and what each session tells."""
    persona = (
        f"Current user persona: {_NAMES[user % len(_NAMES)]} is {rng.randint(24, 70)} years old "
        f"and a {rng.choice(_JOBS)}."
    )
    history: list[tuple[str, str]] = []
    told: list[Told] = []
    topics: list[str] = []
    for session in range(sessions):
        if not topics:
            topics = rng.sample(list(TOPICS), len(TOPICS))
        topic = topics.pop()
        about, things = TOPICS[topic]
        before = [one.thing for one in told if one.topic == topic]
        thing = rng.choice([one for one in things if one not in before])
        said, answered = rng.choice(_SMALL_TALK)
        history += [
            ("system", persona),
            ("user", f"User: {said}"),
            ("assistant", f"Assistant: {answered}"),
        ]
        told.append(Told(topic, thing, session, len(history), bool(before)))
        if before:
            text = f"I have had enough of {before[-1]}. Of late it is {thing} that I like best."
        else:
            text = f"When I think about {about}, it is {thing} that I like best."
        history += [
            ("user", f"User: {text}"),
            ("assistant", f"Assistant: I see. I will keep {thing} in mind."),
        ]
    return history, told


def _questions(
    rng: random.Random, user: int, history: Sequence[tuple[str, str]], told: Sequence[Told]
) -> Iterator[dict[str, object]]:
    """Yield a question after each session: about what this or an earlier one told."""
    ends = [one.message for one in told[1:]]
    for last, session in enumerate(told):
        # A session begins with three messages before the one that tells something.
        end = ends[last] - 3 if last < len(ends) else len(history)
        latest = {one.topic: one for one in told[: last + 1]}
        about = rng.choice(sorted(latest.values(), key=lambda one: one.session))
        subject, things = TOPICS[about.topic]
        question_type, text = rng.choice(_UPDATED if about.updates else _ASKED)
        former = [
            one.thing for one in told[: last + 1] if one.topic == about.topic and one != about
        ]
        others = [one for one in things if one != about.thing and one not in former]
        wrong = [*former[-1:], *rng.sample(others, 3)][:3]
        options = rng.sample([about.thing, *wrong], 4)
        seen = [content for _, content in history[:end]]
        words, since = _words(seen), _words(seen[about.message :])
        yield {
            "persona_id": user,
            "question_id": f"mini-{user}-{last}",
            "question_type": question_type,
            "topic": about.topic,
            "context_length_in_tokens": words,
            "context_length_in_letters": sum(map(len, seen)),
            "distance_to_ref_in_blocks": session.session - about.session,
            "distance_to_ref_in_tokens": since,
            "num_irrelevant_tokens": 0,
            "distance_to_ref_proportion_in_context": f"{100 * since / words:.2f}%",
            "user_question_or_message": text.format(about=subject),
            "correct_answer": f"({'abcd'[options.index(about.thing)]})",
            "all_options": str(
                [
                    f"({mark}) You told me that you like {option} best, so how about that?"
                    for mark, option in zip("abcd", options, strict=True)
                ]
            ),
            "end_index_in_shared_context": end,
        }


def _words(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent, "mini")
