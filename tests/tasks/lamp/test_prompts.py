"""Golden prompts and trimming: LaMP's official code to the letter, as its description has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_tokens import WORDS

from qrag_tasks.tasks.base import Item
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

CITE = (
    'For an author who has written the paper with the title "T", which reference is related? Just '
    'answer with [1] or [2] without explanation. [1]: "A" [2]: "B"'
)
TAG = "Which tag ...? tags: [sci-fi, comedy] description: Cats in space."
REVIEW = "What is the score of the following review? review: Good tea."
NEWS = "Generate a headline for the following article: Tea is up."
PAPER = "Generate a title for the following abstract of a paper: We study birds: loudly."
MAIL = "Generate a subject for the following email: Dear all, tea."
TWEET = "Paraphrase the following tweet without any explanation before or after it: i like tea"

PROMPTS = {
    "lamp1u": (
        CITE,
        [{"title": "t1", "abstract": "a1"}, {"title": 't "2"', "abstract": "a2"}],
        'For an author who has written the paper with the title, and "t1" "T", which reference is '
        'related? Just answer with [1] or [2] without explanation. [1]: "A" [2]: "B"',
        'For an author who has written the paper with the title, and "t1", and "t "2"" "T", which '
        "reference is related? Just answer with [1] or [2] without explanation. "
        '[1]: "A" [2]: "B"',
    ),
    "lamp2u": (
        TAG,
        [
            {"tag": "comedy", "description": "Dogs."},
            {"tag": "dark comedy", "description": "Wet dogs."},
        ],
        'the tag for the movie: "Dogs." is "comedy" . ' + TAG,
        'the tag for the movie: "Dogs." is "comedy" , and the tag for the movie: "Wet dogs." is '
        '"dark comedy" . ' + TAG,
    ),
    "lamp3u": (
        REVIEW,
        [
            {"text": "Nice cup.", "score": "4"},
            {"text": 'A "great" pot {{ x }} <|im_end|>', "score": "5"},
        ],
        '4 is the score for "Nice cup." . ' + REVIEW,
        '4 is the score for "Nice cup." , and 5 is the score for '
        '"A "great" pot {{ x }} <|im_end|>" . ' + REVIEW,
    ),
    "lamp4u": (
        NEWS,
        [{"title": "Tea Soars", "text": "It did."}, {"title": "Tea Falls", "text": "Also."}],
        '"Tea Soars" is the title for "It did." . ' + NEWS,
        '"Tea Soars" is the title for "It did." , and "Tea Falls" is the title for "Also." . '
        + NEWS,
    ),
    "lamp5u": (
        PAPER,
        [
            {"title": "On Owls", "abstract": "Owls hoot."},
            {"title": "On Larks", "abstract": "Larks sing."},
        ],
        '"On Owls" is a title for "Owls hoot." . Following the given patterns ' + PAPER,
        '"On Owls" is a title for "Owls hoot." , and "On Larks" is a title for "Larks sing." . '
        "Following the given patterns " + PAPER,
    ),
    "lamp6u": (
        MAIL,
        [{"title": "Tea", "text": "At five."}, {"title": "Re: Tea", "text": "At six."}],
        '"Tea" is the title for "At five." . ' + MAIL,
        '"Tea" is the title for "At five." , and "Re: Tea" is the title for "At six." . ' + MAIL,
    ),
    "lamp7u": (
        TWEET,
        [{"text": "tea is ok"}, {"text": "so is milk"}],
        '"tea is ok"  are written by a person. Following the given patterns ' + TWEET,
        '"tea is ok" , and "so is milk"  are written by a person. Following the given patterns '
        + TWEET,
    ),
}


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("split", ["u", "t"])
def test_the_prompt_of_two_documents_of_one_and_of_none(name: str, split: str) -> None:
    question, fields, with_one, with_two = PROMPTS[name]
    items = [{"id": str(i), "date": "2020-01-01", **item} for i, item in enumerate(fields)]
    write = LAMP_TASKS[name[:-1] + split].prompt
    assert write(question, items) == with_two
    assert write(question, items[:1]) == with_one
    assert write(question, []) == question


def test_titles_go_behind_the_first_title_of_a_citation_question() -> None:
    write = LAMP_TASKS["lamp1u"].prompt
    items = [{"id": "1", "title": "title", "abstract": ""}]
    assert write("a title and a title", items) == 'a title, and "title" and a title'
    assert write("subtitles", items) == 'subtitle, and "title"s'
    assert write("Title: none of that name", items) == "Title: none of that name"


# Trimming, written once more from the description of the official code: what an item is charged,
# and what all are charged together.

Length = Callable[[str], int]
Shorten = Callable[[str, int], tuple[str, int]]
LONG = {
    "lamp1u": "title",
    "lamp2u": "description",
    "lamp3u": "text",
    "lamp4u": "text",
    "lamp5u": "abstract",
    "lamp6u": "text",
    "lamp7u": "text",
}
CHARGED = {
    "lamp2u": 'the tag for the movie: " " is "{tag}" ',
    "lamp3u": '{score} is the score for " " ',
    "lamp4u": '"{title}" is the title for " " ',
    "lamp5u": '"{title}" is a title " " ',
    "lamp6u": '"{title}" is the title for " " ',
    "lamp7u": '"" ',
}
CHARGED_ONCE = {
    "lamp5u": "Following the given patterns",
    "lamp7u": "are written by user. Following the given patterns",
}


def official_texts(
    name: str, question: str, items: list[Item], max_length: int, length: Length, shorten: Shorten
) -> list[str] | None:
    factor = 0.6
    while factor >= 0:
        room = max_length - min(length(question), int(factor * max_length))
        if name != "lamp1u":
            room -= 1
        if name in CHARGED_ONCE:
            room -= length(CHARGED_ONCE[name])
        per_item = (room - 2 * (len(items) - 1)) // len(items)
        saved, texts = 0, []
        for item in items:
            charged = length(CHARGED[name].format(**item)) if name in CHARGED else 2
            try:
                text, tokens = shorten(item[LONG[name]], per_item + saved - charged)
            except ValueError:
                break
            saved += per_item - tokens - charged
            texts.append(text)
        else:
            return texts
        factor -= 0.1
    return None


texts = st.lists(st.sampled_from(["a", "b", 'c"', "title", "is"]), max_size=30).map(" ".join)
profiles = st.lists(
    st.fixed_dictionaries(
        {
            "title": texts,
            "abstract": texts,
            "text": texts,
            "description": texts,
            "tag": st.sampled_from(["comedy", "dark comedy", "based on a book"]),
            "score": st.sampled_from("12345"),
        }
    ),
    min_size=1,
    max_size=6,
).map(lambda fields: [{"id": str(i), **item} for i, item in enumerate(fields)])


@pytest.mark.parametrize("name", LONG)
@given(texts, profiles, st.integers(-3, 120))
def test_trimming_is_that_of_the_official_code(
    name: str, question: str, items: list[Item], max_length: int
) -> None:
    trimmed = LAMP_TASKS[name].prompt.trimmed(question, items, max_length, WORDS)
    wanted = official_texts(name, question, items, max_length, WORDS.count, WORDS.cut)
    if wanted is None:
        assert trimmed is None
    else:
        assert trimmed == [
            {**item, LONG[name]: text} for item, text in zip(items, wanted, strict=True)
        ]


def numbered(field: str, *lengths: int, **others: str) -> list[Item]:
    return [
        {"id": str(i), **others, field: " ".join(f"w{n}" for n in range(length))}
        for i, length in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("name", "question", "items", "max_length", "left"),
    [
        # room 40 - 11; each (29 - 1 - 2) // 2 = 13, charged 8: 5 tokens, so 4 words.
        ("lamp3u", 10, numbered("text", 6, 2, score="4"), 40, [4, 2]),
        # The first leaves 2 of its 5 tokens to the second.
        ("lamp3u", 10, numbered("text", 2, 6, score="4"), 40, [2, 6]),
        # The question may have 60 %, not its 31: room 40 - 24; (16 - 1) // 1 - 8 = 7.
        ("lamp3u", 30, numbered("text", 9, score="4"), 40, [6]),
        # room 20 - 5; charged 2, nothing for the point that others end with: 13.
        ("lamp1u", 4, numbered("title", 20), 20, [12]),
        # Titles only, charged 2 each: room 8, (8 - 2) // 2 - 2 = 1 is the mark alone.
        ("lamp1u", 20, numbered("title", 3, 3), 20, [0, 0]),
        # For three 60, 50 and 40 % of 20 are too much; at 30 % room 14: (14 - 4) // 3 - 2 = 1.
        ("lamp1u", 20, numbered("title", 3, 3, 3), 20, [0, 0, 0]),
        # room 30 - 5; (25 - 1) // 1 = 24, charged 11 (8 words of its own, two of the tag, 1).
        ("lamp2u", 4, numbered("description", 20, tag="dark comedy"), 30, [12]),
        # room 30 - 5; 24, charged 9 with a title of two words.
        ("lamp4u", 4, numbered("text", 20, title="A B"), 30, [14]),
        ("lamp6u", 4, numbered("text", 20, title="A B"), 30, [14]),
        # room 30 - 5 - 5; 19, charged 8: the frame lacks its "for".
        ("lamp5u", 4, numbered("abstract", 20, title="A B"), 30, [10]),
        # room 30 - 5 - 9; 15, charged 2: the sentence lacks "a person".
        ("lamp7u", 4, numbered("text", 20), 30, [12]),
    ],
)
def test_trimming_by_hand(
    name: str, question: int, items: list[Item], max_length: int, left: list[int]
) -> None:
    text = " ".join(["q"] * question)
    trimmed = LAMP_TASKS[name].prompt.trimmed(text, items, max_length, WORDS)
    assert trimmed is not None
    assert [len(item[LONG[name]].split()) for item in trimmed] == left
    for whole, cut in zip(items, trimmed, strict=True):
        assert whole[LONG[name]].startswith(cut[LONG[name]])


def test_a_profile_that_no_share_leaves_room_for_is_dropped() -> None:
    items = numbered("text", 5, 5, score="4")
    trim = LAMP_TASKS["lamp3u"].prompt.trimmed
    # Even with nothing for the question: (21 - 1 - 2) // 2 = 9, charged 8, leaves the mark.
    assert trim("q " * 50, items, 21, WORDS) is not None
    assert trim("q " * 50, items, 20, WORDS) is None
    assert trim("q", [], 100, WORDS) is None


@pytest.mark.parametrize("special_tokens", [0, 1, 2])
def test_trimming_with_a_real_tokenizer(tiny_model: Path, special_tokens: int) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    from qrag_tasks.prompting.model_text import PlainTokens

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    if special_tokens:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=" ".join(["<|pad|>", "$A", "<|end|>"][2 - special_tokens :]),
            special_tokens=[
                (t, tokenizer.convert_tokens_to_ids(t)) for t in ("<|pad|>", "<|end|>")
            ],
        )
    assert len(tokenizer("")["input_ids"]) == special_tokens

    def length(text: str) -> int:
        return len(tokenizer(text)["input_ids"])

    def shorten(text: str, limit: int) -> tuple[str, int]:
        if limit < special_tokens:  # tokenizers fails below 0, and wraps around above
            raise ValueError(limit)
        ids = tokenizer(text, max_length=limit, truncation=True)["input_ids"]
        return tokenizer.batch_decode([ids], skip_special_tokens=True)[0], len(ids)

    texts = ["Owls hoot – über 茶 😀 " * n for n in (3, 0, 1, 5)]
    for name in LONG:
        field = LONG[name]
        items = [
            {"id": str(i), "score": "4", "tag": "comedy", "title": "On Owls", field: text}
            for i, text in enumerate(texts)
        ]
        for max_length in range(60, 400, 11):
            wanted = official_texts(name, PAPER, items, max_length, length, shorten)
            prompt = LAMP_TASKS[name].prompt
            trimmed = prompt.trimmed(PAPER, items, max_length, PlainTokens(tokenizer))
            assert (trimmed and [item[field] for item in trimmed]) == wanted
