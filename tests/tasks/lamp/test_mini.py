"""Tests of the sample data set `mini`: its bytes, its format, and that its profiles matter."""

from __future__ import annotations

import collections
import datetime
import functools
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from rouge_score.rouge_scorer import RougeScorer

import qrag_tasks.tasks.lamp.mini
from qrag_tasks.tasks.lamp import queries
from qrag_tasks.tasks.lamp.layout import files_of
from qrag_tasks.tasks.lamp.mini.film_wording import THEMES
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

MINI = Path(qrag_tasks.tasks.lamp.mini.__file__).parent

# Data sets by their path, as LaMP has them below its data root.
USER_SPLIT = {
    "LaMP_1": "LaMP_1",
    "LaMP_2/new": "LaMP_2",
    "LaMP_3": "LaMP_3",
    "LaMP_4": "LaMP_4",
    "LaMP_5": "LaMP_5",
    "LaMP_6": "LaMP_6",
    "LaMP_7": "LaMP_7",
}
TIME_SPLIT = {f"time/{path}": task for path, task in USER_SPLIT.items()}
TASKS = USER_SPLIT | TIME_SPLIT
LARGE = ("LaMP_3", "LaMP_5")
SMALL = tuple(path for path in TASKS if path not in LARGE)
FILES = [f"{path}/dev/{name}.json" for path in TASKS for name in ("dev_questions", "dev_outputs")]

PROMPTS = {
    "LaMP_1": "For an author who has written the paper with the title ",
    "LaMP_2": "Which tag does this movie relate to among the following tags? Just answer with the "
    "tag name without further explanation. tags: [sci-fi, based on a book, comedy, action, twist "
    "ending, dystopia, dark comedy, classic, psychology, fantasy, romance, thought-provoking, "
    "social commentary, violence, true story] description: ",
    "LaMP_3": "What is the score of the following review on a scale of 1 to 5? just answer with "
    "1, 2, 3, 4, or 5 without further explanation. review: ",
    "LaMP_4": "Generate a headline for the following article: ",
    "LaMP_5": "Generate a title for the following abstract of a paper: ",
    "LaMP_6": "Generate a subject for the following email: ",
    "LaMP_7": "Paraphrase the following tweet without any explanation before or after it: ",
}
CITATION = re.compile(
    r'For an author who has written the paper with the title "(.+)", which reference is related\? '
    r'Just answer with \[1\] or \[2\] without explanation\. \[1\]: "(.+)" \[2\]: "(.+)"'
)
ITEM_FIELDS = {
    "LaMP_1": {"id", "title", "abstract"},
    "LaMP_2": {"id", "tag", "description"},
    "LaMP_3": {"id", "text", "score"},
    "LaMP_4": {"id", "title", "text"},
    "LaMP_5": {"id", "title", "abstract"},
    "LaMP_6": {"id", "text", "title"},
    "LaMP_7": {"id", "text"},
}
TEXT_FIELD = {
    "LaMP_1": "abstract",
    "LaMP_2": "description",
    "LaMP_3": "text",
    "LaMP_4": "text",
    "LaMP_5": "abstract",
    "LaMP_6": "text",
    "LaMP_7": "text",
}
# The field that a user chose the words of, where there is one.
OWN_FIELD = {"LaMP_4": "title", "LaMP_5": "title", "LaMP_6": "title", "LaMP_7": "text"}
# Short on purpose: the demo runs on a CPU.
WORDS = {
    "LaMP_1": range(40, 61),
    "LaMP_2": range(25, 61),
    "LaMP_3": range(35, 66),
    "LaMP_4": range(25, 61),
    "LaMP_5": range(40, 61),
    "LaMP_6": range(25, 61),
    "LaMP_7": range(3, 25),
}

Floats = npt.NDArray[np.float64]
Item = dict[str, str]

data_sets = pytest.mark.parametrize("path", TASKS)
small = pytest.mark.parametrize("path", SMALL)
time_split = pytest.mark.parametrize("path", TIME_SPLIT)


class User(NamedTuple):
    """One question with its profile and its gold answer."""

    text: str
    profile: list[Item]
    gold: str


