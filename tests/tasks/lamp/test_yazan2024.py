"""Scores as arXiv 2406.10251 computed them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks.base import Evaluation
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.lamp import yazan2024
from qrag_tasks.tasks.scoring.kinds import KINDS


@pytest.mark.parametrize(
    ("answer", "digit"),
    [
        ("4", 4),
        ("Score: 2, not 3", 2),
        ("10 of 5", 1),
        ("4.5", 4),
        ("6, or 5", 5),
        ("-3", 3),
        ("0", 0),
        ("9 of 8", 0),
        ("four", 0),
        ("", 0),
    ],
)
def test_the_rating_is_the_first_character_1_to_5(answer: str, digit: int) -> None:
    assert yazan2024.first_digit(answer) == digit
    assert yazan2024.REVIEWS.score(answer, "4") == {
        "mae_yazan2024": abs(digit - 4),
        "mse_yazan2024": (digit - 4) ** 2,
    }


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("On Owls", "On Owls"),
        (' Here it is: "On Owls" or "On Larks"', "On Owls"),
        ("\u201cOn Owls\u201d, I suggest", "On Owls"),
        ('Title: On "Owls"', "Owls"),
        ("Sure!\nTitle: On Owls\n", "On Owls"),
        ("On Owls\nNote: a title", "On Owls"),
        ('On Owls Note: "short"', "On Owls"),
        ("On Owls</s> On Larks", "On Owls"),
        ('On Owls<|im_end|>\n<|im_start|>user\n"Why?"', "On Owls"),
        ('On Owls<|end_of_turn|>GPT4 Correct User: "Why?"', "On Owls"),
        ("On Owls<|eot_id|><|eot_id|>", "On Owls"),
        ('"On Owls', '"On Owls'),
        # What follows the first line break.
        ("A Title\n\nAbstract:\nIn this", "Abstract:\nIn this"),
        ("Title:\nOn Owls", "On Owls"),
        ("\nOn Owls\n", "On Owls"),
        ("Title: On Owls\nAbstract: We", "Abstract: We"),
        ('"On Owls"\n\nThis title', "On Owls"),
        ("", ""),
    ],
)
def test_the_title_is_quoted_named_or_what_follows_the_first_line(answer: str, title: str) -> None:
    assert yazan2024.published_title(answer) == title


def test_titles_are_scored_by_rouge() -> None:
    # "songs of birds" against "the songs of birds": P = 1, R = 3/4.
    scores = yazan2024.PAPERS.score('Title: "Songs of Birds" (short)', "The Songs of Birds")
    assert scores == {
        "rouge1_yazan2024": pytest.approx(6 / 7),
        "rougeL_yazan2024": pytest.approx(6 / 7),
    }


@given(st.text(), st.sampled_from("12345"))
def test_any_text_is_scored(answer: str, gold: str) -> None:
    digit = yazan2024.first_digit(answer)
    assert digit in range(6)
    assert (digit == 0) == (not set(answer) & set("12345"))
    title = yazan2024.published_title(answer)
    assert title in answer
    assert title == title.strip()


def test_two_of_lamps_tasks_are_the_papers() -> None:
    published = {name for name, task in TASKS.items() if task.evaluation("yazan2024")}
    assert published == {"lamp3u", "lamp3t", "lamp5u", "lamp5t"}


@pytest.mark.parametrize("published", [yazan2024.REVIEWS, yazan2024.PAPERS])
def test_every_metric_is_scored_and_a_mean(published: Evaluation) -> None:
    scores = published.score("4", "4")
    assert list(scores) == [metric.name for metric in published.metrics]
    assert {metric.aggregation for metric in published.metrics} == {"mean"}
    taken = {metric.name for kind in KINDS for metric in kind.metrics}
    assert not taken & set(scores)
