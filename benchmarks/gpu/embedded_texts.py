"""The training texts of the embedded model: users from mini's generator, written as LaMP's prompts.

Drawn without end and without a file: a seed names a stream of users. No text of the sample is
among them. Needs numpy and tokenizers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import qrag_tasks.tasks.lamp.mini
from qrag_tasks.tasks.lamp import prompts
from qrag_tasks.tasks.lamp.mini import papers, reviews
from qrag_tasks.tasks.lamp.mini.paper_wording import FIELDS, NEIGHBORS, TITLE_FRAMES
from qrag_tasks.tasks.lamp.mini.random_text import deal, draw_until
from qrag_tasks.tasks.lamp.mini.review_wording import GOODS

VOCABULARY = 2048
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PAD_ID, START_ID, END_ID = range(3)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

LONGEST = 4096  # tokens of one prompt with its answer
# Tokens of an answer: with a line break and its end, no more than the tasks allow.
LONGEST_ANSWER = 30
# How often a prompt is of LaMP-3, the harder of the two to learn.
RATINGS = 0.6
# How often a user has many documents.
MANY = 0.08
# The weight of a token in the loss: of the answer, of the score, which is one token where a title
# has twenty, and of all that stands before.
ANSWER_WEIGHT, SCORE_WEIGHT, PROMPT_WEIGHT = 1.0, 5.0, 0.05
NO_LABEL = -1


def sample_texts() -> frozenset[str]:
    """The reviews, abstracts and titles of the embedded sample, none of which is trained on."""
    root = Path(qrag_tasks.tasks.lamp.mini.__file__).parent
    found: set[str] = set()
    for folder in ("LaMP_3", "LaMP_5", "time/LaMP_3", "time/LaMP_5"):
        dev = root / folder / "dev"
        for sample in json.loads((dev / "dev_questions.json").read_text(encoding="utf-8")):
            found.add(sample["input"].split(": ", 1)[1])
            for item in sample["profile"]:
                found |= {text for key, text in item.items() if key in ("text", "abstract")}
                found |= {item["title"]} if "title" in item else set()
        golds = json.loads((dev / "dev_outputs.json").read_text(encoding="utf-8"))["golds"]
        found |= {gold["output"] for gold in golds if len(gold["output"]) > 1}
    return frozenset(found)


class Document(NamedTuple):
    """A review or a paper, and what the trainer alone knows of it.

    :ivar label: how satisfied the review sounds, 0 to 4; ``NO_LABEL`` of a paper.
    """

    text: str
    answer: str
    label: int


class Writer(NamedTuple):
    """A user: documents, any of which may be asked about.

    :ivar habit: the place of the user's shift in ``reviews.SHIFTS``; ``NO_LABEL`` of an author.
    """

    documents: list[Document]
    habit: int


def draw_buyer(count: int, avoided: frozenset[str], rng: random.Random) -> Writer:
    """A user of LaMP-3 with as many reviews."""
    shift = rng.choice(reviews.SHIFTS)
    names = deal(tuple(GOODS), rng.choice((2, 3)), rng)
    levels = [level for level, weight in reviews.LEVEL_WEIGHTS.items() for _ in range(weight)]
    documents: dict[str, Document] = {}
    while len(documents) < count:
        goods, level = GOODS[rng.choice(names)], rng.choice(levels)
        product = rng.choice(goods.products)
        text = draw_until(
            lambda goods=goods, product=product, level=level: reviews.draw_review(
                goods, product, level, rng
            ),
            lambda text: len(text.split()) in reviews.WORDS and text not in avoided,
        )
        documents[text] = Document(text, reviews.score_of(level, shift, rng), level - 1)
    return Writer(list(documents.values()), reviews.SHIFTS.index(shift))


def draw_author(count: int, avoided: frozenset[str], rng: random.Random) -> Writer:
    """A user of LaMP-5 with as many papers."""
    source = papers.Papers(rng)
    frame, pair = rng.choice(TITLE_FRAMES), rng.choice(NEIGHBORS)
    names = pair if rng.random() < 0.6 else pair[:1]
    documents: list[Document] = []
    while len(documents) < count:
        item = source.new_item(FIELDS[rng.choice(names)], frame)
        if not avoided & {item["title"], item["abstract"]}:
            documents.append(Document(item["abstract"], item["title"], NO_LABEL))
    return Writer(documents, NO_LABEL)


def train_tokenizer(seed: int, users: int = 1500) -> Any:
    """A byte-level BPE tokenizer of users' texts; every digit is a token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng, avoided = random.Random(seed), sample_texts()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(each, special=True) for each in (PAD, START, END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def texts() -> Iterator[str]:
        for _ in range(users):
            for document in draw_buyer(8, avoided, rng).documents:
                yield f"{reviews.PROMPT}{document.text}"
            for document in draw_author(8, avoided, rng).documents:
                yield f"{papers.PROMPT}{document.text}"
                yield f'"{document.answer}" is a title for "'
            yield "Following the given patterns user\nassistant\n"

    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