def load(path: str, name: str) -> Any:
    return json.loads((MINI / path / "dev" / f"dev_{name}.json").read_text(encoding="utf-8"))


@functools.cache
def users(path: str) -> list[User]:
    """One entry a question: a user who is asked twice comes twice."""
    golds = {gold["id"]: gold["output"] for gold in load(path, "outputs")["golds"]}
    prompt = PROMPTS[TASKS[path]]
    return [
        User(entry["input"].removeprefix(prompt), entry["profile"], golds[entry["id"]])
        for entry in load(path, "questions")
    ]


def profiles(path: str) -> list[list[Item]]:
    """Each profile once, except empty ones, which have no ids to be told apart by."""
    by_ids = {tuple(item["id"] for item in user.profile): user.profile for user in users(path)}
    return list(by_ids.values())


# -- bytes and format -----------------------------------------------------------------------------


def test_regenerating_gives_the_committed_bytes(tmp_path: Path) -> None:
    # A fresh process, so that a random hash seed would show.
    subprocess.run(
        [sys.executable, "-m", "qrag_tasks.tasks.lamp.mini.make", str(tmp_path)], check=True
    )
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json"))
    assert written == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (MINI / name).read_bytes(), name


def test_there_are_no_other_files() -> None:
    assert sorted(path.relative_to(MINI).as_posix() for path in MINI.rglob("*.json")) == sorted(
        FILES
    )


@pytest.mark.parametrize("name", FILES)
def test_files_are_small_and_plainly_written(name: str) -> None:
    content = (MINI / name).read_bytes()
    assert len(content) < (400_000 if name.startswith(LARGE) else 100_000)
    assert content.endswith((b"]\n", b"}\n"))
    assert b"\r" not in content


@pytest.mark.parametrize("name", LAMP_TASKS)
def test_every_task_can_be_read(name: str) -> None:
    task = LAMP_TASKS[name]
    files = files_of(task)
    read = task.load("mini")
    assert read.questions == MINI / files.path / "dev" / "dev_questions.json"
    assert not read.notes
    assert len(read.samples) == len(users(files.path))
    for sample, user in zip(read.samples, users(files.path), strict=True):
        assert task.query(sample.input)
        # Years are numbers in the file, and texts once read.
        texts = [{field: str(value) for field, value in item.items()} for item in user.profile]
        assert [dict(item) for item in sample.profile] == texts
        assert sample.target == user.gold
        assert sample.user.isdigit() == files.dated


@data_sets
def test_ids_are_unique_digits_and_golds_match_questions(path: str) -> None:
    questions = load(path, "questions")
    outputs = load(path, "outputs")
    ids = [question["id"] for question in questions]
    ids += [item["id"] for profile in profiles(path) for item in profile]
    ids += {question["user_id"] for question in questions if "user_id" in question}
    assert all(re.fullmatch("[0-9]+", text) for text in ids)
    assert len(set(ids)) == len(ids)
    assert outputs["task"] == TASKS[path]
    assert [gold["id"] for gold in outputs["golds"]] == [question["id"] for question in questions]


@data_sets
def test_fields(path: str) -> None:
    task, time = TASKS[path], path in TIME_SPLIT
    for question in load(path, "questions"):
        assert question.keys() == {"id", "input", "profile"} | ({"user_id"} if time else set())
        assert question["input"].startswith(PROMPTS[task])
        for item in question["profile"]:
            assert item.keys() == ITEM_FIELDS[task] | ({"date"} if time else set())
            texts = [value for field, value in item.items() if field != "date"]
            assert all(isinstance(value, str) and value for value in texts)
    assert load(path, "outputs").keys() == {"task", "golds"}
    assert all(gold.keys() == {"id", "output"} for gold in load(path, "outputs")["golds"])


@pytest.mark.parametrize("path", LARGE)
def test_sizes_of_the_large_sets(path: str) -> None:
    assert len(users(path)) == len(profiles(path)) == 40
    assert {len(user.profile) for user in users(path)} == set(range(6, 15))


