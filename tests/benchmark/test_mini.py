"""Tests of the sample data set `mini`: its bytes, its format, and that its profiles matter."""

from __future__ import annotations

import collections
import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from rouge_score.rouge_scorer import RougeScorer

import qrag_tasks.benchmark.mini

MINI = Path(qrag_tasks.benchmark.mini.__file__).parent
FILES = [
    f"{task}/dev/{name}.json"
    for task in ("LaMP_3", "LaMP_5")
    for name in ("dev_questions", "dev_outputs")
]
PROMPTS = {
    "LaMP_3": "What is the score of the following review on a scale of 1 to 5? just answer with "
    "1, 2, 3, 4, or 5 without further explanation. review: ",
    "LaMP_5": "Generate a title for the following abstract of a paper: ",
}
ITEM_FIELDS = {"LaMP_3": {"id", "text", "score"}, "LaMP_5": {"id", "title", "abstract"}}
TEXT_FIELD = {"LaMP_3": "text", "LaMP_5": "abstract"}
# Short on purpose: the demo runs on a CPU.
WORDS = {"LaMP_3": range(35, 66), "LaMP_5": range(40, 61)}

Floats = npt.NDArray[np.float64]

tasks = pytest.mark.parametrize("task", ["LaMP_3", "LaMP_5"])


class User(NamedTuple):
    """One question with its profile and its gold answer."""

    text: str
    profile: list[dict[str, str]]
    gold: str


def load(task: str, name: str) -> Any:
    return json.loads((MINI / task / "dev" / f"dev_{name}.json").read_text(encoding="utf-8"))


@functools.cache
def users(task: str) -> list[User]:
    golds = {gold["id"]: gold["output"] for gold in load(task, "outputs")["golds"]}
    return [
        User(entry["input"].removeprefix(PROMPTS[task]), entry["profile"], golds[entry["id"]])
        for entry in load(task, "questions")
    ]


# -- bytes and format -----------------------------------------------------------------------------


def test_regenerating_gives_the_committed_bytes(tmp_path: Path) -> None:
    # A fresh process, so that a random hash seed would show.
    subprocess.run(
        [sys.executable, "-m", "qrag_tasks.benchmark.mini.make", str(tmp_path)], check=True
    )
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json"))
    assert written == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (MINI / name).read_bytes(), name


@pytest.mark.parametrize("name", FILES)
def test_files_are_small_and_plainly_written(name: str) -> None:
    data = (MINI / name).read_bytes()
    assert len(data) < 400_000
    assert data.endswith((b"]\n", b"}\n"))
    assert b"\r" not in data


@tasks
def test_ids_are_unique_digits_and_golds_match_questions(task: str) -> None:
    questions = load(task, "questions")
    outputs = load(task, "outputs")
    ids = [question["id"] for question in questions]
    ids += [item["id"] for question in questions for item in question["profile"]]
    assert all(re.fullmatch("[0-9]+", text) for text in ids)
    assert len(set(ids)) == len(ids)
    assert outputs["task"] == task
    assert [gold["id"] for gold in outputs["golds"]] == [question["id"] for question in questions]


@tasks
def test_fields_and_sizes(task: str) -> None:
    questions = load(task, "questions")
    assert len(questions) == 40
    assert {len(question["profile"]) for question in questions} == set(range(6, 15))
    for question in questions:
        assert question.keys() == {"id", "input", "profile"}
        assert question["input"].startswith(PROMPTS[task])
        for item in question["profile"]:
            assert item.keys() == ITEM_FIELDS[task]
            assert all(isinstance(value, str) and value for value in item.values())
    assert load(task, "outputs").keys() == {"task", "golds"}
    assert all(gold.keys() == {"id", "output"} for gold in load(task, "outputs")["golds"])


