"""Short answers that are right or wrong: exact match and token F1.

Both are SQuAD's (Rajpurkar et al. 2016, arXiv 1606.05250, its evaluation script of version 1.1):
texts are lower-cased, ASCII punctuation and the articles a, an and the are left out, and runs of
white space count as one.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.metric import (
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
    VALID_RATE,
    Metric,
    Value,
)
from qrag_tasks.tasks.scoring import answers

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Exact(AnswerKind):
    """A short text that is the gold, or is not."""

    asks_for: str = "answer"
    values: None = None

    name: ClassVar[str] = "exact"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("exact_match", True, "share of answers whose first line is the gold, normalized"),
        Metric("token_f1", True, "F1 of its words and the gold's, as SQuAD counts them"),
        VALID_RATE,
        RUNAWAY_RATE,
        UNFINISHED_THOUGHT_RATE,
    )

    @property
    def spans(self) -> Mapping[str, float]:
        """Both scores lie between 0 and 1."""
        return {"exact_match": 1.0, "token_f1": 1.0}

    def read(self, text: str) -> str:
        """Return the first line that answers, without label and quotes; empty without one."""
        return answers.title(text)

    def read_gold(self, gold: str) -> str:
        """Return a gold without the white space around it."""
        return gold.strip()

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text."""
        cleaned = "" if unfinished else self.read(text)
        answer, right = normalized(cleaned), normalized(gold)
        return {
            "exact_match": float(answer == right),
            "token_f1": token_f1(answer.split(), right.split()),
            "valid_rate": float(bool(cleaned)),
        }


def normalized(text: str) -> str:
    """Return a text as SQuAD compares it."""
    text = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(text.split())


def token_f1(answer: list[str], gold: list[str]) -> float:
    """Return F1 of two bags of words; of no words, 1 where both have none."""
    if not answer or not gold:
        return float(answer == gold)
    same = sum((Counter(answer) & Counter(gold)).values())
    if not same:
        return 0.0
    precision, recall = same / len(answer), same / len(gold)
    return 2 * precision * recall / (precision + recall)