@small
def test_sizes_of_the_small_sets(path: str) -> None:
    assert len(users(path)) == (10 if path in TIME_SPLIT else 14)
    none, one, *usual, many = sorted(map(len, profiles(path)))
    assert (none, one) == (0, 1)
    assert set(usual) <= set(range(8, 15))
    assert many >= 30


@small
def test_two_users_are_asked_twice(path: str) -> None:
    questions = load(path, "questions")
    asked = [[item["id"] for item in question["profile"]] for question in questions]
    twice = [ids for i, ids in enumerate(asked) if ids in asked[i + 1 :]]
    assert len(twice) == 2
    assert [] not in twice
    # Neighbors are different people, so that the first few questions are of as many users.
    assert all(one != other for one, other in itertools.pairwise(asked))
    if path in TIME_SPLIT:
        by_user = {question["user_id"]: ids for question, ids in zip(questions, asked, strict=True)}
        assert len(by_user) == 8
        assert [by_user[question["user_id"]] for question in questions] == asked
    assert len({question["input"] for question in questions}) == len(questions)


def texts_of(path: str) -> list[str]:
    """The long texts: those of all profiles, and those asked about where they are of that kind."""
    task = TASKS[path]
    texts = [item[TEXT_FIELD[task]] for profile in profiles(path) for item in profile]
    if task != "LaMP_1":
        texts += [user.text for user in users(path)]
    return texts


@data_sets
def test_texts_are_distinct_and_of_the_agreed_length(path: str) -> None:
    texts = texts_of(path)
    # With no text standing twice, no held-out text stands in its own profile.
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert len(text.split()) in WORDS[TASKS[path]], text
        assert not re.search(r"[\[\]{}|]|  |\.\.| [,.]", text), text
        if TASKS[path] in ("LaMP_1", "LaMP_3", "LaMP_5"):
            assert text.isascii()
        if TASKS[path] != "LaMP_7":
            sentences = re.split(r'(?<=[.?!]) "?', text)
            assert all(sentence.lstrip('"')[0].isupper() for sentence in sentences), text


@pytest.mark.parametrize("path", [path for path, task in TASKS.items() if task in OWN_FIELD])
def test_answers_are_distinct(path: str) -> None:
    # So no gold stands in a profile.
    field = OWN_FIELD[TASKS[path]]
    own = [user.gold for user in users(path)]
    own += [item[field] for profile in profiles(path) for item in profile]
    assert len(set(own)) == len(own)
    for text in own:
        assert not re.search(r"[{}]|  |\.\.| [,.]", text), text


@pytest.mark.parametrize("split", ["", "time/"])
def test_titles_with_quotes_are_found(split: str) -> None:
    of_author: list[str] = []
    first: list[str] = []
    second: list[str] = []
    for user in users(f"{split}LaMP_1"):
        text = PROMPTS["LaMP_1"] + user.text
        match = CITATION.fullmatch(text)
        assert match is not None
        assert queries.candidate_titles(text) == f"{match[2]} {match[3]}"
        for titles, title in zip((of_author, first, second), match.groups(), strict=True):
            titles.append(title)
    assert any('"' in title for title in of_author)
    assert any('"' in title for title in first)
    # A title that begins or ends with a quoted word stands within two pairs of quotes.
    assert any(title.startswith('"') for title in of_author + first + second)
    titles = [item["title"] for profile in profiles(f"{split}LaMP_1") for item in profile]
    assert not set(titles) & {*of_author, *first, *second}
    assert len({*first, *second}) == len(first + second)


def test_labels_are_dealt_fairly() -> None:
    for path in ("LaMP_1", "time/LaMP_1"):
        golds = collections.Counter(user.gold for user in users(path))
        assert golds["[1]"] == golds["[2]"] == len(users(path)) / 2
    for path in ("LaMP_2/new", "time/LaMP_2/new"):
        films = [item for profile in profiles(path) for item in profile]
        tags = {film["tag"] for film in films}
        assert all(film["tag"] in fitting_tags(film["description"]) for film in films)
        assert tags == set(queries.MOVIE_TAGS)
        assert {user.gold for user in users(path)} <= tags
        assert len({user.gold for user in users(path)}) >= 7


