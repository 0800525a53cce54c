"""Scores as arXiv 2406.10251 computed them, beside the better ones, for protocol ``yazan2024``.

They are there for comparison with that paper: an answer without a rating counts as 0, a rating
that nobody can give, and what the paper calls RMSE is the mean squared error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from qrag_tasks.tasks.scoring.metrics import Metric, Value
from qrag_tasks.tasks.scoring.rouge import rouge

METRICS: Mapping[str, tuple[Metric, ...]] = {
    "LaMP_3": (
        Metric("mae_yazan2024", False, "MAE of the first character 1-5, 0 where there is none"),
        Metric("mse_yazan2024", False, "mean squared error of the same; the paper's rmse"),
    ),
    "LaMP_5": (
        Metric("rouge1_yazan2024", True, "ROUGE-1 F1 of the title as the paper takes it out"),
        Metric("rougeL_yazan2024", True, "ROUGE-L F1 of the same"),
    ),
}
"""LaMP's name of the task -> its scores."""

_QUOTED = re.compile(r'"([^"]+)"|\u201c([^\u201d]+)\u201d')
_END = re.compile(r"Note:|</s>|<\|im_end\|>|<\|eot_id\|>|<\|end_of_turn\|>|<\|endoftext\|>")


def first_digit(answer: str) -> int:
    """Return the first character of ``answer`` that is 1 to 5; 0 where there is none."""
    return next((int(character) for character in answer if character in "12345"), 0)


def paper_title(answer: str) -> str:
    """Return the first quoted span of ``answer``, else what the paper makes of the rest.

    That is what follows "Title:", or all of it, and of this what follows the first line break where
    anything does: with a title on the first line, the title is lost. Cut before "Note:" and before
    end markers of chat models.
    """
    answer = _END.split(answer, maxsplit=1)[0]
    if quoted := _QUOTED.search(answer):
        return (quoted.group(1) or quoted.group(2)).strip()
    _, found, named = answer.partition("Title:")
    first, _, following = (named if found else answer).rstrip().partition("\n")
    return (following or first).strip()


def _rating(answer: str, target: str) -> dict[str, Value]:
    error = first_digit(answer) - float(target)
    return {"mae_yazan2024": abs(error), "mse_yazan2024": error**2}


def _title(answer: str, target: str) -> dict[str, Value]:
    rouge1, rouge_l = rouge(paper_title(answer), target)
    return {"rouge1_yazan2024": rouge1, "rougeL_yazan2024": rouge_l}


SCORES: Mapping[str, Callable[[str, str], dict[str, Value]]] = {"LaMP_3": _rating, "LaMP_5": _title}
"""LaMP's name of the task -> (the model's text, target) -> the scores of one sample."""
