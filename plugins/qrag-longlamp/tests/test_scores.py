"""ROUGE and METEOR, against values worked out by hand and against published ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import single_meteor_score
from nltk_files import write_splitter

from qrag_longlamp.answers import LongText
from qrag_longlamp.meteor import meteor

KIND = LongText("post")


def test_rouge_is_not_stemmed_and_ignores_case() -> None:
    # 3 of 4 words of the answer and of 5 of the gold: P = 3/4, R = 3/5.
    scores = KIND.score("The dogs ran home", "the dogs RAN off homes")
    assert scores["rouge1"] == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    # In order, for ROUGE-L: "dogs the" share one word of the sequence.
    assert KIND.score("dogs the", "the dogs")["rougeL"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        # All 5 words match, "dogs" and "sleep" by their stems, "huge" as a synonym of "big": one
        # chunk. F = 1, and the penalty 0.5 * (1/5)^3.
        ("the huge dogs sleep.", "The big dog sleeps.", 1 - 0.5 * (1 / 5) ** 3),
        # 4 of 5 match, in two chunks. P = R = F = 4/5.
        ("the old dogs sleep.", "The big dog sleeps.", 0.8 * (1 - 0.5 * (2 / 4) ** 3)),
        # A synonym, too; but NLTK looks up its stem, "larg", which is no word of WordNet's.
        ("the large dogs sleep.", "The big dog sleeps.", 0.8 * (1 - 0.5 * (2 / 4) ** 3)),
        # 2 words of the answer's 4 and of the gold's 2, in one chunk: P = 1/2, R = 1.
        ("a b c d", "b c", 0.5 / (0.9 * 0.5 + 0.1) * (1 - 0.5 * (1 / 2) ** 3)),
        ("nothing alike", "wholly other", 0.0),
        ("", "gold", 0.0),
        ("answer", "", 0.0),
    ],
)
def test_meteor_by_hand(answer: str, gold: str, expected: float) -> None:
    assert meteor(answer, gold) == pytest.approx(expected)


def test_meteor_of_the_example_that_evaluate_publishes() -> None:
    # Its documentation gives 0.6944, with the real WordNet.
    answer = (
        "It is a guide to action which ensures that the military always obeys the commands of the "
        "party"
    )
    gold = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert round(meteor(answer, gold), 4) == 0.6944


def test_what_is_kept_of_words_changes_no_value() -> None:
    answer = 'Always the huge dogs sleep. A WORD of mine (e.g. this): \U0001f642 "quoted"! ' * 9
    gold = "The big dogs' words... slept forever; mine, e.g., was this."
    assert meteor(answer, gold) == single_meteor_score(word_tokenize(gold), word_tokenize(answer))


def test_a_thought_is_no_part_of_the_answer() -> None:
    plain = KIND.score("The dogs ran home.", "The dogs ran.")
    assert KIND.score("<think>Which dogs?</think>\n The dogs ran home. ", "The dogs ran.") == plain
    assert KIND.score("<think>The dogs ran.", "The dogs ran.", unfinished=True) == {
        "rouge1": 0.0,
        "rougeL": 0.0,
        "meteor": 0.0,
        "valid_rate": 0.0,
    }


def test_lines_and_announcements_are_part_of_the_answer() -> None:
    text = "Sure! Here is a post:\n\nFirst line.\nSecond line."
    assert KIND.read(text) == text


WITHOUT_DATA = """
import nltk.data
nltk.data.path[:] = [{folder!r}]
from qrag_longlamp.answers import LongText
from qrag_tasks.errors import DataError
for use in (LongText("post").check_scores, lambda: LongText("post").score("alike", "alike")):
    try:
        print(use())
    except DataError as error:
        print(error)
"""


def test_without_wordnet_there_is_one_error_and_never_another_meteor(tmp_path: Path) -> None:
    write_splitter(tmp_path / "tokenizers" / "punkt_tab" / "english")
    # A process of its own: NLTK keeps what it has loaded.
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DATA.format(folder=str(tmp_path))],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    before, in_scoring = done.stdout.split("METEOR needs ")[1:]
    assert before == in_scoring
    assert before.startswith(
        "the corpus WordNet (NLTK's data package wordnet), which is not on this machine.\n"
        "  to get it:       python -m nltk.downloader wordnet punkt_tab\n"
    )
    assert "QRAG_LONGLAMP_METEOR=0" in before