def test_scripts_and_emoji() -> None:
    for path in ("LaMP_7", "time/LaMP_7"):
        text = " ".join([user.gold for user in users(path)] + texts_of(path))
        assert re.search("[\u3040-\u30ff]", text)  # kana
        assert re.search("[à-ÿ]", text)
        assert re.search("[\U0001f300-\U0001faff]", text)  # emoji


@time_split
def test_dates(path: str) -> None:
    in_order = []
    for profile in profiles(path):
        dates = [item["date"] for item in profile]
        if TASKS[path] in ("LaMP_1", "LaMP_5"):
            # As LaMP dates papers: by the year, a number. Some are of one year.
            assert all(type(date) is int and 1990 <= date < 2025 for date in dates)
            assert len(set(dates)) > 1 or len(dates) < 2
        else:
            assert all(datetime.date.fromisoformat(date).isoformat() == date for date in dates)
            assert len(set(dates)) == len(dates)
        in_order.append(dates == sorted(dates))
    # The order of the file tells nothing but in the profiles of no text and of one.
    assert sum(in_order) == 2


def test_scores_cover_the_scale() -> None:
    golds = collections.Counter(user.gold for user in users("LaMP_3"))
    items = collections.Counter(item["score"] for user in users("LaMP_3") for item in user.profile)
    assert golds.keys() == items.keys() == set("12345")
    assert min(golds.values()) >= 4
    assert max(golds.values()) <= 14


def test_profiles_share_vocabulary_with_their_question() -> None:
    # What lexical retrieval lives on: rare words in common, more of them at home than elsewhere.
    for task in LARGE:
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


# -- the profile matters in the small sets, too ---------------------------------------------------
#
# A reader answers a question from some items of a profile and says how well it did. They are as
# plain as can be: what they find in a profile, a language model can find.


@functools.cache
def authors_by_word() -> collections.Counter[str]:
    """How many of the authors who are asked about use a word."""
    return collections.Counter(
        word
        for path in ("LaMP_1", "time/LaMP_1")
        for profile in profiles(path)
        for word in {word for item in profile for word in tokens(item["abstract"])}
    )


def related_reference(user: User, items: list[Item]) -> float:
    """1 where the rare words of title and abstracts point to the right reference."""
    match = CITATION.fullmatch(PROMPTS["LaMP_1"] + user.text)
    assert match is not None
    title, *references = match.groups()
    known = collections.Counter(
        word for text in (title, *(item["abstract"] for item in items)) for word in tokens(text)
    )
    first, second = (
        sum(known[word] / (authors_by_word()[word] + 1) ** 2 for word in set(tokens(text)))
        for text in references
    )
    return 0.5 if first == second else float((first > second) == (user.gold == "[1]"))


def fitting_tags(description: str) -> list[str]:
    """The two tags that a film fits, found as one does who understands it: by its wording."""
    known = set(tokens(description))

    def fit(tag: str) -> float:
        theme = THEMES[tag]
        templates = [re.sub(r"{\w+}", "", text) for text in theme.premises + theme.turns]
        return max(float(np.mean([word in known for word in tokens(text)])) for text in templates)

    return sorted(THEMES, key=fit)[-2:]


def tag_of_film(user: User, items: list[Item]) -> float:
    """1 where the one of two fitting tags that the items have more often is right."""
    tags = collections.Counter(item["tag"] for item in items)
    first, second = fitting_tags(user.text)
    assert user.gold in (first, second)
    if tags[first] == tags[second]:
        return 0.5
    return float(user.gold == (first if tags[first] > tags[second] else second))


def scored_review(user: User, items: list[Item]) -> float:
    """Minus the error of a score: that of the text, moved as the scores of the items are."""
    model = review_model()
    plain, *expected = model.predict([user.text, *(item["text"] for item in items)])
    scores = [float(item["score"]) for item in items]
    shift = np.mean(np.array(scores) - np.array(expected)) if items else 0.0
    return -float(abs(np.clip(plain + shift, 1, 5) - float(user.gold)))