class Example(NamedTuple):
    """A prompt with its answer, in tokens.

    :ivar weights: of every token as a thing to predict.
    :ivar levels: how satisfied the review sounds that ends at this token, else ``NO_LABEL``.
    :ivar habits: the user's shift where it can be told, else ``NO_LABEL``.
    :ivar answer: the place of the answer's first token.
    :ivar k: documents.
    """

    ids: list[int]
    weights: npt.NDArray[np.float32]
    levels: npt.NDArray[np.int8]
    habits: npt.NDArray[np.int8]
    answer: int
    k: int


class Examples:
    """Turns users into examples.

    :param tokenizer: of the class ``tokenizers.Tokenizer``.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        chat = f"{START}user\n", f"{END}\n{START}assistant\n"
        self.frames = [
            (self.ids(before), self.ids(behind)) for before, behind in (chat, ("", "\n"))
        ]
        self.joints = {True: self.ids(" , and "), False: self.ids(" , and")}

    def ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return list(self.tokenizer.encode(text).ids)

    def of(self, writer: Writer, rng: random.Random, ks: Sequence[int] = ()) -> Iterator[Example]:
        """One example about each of the user's documents.

        :param ks: how many documents stand before it; by chance where none is given.
        """
        rating = writer.habit != NO_LABEL
        documents = writer.documents
        # Tokens never reach over the seams between these pieces, so they are encoded once.
        seam, prompt, joined = (
            ("", reviews.PROMPT, " . ")
            if rating
            else (" ", papers.PROMPT, " . Following the given patterns ")
        )
        shown = [example_text(document, rating) for document in documents]
        encoded = [
            list(each.ids)
            for each in self.tokenizer.encode_batch(
                [
                    *shown,
                    *(seam + each for each in shown),
                    *(prompt + document.text for document in documents),
                    *(joined + prompt + document.text for document in documents),
                    *(document.answer for document in documents),
                ]
            )
        ]
        size = len(documents)
        first, later, alone, behind, answers = (
            encoded[i * size : (i + 1) * size] for i in range(5)
        )
        words = [frozenset(document.text.lower().split()) for document in documents]
        for asked in range(size):
            if len(answers[asked]) > LONGEST_ANSWER:
                continue
            others = [i for i in range(size) if i != asked]
            k = min(rng.choice(ks) if ks else draw_k(size - 1, rng), size - 1)
            rng.shuffle(others)
            if rng.random() < 0.5:
                others.sort(key=lambda i: -len(words[i] & words[asked]))
            before, after = rng.choice(self.frames)
            ids = list(before)
            ends: list[int] = []
            for place, i in enumerate(others[:k]):
                ids += (self.joints[rating] + later[i]) if place else first[i]
                ends.append(len(ids) - 1)
            ids += behind[asked] if k else alone[asked]
            question_end = len(ids) - 1
            ids += after
            start = len(ids)
            ids += [*answers[asked], END_ID]
            weights = np.full(len(ids), PROMPT_WEIGHT, np.float32)
            weights[0] = 0
            # What follows a plain prompt, a line break, is the model's to write.
            weights[start - (not before) :] = ANSWER_WEIGHT
            levels = np.full(len(ids), NO_LABEL, np.int8)
            habits = np.full(len(ids), NO_LABEL, np.int8)
            if rating:
                weights[start] = SCORE_WEIGHT
                levels[ends] = [documents[i].label for i in others[:k]]
                levels[question_end] = documents[asked].label
                habits[ends] = writer.habit
                if k:
                    habits[start - 1] = writer.habit
            yield Example(ids, weights, levels, habits, start, k)


def example_text(document: Document, rating: bool) -> str:
    """LaMP's wording of one document, without the space at its end."""
    if rating:
        item = {"text": document.text, "score": document.answer}
        return prompts.RATING.example(item).rstrip()
    item = {"abstract": document.text, "title": document.answer}
    return prompts.PAPER_TITLE.example(item).rstrip()