@tasks
def test_texts_are_distinct_and_of_the_agreed_length(task: str) -> None:
    texts = [user.text for user in users(task)]
    texts += [item[TEXT_FIELD[task]] for user in users(task) for item in user.profile]
    # With no text standing twice, no held-out text stands in its own profile.
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert len(text.split()) in WORDS[task], text
        assert text.isascii()
        assert not re.search(r"[\[\]{}|]|  |\.\.| [,.]", text), text
        assert all(sentence[0].isupper() for sentence in re.split(r"(?<=[.?!]) ", text)), text


def test_scores_cover_the_scale() -> None:
    golds = collections.Counter(user.gold for user in users("LaMP_3"))
    items = collections.Counter(item["score"] for user in users("LaMP_3") for item in user.profile)
    assert golds.keys() == items.keys() == set("12345")
    assert min(golds.values()) >= 4
    assert max(golds.values()) <= 14


def test_titles_are_distinct() -> None:
    titles = [user.gold for user in users("LaMP_5")]
    titles += [item["title"] for user in users("LaMP_5") for item in user.profile]
    assert len(set(titles)) == len(titles)


def test_profiles_share_vocabulary_with_their_question() -> None:
    # What lexical retrieval lives on: rare words in common, more of them at home than elsewhere.
    for task in ("LaMP_3", "LaMP_5"):
        people = users(task)
        vocabularies = [
            {word for item in user.profile for word in tokens(item[TEXT_FIELD[task]])}
            for user in people
        ]
        spread = collections.Counter(word for words in vocabularies for word in words)
        rare = [{w for w in tokens(user.text) if spread[w] <= len(people) / 4} for user in people]
        n = len(people)
        own = np.mean([len(rare[i] & vocabularies[i]) for i in range(n)])
        other = np.mean(
            [len(rare[i] & vocabularies[j]) for i in range(n) for j in range(n) if i != j]
        )
        assert own > 2 * other, task


# -- the profile matters --------------------------------------------------------------------------
#
# Each reader answers every question from three sources: no profile, the own profile, and the
# profile of the user `step` places further on, for every step. The last is the control: if the own
# profile beats all 39 foreign ones, the gain comes from whose profile it is, and not by luck.


def tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


class BagOfWords:
    """Ridge regression of a score on the words of a text."""

    def __init__(self, texts: list[str], scores: Floats, penalty: float = 10.0) -> None:
        vocabulary = sorted({word for text in texts for word in tokens(text)})
        self._column = {word: i for i, word in enumerate(vocabulary)}
        x = self._words(texts)
        self._center, self._mean = x.mean(axis=0), scores.mean()
        x = x - self._center
        gram = x @ x.T + penalty * np.eye(len(texts))
        self._weights: Floats = x.T @ np.linalg.solve(gram, scores - self._mean)

    def _words(self, texts: list[str]) -> Floats:
        x = np.zeros((len(texts), len(self._column)))
        for row, text in enumerate(texts):
            x[row, [self._column[word] for word in tokens(text) if word in self._column]] = 1
        return x

    def predict(self, texts: list[str]) -> Floats:
        scores: Floats = self._mean + (self._words(texts) - self._center) @ self._weights
        return scores


@functools.cache
def review_errors() -> tuple[float, list[float]]:
    """The MAE without a profile, and with the profile of the user 0, 1, ... places further on."""
    people = users("LaMP_3")
    owners = np.array([j for j, user in enumerate(people) for _ in user.profile])
    texts = [item["text"] for user in people for item in user.profile]
    scores = np.array([float(item["score"]) for user in people for item in user.profile])
    without: list[float] = []
    with_profile: list[list[float]] = []
    for i, user in enumerate(people):
        known = np.flatnonzero(owners != i)
        model = BagOfWords([texts[k] for k in known], scores[known])
        plain, *expected = model.predict([user.text, *texts])
        residuals = scores - np.array(expected)
        shifts = [residuals[owners == j].mean() for j in range(len(people))]
        gold = float(user.gold)
        without.append(abs(np.clip(plain, 1, 5) - gold))
        with_profile.append(
            [abs(np.clip(plain + shift, 1, 5) - gold) for shift in shifts[i:] + shifts[:i]]
        )
    return float(np.mean(without)), [float(error) for error in np.mean(with_profile, axis=0)]