@functools.cache
def review_model() -> BagOfWords:
    items = [item for user in users("LaMP_3") for item in user.profile]
    return BagOfWords(
        [item["text"] for item in items], np.array([float(item["score"]) for item in items])
    )


@functools.cache
def title_places() -> Places:
    places: Places = collections.Counter()
    for user in users("LaMP_5"):
        for item in user.profile:
            frame, runs = slot_out(item["title"], item["abstract"])
            slots = [k for k, word in enumerate(frame) if word == SLOT]
            for k, run in zip(slots, runs, strict=True):
                places[tuple(run), frame[k - 1] if k else ""] += 1
    return places


def paper_title(user: User, items: list[Item]) -> float:
    """ROUGE-L of the frame of the items' titles, filled from the abstract."""
    places = title_places()
    frames = [tuple(slot_out(item["title"], item["abstract"])[0]) for item in items]
    frame = collections.Counter(frames).most_common(1)[0][0] if frames else (SLOT, "for", SLOT)
    phrases = topic_phrases(user.text, {phrase for phrase, _ in places})
    return rouge(user.gold, write_title(frame, phrases, places))


def rouge(gold: str, answer: str) -> float:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    return float(scorer.score(gold, answer)["rougeL"].fmeasure)


def shared_start(texts: list[list[str]]) -> list[str]:
    """The longest beginning that more than half of the texts have in common."""
    starts = collections.Counter(
        tuple(words[:size]) for words in texts for size in range(1, len(words))
    )
    shared = [start for start, count in starts.items() if count > len(texts) / 2]
    longest = max(map(len, shared), default=0)
    return next((list(start) for start in shared if len(start) == longest), [])


def worded(field: str, length: int) -> Callable[[User, list[Item]], float]:
    """ROUGE-L of the text asked about, cut, between what the items begin and end with."""

    def reader(user: User, items: list[Item]) -> float:
        texts = [item[field].lower().split() for item in items] if len(items) > 2 else []
        end = shared_start([words[::-1] for words in texts])[::-1]
        middle = user.text.split()[:length]
        return rouge(user.gold, " ".join([*shared_start(texts), *middle, *end]))

    return reader


READERS: dict[str, Callable[[User, list[Item]], float]] = {
    "LaMP_1": related_reference,
    "LaMP_2": tag_of_film,
    "LaMP_3": scored_review,
    "LaMP_4": worded("title", 12),
    "LaMP_5": paper_title,
    "LaMP_6": worded("title", 12),
    "LaMP_7": worded("text", 25),
}


def read(path: str, choose: Callable[[int, User], list[Item]]) -> float:
    """How well the questions are answered from the items chosen for each."""
    reader = READERS[TASKS[path]]
    return float(np.mean([reader(user, choose(i, user)) for i, user in enumerate(users(path))]))


@pytest.mark.parametrize("path", [path for path in USER_SPLIT if path not in LARGE])
def test_small_profiles_help_those_whose_they_are(path: str) -> None:
    people = [user.profile for user in users(path)][:12]  # the last two are asked again
    own = read(path, lambda _, user: user.profile)
    without = read(path, lambda *_: [])

    def foreign(step: int) -> float:
        places = [people.index(user.profile) for user in users(path)]
        return read(path, lambda i, _: people[(places[i] + step) % len(people)])

    others = [foreign(step) for step in range(1, len(people))]
    assert own > without + 0.1
    assert own > max(others) + 0.1


@time_split
def test_newer_items_say_more(path: str) -> None:
    def part(user: User, new: bool) -> list[Item]:
        profile = sorted(user.profile, key=lambda item: item["date"])
        half = len(profile) // 2
        return profile[half:] if new else profile[:half]

    newer = read(path, lambda _, user: part(user, new=True))
    assert newer > read(path, lambda _, user: part(user, new=False)) + 0.1
    assert newer > read(path, lambda *_: []) + 0.1
    assert newer >= read(path, lambda _, user: user.profile)
    # What the retriever `recency` takes, against what stands first in the file.
    assert read(path, lambda _, user: part(user, new=True)[-3:]) > read(
        path, lambda _, user: user.profile[:3]
    )
