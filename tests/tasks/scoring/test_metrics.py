"""Scores: the official evaluator's and the cleaned ones."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, mean_squared_error

from qrag_tasks.tasks.lamp.table import LAMP_TASKS, RATING
from qrag_tasks.tasks.scoring import metrics
from qrag_tasks.tasks.scoring.rouge import rouge

TITLE = LAMP_TASKS["lamp5u"].answer
GOLDS = st.sampled_from(RATING.values)
# What models say, and what turns up in files: numbers in any form, alone and in a text.
ANSWERS = st.one_of(
    st.sampled_from(["5", " 4 \n", "4.5", "47", "-1", "1e0", "", "Score: 4", "I give it a 4."]),
    st.sampled_from(["nan", "inf", "-Infinity", "+3", "3.", ".5", "1_0", "\u0664", "0x4", "4 5"]),
    st.floats(-9, 9).map(str),
    st.text(max_size=4),
)


def official_mae_and_rmse(answers: list[str], golds: list[str]) -> tuple[float, float]:
    """Score a whole file as LaMP's paper and code describe it (arXiv 2304.11406).

    An answer that is no number counts as the end of the scale that is farther from the gold, so
    that to say nothing is never better than to be wrong. A number off the scale stays as it is.
    Not its own: an answer that is not finite, of which nothing could be averaged, is no number.
    """
    numbers = []
    for answer, gold in zip(answers, golds, strict=True):
        try:
            number = float(answer)
        except ValueError:
            number = math.nan
        errors = {end: abs(end - int(gold)) for end in (5, 1)}
        numbers.append(number if math.isfinite(number) else max(errors, key=errors.__getitem__))
    squared = mean_squared_error([*map(int, golds)], numbers)
    return mean_absolute_error([*map(int, golds)], numbers), math.sqrt(squared)


@given(st.lists(st.tuples(ANSWERS, GOLDS), min_size=1, max_size=30))
def test_a_whole_file_scores_as_the_official_evaluator_scores_it(
    file: list[tuple[str, str]],
) -> None:
    scores = [RATING.score(answer, gold) for answer, gold in file]
    mae, rmse = official_mae_and_rmse([answer for answer, _ in file], [gold for _, gold in file])
    assert np.mean([score["mae_lamp"] for score in scores]) == pytest.approx(mae)
    assert metrics.root_mean([score["rmse_lamp"] for score in scores]) == pytest.approx(rmse)


@pytest.mark.parametrize(
    ("answer", "gold", "read"),
    [
        ("47", "5", 47.0),
        ("-1", "2", -1.0),
        ("", "5", 1.0),
        ("", "3", 5.0),
        ("", "2", 5.0),
        ("nan", "4", 1.0),
        ("inf", "1", 5.0),
    ],
)
def test_official_rating(answer: str, gold: str, read: float) -> None:
    scores = RATING.score(answer, gold)
    assert scores["mae_lamp"] == abs(read - float(gold))
    assert scores["rmse_lamp"] == (read - float(gold)) ** 2


@pytest.mark.parametrize(
    ("answer", "gold", "mae", "accuracy", "valid"),
    [
        ("I would give it a 4 out of 5.", "4", 0.0, 1.0, 1.0),
        ("4", "5", 1.0, 0.0, 1.0),
        ("4.5", "5", 0.5, 0.0, 0.0),
        ("47", "1", 4.0, 0.0, 0.0),
        ("nan", "3", 2.0, 0.0, 0.0),
        ("", "4", 3.0, 0.0, 0.0),
    ],
)
def test_cleaned_rating(answer: str, gold: str, mae: float, accuracy: float, valid: float) -> None:
    scores = RATING.score(answer, gold)
    assert (scores["mae"], scores["accuracy"], scores["valid_rate"]) == (mae, accuracy, valid)
    assert scores["rmse"] == mae**2


@given(st.text(), st.integers(1, 5))
def test_no_rating_is_never_better_than_a_wrong_one(answer: str, gold: int) -> None:
    scores = RATING.score(answer, str(gold))
    assert 0 <= scores["mae"] <= 4
    assert math.isfinite(scores["mae_lamp"])
    if not scores["valid_rate"]:
        assert scores["mae"] == max(gold - 1, 5 - gold)
        assert scores["accuracy"] == 0


@pytest.mark.parametrize("name", LAMP_TASKS)
def test_every_metric_is_scored_and_the_gold_scores_best(name: str) -> None:
    task = LAMP_TASKS[name]
    for gold in task.answer.values or ["The Songs of Birds"]:
        scores = task.answer.score(gold, gold, False)
        best = {m.name: float(m.higher_is_better) for m in task.answer.metrics} | {
            "valid_rate": 1.0
        }
        # Of the run, not of the text.
        del best["runaway_rate"], best["unfinished_thought_rate"]
        got = {name: tuple(value) if "f1" in name else value for name, value in scores.items()}
        place = task.answer.values.index(gold) if task.answer.values else 0
        label = (place, place, len(task.answer.values or ()))
        assert got == {name: label if "f1" in name else value for name, value in best.items()}


# Labels: the official evaluator compares the stripped answer, to the letter.

LABELS = {
    "lamp1u": ["[1]", "[2]", " [1]\n", "[3]", "1", "[1] because", "", "neither"],
    "lamp2u": ["comedy", "dark comedy", "\tcomedy ", "Comedy", "Tag: action", "sci-fi", "drama"],
}


@st.composite
def answered_labels(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    name = draw(st.sampled_from(["lamp1u", "lamp2u"]))
    gold = st.sampled_from(LAMP_TASKS[name].answer.values or ())
    answer = st.one_of(gold, st.sampled_from(LABELS[name]), st.text(max_size=5))
    return name, draw(st.lists(st.tuples(answer, gold), min_size=1, max_size=40))


@given(answered_labels())
def test_label_scores_are_sklearns(drawn: tuple[str, list[tuple[str, str]]]) -> None:
    name, pairs = drawn
    task = LAMP_TASKS[name]
    labels = list(task.answer.values or ())
    golds = [gold for _, gold in pairs]
    scores = [task.answer.score(answer, gold) for answer, gold in pairs]
    readings = {
        "_lamp": [a.strip() if a.strip() in labels else "none" for a, _ in pairs],
        "": [task.answer.read(a) or "none" for a, _ in pairs],
    }
    for suffix, read in readings.items():
        f1 = metrics.AGGREGATIONS["macro_f1"]([s[f"f1{suffix}"] for s in scores])
        assert f1 == pytest.approx(
            f1_score(golds, read, labels=labels, average="macro", zero_division=0)
        )
        accuracy = [s[f"accuracy{suffix}"] for s in scores]
        assert np.mean(accuracy) == pytest.approx(accuracy_score(golds, read))
    assert [s["valid_rate"] for s in scores] == [float(r != "none") for r in readings[""]]


def test_macro_f1_by_hand() -> None:
    # [1]: one right, one missed: F1 = 2/3. [2]: never answered rightly, once wrongly: 0.
    answers = [("[1]", "[1]"), ("[2]", "[1]"), ("none", "[2]")]
    scores = [LAMP_TASKS["lamp1u"].answer.score(*pair) for pair in answers]
    assert metrics.macro_f1([s["f1_lamp"] for s in scores]) == pytest.approx(1 / 3)


def test_macro_f1_stderr_agrees_with_the_bootstrap() -> None:
    generator = np.random.default_rng(0)
    pairs = [(int(a), int(g), 3) for a, g in generator.integers([-1, 0], [3, 3], (300, 2))]
    draws = generator.integers(0, 300, (2000, 300))
    bootstrap = np.std([metrics.macro_f1([pairs[i] for i in draw]) for draw in draws])
    assert metrics.macro_f1_stderr(pairs) == pytest.approx(bootstrap, rel=0.1)
    assert metrics.macro_f1_stderr(pairs) == metrics.macro_f1_stderr(pairs)


# Texts: ROUGE.


def test_text_scores_by_hand() -> None:
    # gold 4 tokens, cleaned title 3 tokens, all in order: P = 1, R = 3/4, F1 = 6/7.
    scores = TITLE.score('Title: "Songs of Birds"', "The Songs of Birds")
    assert scores["rouge1"] == scores["rougeL"] == pytest.approx(6 / 7)
    # raw: title songs of birds, 4 tokens against 4, three in common.
    assert scores["rouge1_lamp"] == scores["rougeL_lamp"] == pytest.approx(3 / 4)


def test_rouge_l_minds_the_order_and_neither_stems() -> None:
    assert rouge("birds of song", "songs of birds") == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )


def test_an_empty_text_scores_nothing() -> None:
    scores = TITLE.score("", "The Songs of Birds")
    assert set(scores.values()) == {0.0}


def overlap(tokens: list[str], of: list[str]) -> int:
    return sum(min(tokens.count(t), of.count(t)) for t in set(tokens))


def longest_common(a: list[str], b: list[str]) -> int:
    @cache
    def of(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + of(i + 1, j + 1)
        return max(of(i + 1, j), of(i, j + 1))

    return of(0, 0)


words = st.lists(
    st.sampled_from(["A", "a", "bird", "birds", "of-of", "été", "2,5", "\n", "!"]), max_size=12
).map(" ".join)


@given(words, words)
def test_rouge_is_the_f1_of_common_words_and_of_the_longest_common_line(
    answer: str, gold: str
) -> None:
    a, g = (re.findall("[a-z0-9]+", text.lower()) for text in (answer, gold))
    for got, common in zip(rouge(answer, gold), (overlap(a, g), longest_common(a, g)), strict=True):
        assert got == pytest.approx(2 * common / max(1, len(a) + len(g)))


@pytest.mark.parametrize("name", ["lamp4u", "lamp5u", "lamp6u", "lamp7u"])
def test_text_tasks_score_the_title_and_the_raw_answer(name: str) -> None:
    answer, gold = "Sure! Here is a title:\n\nBirds Sing", "Birds sing"
    scores = LAMP_TASKS[name].answer.score(answer, gold)
    assert (scores["rouge1"], scores["rougeL"]) == (1.0, 1.0)
    # 7 tokens against 2, both in common.
    assert scores["rouge1_lamp"] == scores["rougeL_lamp"] == pytest.approx(4 / 9)


def test_root_mean_stderr_agrees_with_the_bootstrap() -> None:
    squares = np.random.default_rng(0).integers(0, 5, 400) ** 2.0
    draws = np.random.default_rng(1).choice(squares, (4000, 400))
    bootstrap = np.sqrt(draws.mean(axis=1)).std()
    assert metrics.root_mean_stderr(list(squares)) == pytest.approx(bootstrap, rel=0.05)


def test_root_mean_stderr_without_errors() -> None:
    assert metrics.root_mean_stderr([0.0, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("answer", "gold", "error"),
    [
        ("4.5", "5", 0.5),
        (" **3.5**.", "3", 0.5),
        ("4.5/5", "4", 0.5),
        ("1.25 out of 5 stars", "1", 0.25),
        ("5.5", "5", 4.0),  # not on the scale
        ("0.5", "1", 4.0),
        ("version 4.5 of it", "5", 4.0),
    ],
)
def test_a_bare_decimal_has_its_own_error_and_is_not_valid(
    answer: str, gold: str, error: float
) -> None:
    scores = RATING.score(answer, gold)
    assert scores["mae"] == error
    assert scores["rmse"] == error**2
    assert scores["accuracy"] == scores["valid_rate"] == 0.0


@given(st.decimals(1, 5, places=2), st.integers(1, 5))
def test_a_decimal_counts_as_the_official_score_takes_it(number: Decimal, gold: int) -> None:
    scores = RATING.score(str(number), str(gold))
    assert scores["mae"] == scores["mae_lamp"]
