"""From free text to a rating or a title."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.benchmark.answers import clean_title, first_rating


@pytest.mark.parametrize(
    ("answer", "rating"),
    [
        ("4", 4),
        (" 5\n", 5),
        ("4.", 4),
        ("4.0", 4),
        ("**3**", 3),
        ("4/5", 4),
        ("Score: 2", 2),
        ("I would give it a 4 out of 5.", 4),
        ("5-star", 5),
        ("(1)", 1),
        ("I think...5", 5),
        ("评分：5分", 5),
        ("3, because", 3),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("47", None),
        ("4.5", None),
        ("4,5", None),
        ("0", None),
        ("6", None),
        ("10 of 10", None),
        ("-3", None),
        ("0.5", None),
        (".5", None),
        ("the 4th time", None),
        ("B2B", None),
        ("5%", None),
        ("a 1:1 ratio", None),
        ("at 4:30", None),
        ("Rating:4", 4),
        ("four", None),
        ("1,000 times 3", 3),
        ("4.05 or 2", 2),
    ],
)
def test_first_rating(answer: str, rating: int | None) -> None:
    assert first_rating(answer) == rating


@given(st.text())
def test_first_rating_of_any_text(answer: str) -> None:
    rating = first_rating(answer)
    assert rating is None or (1 <= rating <= 5 and str(rating) in answer)


@given(st.integers(1, 5), st.sampled_from(["", " ", "\n", "Rating: ", "It is ", "**"]))
def test_a_plain_rating_is_always_found(rating: int, before: str) -> None:
    assert first_rating(f"{before}{rating}") == rating
    assert first_rating(f"{before}{rating} stars, or 1 to 5") == rating


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("A Study of Birds", "A Study of Birds"),
        ("  A Study of Birds \nThis title says", "A Study of Birds"),
        ('"A Study of Birds"', "A Study of Birds"),
        ("\u201cA Study of Birds\u201d.", "A Study of Birds"),
        ("Title: A Study of Birds", "A Study of Birds"),
        ('**Title:** "A Study of Birds"', "A Study of Birds"),
        ("Paper title: A Study: Birds", "A Study: Birds"),
        ("Title:\nA Study of Birds", "A Study of Birds"),
        ("Here is a title for the abstract:\n\n'A Study of Birds'", "A Study of Birds"),
        ("**A Study of Birds**", "A Study of Birds"),
        ('"A Study of Birds" is a title for "We study', "A Study of Birds"),
        ('"Why" Questions in Dialogue', '"Why" Questions in Dialogue'),
        ("'Tis Pity: On Sarcasm", "'Tis Pity: On Sarcasm"),
        ('"A Study of Bir', "A Study of Bir"),
        ("Title Generation: A Survey", "Title Generation: A Survey"),
        ("Titles in the Wild", "Titles in the Wild"),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_clean_title(answer: str, title: str) -> None:
    assert clean_title(answer) == title


@given(st.text())
def test_clean_title_is_one_line_of_the_answer(answer: str) -> None:
    title = clean_title(answer)
    assert title in answer
    assert len(title.splitlines()) <= 1
