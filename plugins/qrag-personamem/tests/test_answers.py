"""Answers read and scored: as PersonaMem's public code does, and without its slips."""

from __future__ import annotations

import pytest

from qrag_personamem.answers import letter, right_as_published
from qrag_personamem.table import PERSONAMEM_TASKS

CASES = [
    # text, what is read, whether it is right for (b), the same as published
    ("<final_answer>(b)", "(b)", True, True),
    ("<final_answer> (b) </final_answer>", "(b)", True, True),
    ("I weigh (a) and (c). <final_answer>(b)", "(b)", True, True),
    ("(b)", "(b)", True, True),
    ("B", "(b)", True, True),
    ("Option (B).", "(b)", True, True),
    ("<final_answer>(a)", "(a)", False, False),
    ("<final_answer>(b) or (c)", "(b)", True, False),
    # The article counts as an option there, where nothing stands in brackets.
    ("A walk is best, so b", "", False, False),
    ("The answer is b", "(b)", True, True),
    ("<final_answer> The answer is (b), as a walk is nice", "(b)", True, True),
    # Nothing after the tag: there the whole text is looked at, here it is no answer.
    ("It is (b). <final_answer>", "", False, True),
    ("<final_answer>(a) <final_answer>(b)", "(b)", True, True),
    ("", "", False, False),
    ("None of them.", "", False, False),
    ("(e)", "", False, False),
]


@pytest.mark.parametrize(("text", "read", "right", "published"), CASES)
def test_answers(text: str, read: str, right: bool, published: bool) -> None:
    assert letter(text) == read
    assert right_as_published(text, "(b)") is published
    kind = PERSONAMEM_TASKS["personamem-full-32k"].answer
    assert kind.score(text, "(b)") == {
        "accuracy": float(right),
        "accuracy_personamem": float(published),
        "valid_rate": float(bool(read)),
    }


def test_accuracy_over_some_answers() -> None:
    """The share of the cases above that are right, as PersonaMem counts it."""
    kind = PERSONAMEM_TASKS["personamem-full-32k"].answer
    scores = [kind.score(text, "(b)")["accuracy_personamem"] for text, *_ in CASES]
    assert sum(map(float, scores)) == 10


@pytest.mark.parametrize("text", ["<think>I think (a)</think><final_answer>(b)"])
def test_thoughts_are_no_answers(text: str) -> None:
    assert letter(text) == "(b)"
    kind = PERSONAMEM_TASKS["personamem-full-32k"].answer
    assert kind.score("<think>(b)", "(b)", unfinished=True)["accuracy"] == 0.0


@pytest.mark.parametrize("gold", ["(b)", "b", "(B)", " B "])
def test_golds(gold: str) -> None:
    kind = PERSONAMEM_TASKS["personamem-full-32k"].answer
    assert kind.read_gold(gold) == "(b)"


def test_likelihoods() -> None:
    kind = PERSONAMEM_TASKS["personamem-full-32k"].answer
    assert kind.values == ("(a)", "(b)", "(c)", "(d)")
    assert kind.score_likelihoods([-3.0, -1.0, -2.0, -9.0], "(b)")["accuracy"] == 1.0
    assert kind.score_likelihoods([-3.0, -1.0, -2.0, -9.0], "(c)")["accuracy"] == 0.0
