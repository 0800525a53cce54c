"""Scores: the official evaluator's and the cleaned ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.benchmark import metrics

# answer, gold -> what LaMP's evaluator reads: float(answer.strip()), unclipped, or the far end of
# the scale; nan and inf count as no number here.
OFFICIAL = [
    ("5", "5", 5.0),
    (" 4 \n", "5", 4.0),
    ("4.5", "5", 4.5),
    ("47", "5", 47.0),
    ("-1", "2", -1.0),
    ("1e0", "2", 1.0),
    ("", "5", 1.0),
    ("", "3", 5.0),
    ("", "2", 5.0),
    ("", "4", 1.0),
    ("nan", "4", 1.0),
    ("inf", "1", 5.0),
    ("-Infinity", "5", 1.0),
    ("Score: 4", "4", 1.0),
    ("I would give it a 4.", "1", 5.0),
]


@pytest.mark.parametrize(("answer", "gold", "read"), OFFICIAL)
def test_official_rating(answer: str, gold: str, read: float) -> None:
    scores = metrics.rating_scores(answer, gold)
    assert scores["mae_lamp"] == abs(read - float(gold))
    assert scores["rmse_lamp"] == (read - float(gold)) ** 2


def test_a_whole_file_scores_as_the_official_evaluator_scores_it() -> None:
    per_sample = [metrics.rating_scores(answer, gold) for answer, gold, _ in OFFICIAL]
    golds = np.array([float(gold) for _, gold, _ in OFFICIAL])
    reads = np.array([read for *_, read in OFFICIAL])
    assert np.mean([s["mae_lamp"] for s in per_sample]) == pytest.approx(
        np.abs(reads - golds).mean()
    )
    assert metrics.root_mean([s["rmse_lamp"] for s in per_sample]) == pytest.approx(
        math.sqrt(((reads - golds) ** 2).mean())
    )


@pytest.mark.parametrize(
    ("answer", "gold", "mae", "accuracy", "valid"),
    [
        ("I would give it a 4 out of 5.", "4", 0.0, 1.0, 1.0),
        ("4", "5", 1.0, 0.0, 1.0),
        ("4.5", "5", 4.0, 0.0, 0.0),
        ("47", "1", 4.0, 0.0, 0.0),
        ("nan", "3", 2.0, 0.0, 0.0),
        ("", "4", 3.0, 0.0, 0.0),
    ],
)
def test_cleaned_rating(answer: str, gold: str, mae: float, accuracy: float, valid: float) -> None:
    scores = metrics.rating_scores(answer, gold)
    assert (scores["mae"], scores["accuracy"], scores["valid_rate"]) == (mae, accuracy, valid)
    assert scores["rmse"] == mae**2


@given(st.text(), st.integers(1, 5))
def test_no_rating_is_never_better_than_a_wrong_one(answer: str, gold: int) -> None:
    scores = metrics.rating_scores(answer, str(gold))
    assert 0 <= scores["mae"] <= 4
    assert math.isfinite(scores["mae_lamp"])
    if not scores["valid_rate"]:
        assert scores["mae"] == max(gold - 1, 5 - gold)
        assert scores["accuracy"] == 0


def test_title_scores_by_hand() -> None:
    # gold 4 tokens, cleaned title 3 tokens, all in order: P = 1, R = 3/4, F1 = 6/7.
    scores = metrics.title_scores('Title: "Songs of Birds"', "The Songs of Birds")
    assert scores["rouge1"] == scores["rougeL"] == pytest.approx(6 / 7)
    # raw: title songs of birds, 4 tokens against 4, three in common.
    assert scores["rouge1_lamp"] == scores["rougeL_lamp"] == pytest.approx(3 / 4)


def test_rouge_l_minds_the_order_and_neither_stems() -> None:
    scores = metrics.title_scores("birds of song", "songs of birds")
    assert scores["rouge1"] == pytest.approx(2 / 3)
    assert scores["rougeL"] == pytest.approx(1 / 3)


def test_empty_title_scores_nothing() -> None:
    scores = metrics.title_scores("", "The Songs of Birds")
    assert set(scores.values()) == {0.0}


def test_root_mean_stderr_agrees_with_the_bootstrap() -> None:
    squares = np.random.default_rng(0).integers(0, 5, 400) ** 2.0
    draws = np.random.default_rng(1).choice(squares, (4000, 400))
    bootstrap = np.sqrt(draws.mean(axis=1)).std()
    assert metrics.root_mean_stderr(list(squares)) == pytest.approx(bootstrap, rel=0.05)


def test_root_mean_stderr_at_the_edges() -> None:
    assert metrics.root_mean_stderr([4.0]) == "N/A"
    assert metrics.root_mean_stderr([0.0, 0.0]) == 0.0