def draw_k(most: int, rng: random.Random) -> int:
    """A number of documents: few of none and of one, most of two to ten."""
    where = rng.random()
    if where < 0.08:
        return 0
    if where < 0.18:
        return min(1, most)
    return rng.randint(2, 10) if where < 0.88 else rng.randint(2, most)


def check_seams(tokenizer: Any, seed: int, users: int = 20) -> None:
    """Hold examples to the tokens of LaMP's prompts as they are encoded whole."""
    rng, examples = random.Random(seed), Examples(tokenizer)
    for draw in (draw_buyer, draw_author):
        for _ in range(users):
            writer = draw(6, frozenset(), rng)
            for example in examples.of(writer, rng):
                text = tokenizer.decode(example.ids, skip_special_tokens=False)
                if list(tokenizer.encode(text).ids) != example.ids:
                    raise ValueError(
                        f"the tokens of this prompt are not those of its pieces: {text}"
                    )


class Batch(NamedTuple):
    """Examples one behind another in one row of ``size`` tokens, padded at the end.

    :ivar ends: where each example ends, padded with ``size``: a fixed number of them.
    :ivar answers: (answer's first token, its end, k, whether it is a rating) of each example.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    levels: npt.NDArray[np.int64]
    habits: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int32]
    answers: npt.NDArray[np.int64]


def batches(
    tokenizer: Any, seed: int, size: int, ks: Sequence[int] = (), ratings: float = RATINGS
) -> Iterator[Batch]:
    """Batches without end, each of users that no batch had before."""
    rng, avoided, examples = random.Random(seed), sample_texts(), Examples(tokenizer)
    waiting: list[Example] = []
    while True:
        taken: list[Example] = []
        room = size
        while True:
            if not waiting:
                draw = draw_buyer if rng.random() < ratings else draw_author
                count = 36 if rng.random() < MANY else 16
                drawn = examples.of(draw(count, avoided, rng), rng, ks)
                waiting = [example for example in drawn if len(example.ids) <= min(size, LONGEST)]
                rng.shuffle(waiting)
                continue
            if len(waiting[-1].ids) > room:
                break
            taken.append(waiting.pop())
            room -= len(taken[-1].ids)
        yield packed(taken, size)


def packed(examples: Sequence[Example], size: int) -> Batch:
    """The examples as one batch."""
    ids = np.full(size, PAD_ID, np.int64)
    positions = np.zeros(size, np.int64)
    weights = np.zeros(size, np.float32)
    levels = np.full(size, NO_LABEL, np.int64)
    habits = np.full(size, NO_LABEL, np.int64)
    ends = np.full(size // 64 + 2, size, np.int32)  # no example is shorter than 64
    ends[0] = 0
    answers: list[tuple[int, int, int, bool]] = []
    at = 0
    for number, each in enumerate(examples, start=1):
        end = at + len(each.ids)
        ids[at:end] = each.ids
        positions[at:end] = np.arange(len(each.ids))
        weights[at:end] = each.weights
        levels[at:end] = each.levels
        habits[at:end] = each.habits
        rating = each.levels.max() != NO_LABEL
        answers.append((at + each.answer, end, each.k, bool(rating)))
        ends[number] = at = end
    # A tail of padding is one example more, of weight 0, not longer than any other.
    return Batch(ids, positions, weights, levels, habits, ends, np.array(answers, np.int64))
