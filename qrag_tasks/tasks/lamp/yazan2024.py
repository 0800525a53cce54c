"""How arXiv 2406.10251 asked and scored LaMP-3 and LaMP-5, for protocol ``yazan2024``.

The scores are there for comparison with that paper, beside the better ones: an answer without a
rating counts as 0, a rating that nobody can give, and what the paper calls RMSE is the mean squared
error. The wording is ours, as the paper's is not published.
"""

from __future__ import annotations

import re

from qrag_tasks.tasks.base import Evaluation, Wording
from qrag_tasks.tasks.metric import Metric, Value
from qrag_tasks.tasks.scoring.rouge import rouge

NAME = "yazan2024"

_QUOTED = re.compile(r'"([^"]+)"|\u201c([^\u201d]+)\u201d')
_END = re.compile(r"Note:|</s>|<\|im_end\|>|<\|eot_id\|>|<\|end_of_turn\|>|<\|endoftext\|>")


def first_digit(answer: str) -> int:
    """Return the first character of ``answer`` that is 1 to 5; 0 where there is none."""
    return next((int(character) for character in answer if character in "12345"), 0)


def published_title(answer: str) -> str:
    """Return the first quoted span of ``answer``, else what the paper makes of the rest.

    That is what follows "Title:", or all of it, and of this what follows the first line break where
    anything does: with a title on the first line, the title is lost. Cut before "Note:" and before
    end markers of chat models.
    """
    answer = _END.split(answer, maxsplit=1)[0]
    if quoted := _QUOTED.search(answer):
        return (quoted.group(1) or quoted.group(2)).strip()
    _, mark, named = answer.partition("Title:")
    first, _, following = (named if mark else answer).rstrip().partition("\n")
    return (following or first).strip()


def _score_rating(answer: str, gold: str) -> dict[str, Value]:
    error = first_digit(answer) - float(gold)
    return {"mae_yazan2024": abs(error), "mse_yazan2024": error**2}


def _score_title(answer: str, gold: str) -> dict[str, Value]:
    rouge1, rouge_l = rouge(published_title(answer), gold)
    return {"rouge1_yazan2024": rouge1, "rougeL_yazan2024": rouge_l}


REVIEWS = Evaluation(
    NAME,
    Wording(
        "The following are reviews by one user, each with the score that the user gave.",
        "Give the score, from 1 to 5, that the same user would give in the review below. Answer "
        "with the score and nothing else.",
        "Give the score, from 1 to 5, that the user who wrote the review below would give in it. "
        "Answer with the score and nothing else.",
        "Review",
        "Score",
    ),
    (
        Metric("mae_yazan2024", False, "MAE of the first character 1-5, 0 where there is none"),
        Metric("mse_yazan2024", False, "mean squared error of the same; the paper's rmse"),
    ),
    _score_rating,
)
PAPERS = Evaluation(
    NAME,
    Wording(
        "The following are abstracts of one author's papers, each with the title that the author "
        "gave.",
        "Give the title that the same author would give to the abstract below. Answer with the "
        "title and nothing else.",
        "Give the title that the author of the abstract below would give to it. Answer with the "
        "title and nothing else.",
        "Abstract",
        "Title",
    ),
    (
        Metric("rouge1_yazan2024", True, "ROUGE-1 F1 of the title as the paper takes it out"),
        Metric("rougeL_yazan2024", True, "ROUGE-L F1 of the same"),
    ),
    _score_title,
)
