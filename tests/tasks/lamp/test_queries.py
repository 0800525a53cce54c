"""What is searched for, and in what: queries and indexed texts, as LaMP's code takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT

from qrag_tasks.errors import SettingsError
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp.layout import files_of
from qrag_tasks.tasks.lamp.queries import MOVIE_TAGS
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

CITATION_INPUT = (
    'For an author who has written the paper with the title "{}", which reference is related? Just '
    'answer with [1] or [2] without explanation. [1]: "{}" [2]: "{}"'
)
MOVIE_INPUT = (
    "Which tag does this movie relate to among the following tags? Just answer with the tag name "
    "without further explanation. tags: [sci-fi, based on a book, comedy, action, twist ending, "
    "dystopia, dark comedy, classic, psychology, fantasy, romance, thought-provoking, social "
    "commentary, violence, true story] description: "
)
QUERIES = {
    "lamp1u": (CITATION_INPUT.format("On Owls", "Owls: A Study", "Larks"), "Owls: A Study Larks"),
    "lamp2u": (f"{MOVIE_INPUT}A boy; description: a cat. ", "A boy; description: a cat."),
    "lamp3u": (f"{REVIEW_INPUT}Good tea: I like it.\n", "Good tea: I like it."),
    "lamp4u": (
        "Generate a headline for the following article: This article: read it.",
        "This article: read it.",
    ),
    "lamp5u": (f"{PAPER_INPUT}We study birds: loudly.", "We study birds: loudly."),
    "lamp6u": (
        "Generate a subject for the following email: Dear all: tea at five.",
        "Dear all: tea at five.",
    ),
    "lamp7u": (
        "Paraphrase the following tweet without any explanation before or after it: so: tea",
        "so: tea",
    ),
}
FIELDS = {
    "id": "1",
    "title": "T",
    "abstract": "A",
    "tag": "G",
    "description": "D",
    "text": "X",
    "score": "4",
    "date": "2020-01-01",
}
INDEXED = {
    "lamp1u": ("T A", "T"),
    "lamp2u": ("D", "D"),
    "lamp3u": ("X", "X"),
    "lamp4u": ("T X", "X"),
    "lamp5u": ("T A", "A"),
    "lamp6u": ("X", "X"),
    "lamp7u": ("X", "X"),
}


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("split", ["u", "t"])
def test_the_query_is_the_users_own_text(name: str, split: str) -> None:
    text, query = QUERIES[name]
    assert LAMP_TASKS[name[:-1] + split].query(text) == query


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize("split", ["u", "t"])
def test_the_indexed_text_is_lamps_or_the_papers(name: str, split: str) -> None:
    lamp, paper = INDEXED[name]
    name = name[:-1] + split
    assert LAMP_TASKS[name].document_text(FIELDS) == lamp
    assert task_named(name).indexed_text(FIELDS) == lamp
    assert task_named(name, "yazan2024").indexed_text(FIELDS) == paper
    assert (task_named(name).index, task_named(name, "yazan2024").index) == ("lamp", "yazan2024")


@pytest.mark.parametrize("name", QUERIES)
def test_an_input_of_another_format_is_an_error(name: str) -> None:
    colon = ": " if name in {"lamp1u", "lamp2u", "lamp3u", "lamp4u"} else ""
    with pytest.raises(ValueError, match="the input holds no"):
        LAMP_TASKS[name].query(f'no mark{colon} and no "quotes"')


@given(st.sampled_from(["lamp2u", "lamp3u", "lamp5u"]), st.text())
def test_the_query_is_whole_whatever_it_holds(name: str, text: str) -> None:
    prefix = {"lamp2u": MOVIE_INPUT, "lamp3u": REVIEW_INPUT, "lamp5u": PAPER_INPUT}[name]
    assert LAMP_TASKS[name].query(prefix + text) == text.strip()


titles = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]))


@given(titles, titles, titles)
def test_candidates_without_quotes_are_those_of_the_official_code(
    own: str, first: str, second: str
) -> None:
    text = CITATION_INPUT.format(own, first, second)
    quoted = text.split('"')[1::2]
    assert LAMP_TASKS["lamp1u"].query(text) == f"{quoted[1]} {quoted[2]}" == f"{first} {second}"


@pytest.mark.parametrize(
    ("own", "first", "second"),
    [
        ('On "Why" Questions', "Owls", "Larks"),
        ("Owls", 'The "Big" Owl', "Larks"),
        ("Owls", "Larks", '"Why" Larks "Sing"'),
        ('"A" and "B"', '"C"', '"D"'),
        ("Owls", "Two\nLines", "Larks"),
    ],
)
def test_candidates_with_quotes_are_whole(own: str, first: str, second: str) -> None:
    query = LAMP_TASKS["lamp1u"].query(CITATION_INPUT.format(own, first, second))
    assert query == f"{first} {second}"


def test_candidates_without_numbers_are_the_second_and_third_quoted_text() -> None:
    query = LAMP_TASKS["lamp1u"].query
    assert query('"Owls" cites "Larks" or "Wrens" or "Tits"') == "Larks Wrens"
    with pytest.raises(ValueError, match="the input holds no"):
        query('"Owls" cites "Larks"')


def test_question_110_gets_the_instruction_that_it_lacks() -> None:
    repair = files_of(LAMP_TASKS["lamp2u"]).repair
    assert repair is not None
    assert repair("110", " A boy and a cat. ") == f"{MOVIE_INPUT}A boy and a cat."
    assert repair("110", "description: A boy.") == f"{MOVIE_INPUT}A boy."
    repaired = repair("110", "A boy and a cat.")
    assert repaired is not None
    assert LAMP_TASKS["lamp2u"].query(repaired) == "A boy and a cat."


def test_nothing_else_is_repaired() -> None:
    repair = files_of(LAMP_TASKS["lamp2u"]).repair
    assert repair is not None
    assert repair("110", f"{MOVIE_INPUT}A boy.") is None
    assert repair("111", "A boy and a cat.") is None
    assert repair("11", "A boy and a cat.") is None
    assert {name for name, task in LAMP_TASKS.items() if files_of(task).repair} == {
        "lamp2u",
        "lamp2t",
    }


def test_the_tags_are_those_of_the_instruction() -> None:
    assert f"[{', '.join(MOVIE_TAGS)}]" in MOVIE_INPUT
    assert len(set(MOVIE_TAGS)) == 15
    assert LAMP_TASKS["lamp2u"].answer.values == MOVIE_TAGS


def test_an_unknown_task_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"lamp1u, lamp2u.*lamp7t"):
        task_named("lamp8u")


def test_one_row_is_one_whichever_way_it_is_asked_for() -> None:
    # Data sets hold their row, and filter=yazan2024 keeps its result by data set.
    assert task_named("lamp3u", "yazan2024") == task_named("lamp3u", "yazan2024")
