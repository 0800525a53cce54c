"""Scores of a distribution over the closed set of answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.lamp.table import LAMP_TASKS, RATING, REFERENCE
from qrag_tasks.tasks.scoring import likelihood
from qrag_tasks.tasks.scoring.kinds import Labels

logprobs = st.lists(st.floats(-600, 0), min_size=5, max_size=5)
ratings = st.sampled_from(RATING.values)


def logs(*probabilities: float) -> list[float]:
    return [math.log(p) for p in probabilities]


def test_ratings_by_hand() -> None:
    scores = RATING.score_likelihoods(logs(0.1, 0.1, 0.1, 0.4, 0.1), "3")
    # 0.8 in all: the expected rating is (1 + 2 + 3 + 4 * 4 + 5) / 8 = 27/8.
    assert scores == {
        "answer_mass": pytest.approx(0.8),
        "accuracy": 0.0,
        "nll": pytest.approx(math.log(8)),
        "expected_rating": pytest.approx(27 / 8),
        "mae": 1.0,
        "rmse": 1.0,
        "mae_expected": pytest.approx(3 / 8),
        "rmse_expected": pytest.approx(9 / 64),
    }


def test_labels_by_hand() -> None:
    scores = REFERENCE.score_likelihoods(logs(0.1, 0.3), "[2]")
    assert scores == {
        "answer_mass": pytest.approx(0.4),
        "accuracy": 1.0,
        "nll": pytest.approx(math.log(4 / 3)),
        "f1": (1, 1, 2),
    }


def test_without_a_gold_only_what_needs_none() -> None:
    scores = RATING.score_likelihoods(logs(0.2, 0.2, 0.2, 0.2, 0.2), None)
    assert scores == {"answer_mass": pytest.approx(1), "expected_rating": pytest.approx(3)}
    scores = REFERENCE.score_likelihoods(logs(0.2, 0.2), None)
    assert scores == {"answer_mass": pytest.approx(0.4)}


@pytest.mark.parametrize(
    "kind",
    [
        *(LAMP_TASKS[name].answer for name in ("lamp1u", "lamp2u", "lamp3u")),
        # Numbers that are names of things are labels all the same.
        Labels("channel", ("1", "2", "3", "4", "5"), str.strip),
    ],
    ids=lambda kind: kind.asks_for,
)
def test_every_metric_is_scored(kind: AnswerKind) -> None:
    values = kind.values or ()
    scores = kind.score_likelihoods(logs(*[0.5 / len(values)] * len(values)), values[0])
    assert set(scores) == {metric.name for metric in kind.likelihood_metrics}


def test_kinds_without_a_closed_set_have_no_likelihoods() -> None:
    assert {name for name, task in LAMP_TASKS.items() if not task.answer.likelihood_metrics} == {
        f"lamp{number}{split}" for number in (4, 5, 6, 7) for split in "ut"
    }
    with pytest.raises(NotImplementedError, match="no closed set"):
        LAMP_TASKS["lamp5u"].answer.score_likelihoods([-1.0], None)


@given(logprobs, ratings, st.floats(-50, 50))
def test_only_the_mass_minds_what_all_answers_gain(
    logprobs: list[float], gold: str, shift: float
) -> None:
    scores = RATING.score_likelihoods(logprobs, gold)
    shifted = RATING.score_likelihoods([p + shift for p in logprobs], gold)
    mass, shifted_mass = scores.pop("answer_mass"), shifted.pop("answer_mass")
    assert shifted_mass == pytest.approx(mass * math.exp(shift))
    for name in ("nll", "expected_rating", "mae_expected", "rmse_expected"):
        assert shifted[name] == pytest.approx(scores[name], abs=1e-9)


@given(logprobs, ratings)
def test_scores_of_any_distribution(logprobs: list[float], gold: str) -> None:
    shares = likelihood.distribution(logprobs)
    assert math.fsum(shares) == pytest.approx(1)
    scores = RATING.score_likelihoods(logprobs, gold)
    # log of the sum of exponentials, less the gold's.
    highest = max(logprobs)
    total = highest + math.log(math.fsum(math.exp(p - highest) for p in logprobs))
    assert scores["nll"] == pytest.approx(total - logprobs[int(gold) - 1], abs=1e-9)
    assert scores["expected_rating"] == pytest.approx(
        math.fsum(share * n for n, share in enumerate(shares, start=1))
    )
    likeliest = int(gold) - 1 if scores["accuracy"] else logprobs.index(highest)
    assert shares[likeliest] == max(shares)
    assert scores["mae"] in {abs(n + 1 - int(gold)) for n in range(5) if shares[n] == max(shares)}


def test_impossible_answers_give_numbers_all_the_same() -> None:
    impossible = -math.inf
    assert likelihood.distribution([impossible] * 4) == [0.25] * 4
    scores = RATING.score_likelihoods([0.0, *[impossible] * 4], "5")
    assert (scores["expected_rating"], scores["mae"], scores["answer_mass"]) == (1, 4, 1)
    assert 700 < scores["nll"] < math.inf
    assert likelihood.distribution([-5000.0, -5000.0]) == [0.5, 0.5]