def test_reviews_are_scored_better_with_the_profile() -> None:
    without, (own, *_) = review_errors()
    assert own < 0.75 * without


def test_reviews_need_the_profile_of_the_right_user() -> None:
    without, (own, *others) = review_errors()
    assert own < 0.8 * min(others)
    assert np.mean(others) > 0.95 * without


# Words that hold a title together; they belong to the frame even where the abstract has them too.
GLUE = frozenset({"a", "about", "does", "for", "from", "in", "of", "on", "the", "to", "us", "with"})
SLOT = "_"
# How often a phrase was seen after a word of a frame, or ("") at its beginning.
Places = collections.Counter[tuple[tuple[str, ...], str]]


def slot_out(title: str, abstract: str) -> tuple[list[str], list[list[str]]]:
    """The title's frame, with a slot for each run of words from the abstract, and those runs."""
    abstract_words = set(tokens(abstract))
    frame: list[str] = []
    runs: list[list[str]] = []
    for word in tokens(title):
        if word in GLUE or word not in abstract_words:
            frame.append(word)
        elif frame and frame[-1] == SLOT:
            runs[-1].append(word)
        else:
            frame.append(SLOT)
            runs.append([word])
    return frame, runs


def topic_phrases(abstract: str, known: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The known phrases of the abstract, longest match first, in order of appearance."""
    words = tokens(abstract)
    longest = max(map(len, known))
    found: list[tuple[str, ...]] = []
    i = 0
    while i < len(words):
        for size in range(min(longest, len(words) - i), 0, -1):
            phrase = tuple(words[i : i + size])
            if phrase in known:
                if phrase not in found:
                    found.append(phrase)
                i += size
                break
        else:
            i += 1
    return found


def write_title(frame: tuple[str, ...], phrases: list[tuple[str, ...]], places: Places) -> str:
    """The frame with each slot filled by the phrase most often seen in such a place."""
    left = list(phrases)
    words: list[str] = []
    for i, word in enumerate(frame):
        if word != SLOT:
            words.append(word)
        elif left:
            place = frame[i - 1] if i else ""
            best = max(left, key=lambda phrase: places[phrase, place])
            left.remove(best)
            words.extend(best)
    return " ".join(words)


@functools.cache
def title_scores() -> tuple[float, list[float]]:
    """ROUGE-L without a profile, and with that of the user 0, 1, ... places further on."""
    people = users("LaMP_5")
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    slotted = [
        [slot_out(item["title"], item["abstract"]) for item in user.profile] for user in people
    ]

    def score(gold: str, title: str) -> float:
        return float(scorer.score(gold, title)["rougeL"].fmeasure)

    frames = [
        collections.Counter(tuple(frame) for frame, _ in items).most_common(1)[0][0]
        for items in slotted
    ]
    without: list[float] = []
    with_profile: list[list[float]] = []
    for i, user in enumerate(people):
        places: Places = collections.Counter()
        for j, items in enumerate(slotted):
            for frame, runs in items if j != i else []:
                slots = [k for k, word in enumerate(frame) if word == SLOT]
                for k, run in zip(slots, runs, strict=True):
                    places[tuple(run), frame[k - 1] if k else ""] += 1
        phrases = topic_phrases(user.text, {phrase for phrase, _ in places})
        without.append(score(user.gold, write_title((SLOT, "for", SLOT), phrases, places)))
        with_profile.append(
            [
                score(user.gold, write_title(frames[(i + step) % len(people)], phrases, places))
                for step in range(len(people))
            ]
        )
    return float(np.mean(without)), [float(value) for value in np.mean(with_profile, axis=0)]


def test_titles_are_written_better_with_the_profile() -> None:
    without, (own, *_) = title_scores()
    assert own > without + 0.15


def test_titles_need_the_profile_of_the_right_user() -> None:
    without, (own, *others) = title_scores()
    assert own > max(others) + 0.1
    assert np.mean(others) < without
