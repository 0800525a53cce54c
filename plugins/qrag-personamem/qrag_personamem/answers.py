"""The letter of an option: how it is read out of a model's text, and scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from qrag_tasks.tasks.metric import (
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
    VALID_RATE,
    Metric,
    Value,
)
from qrag_tasks.tasks.scoring.kinds import Labels
from qrag_tasks.tasks.scoring.readers import LetterReader
from qrag_tasks.tasks.scoring.thoughts import without_thoughts

from qrag_personamem.question import LETTERS

TAG, END_TAG = "<final_answer>", "</final_answer>"
"""What a model is asked to write before its letter, and what some write after it."""
_IN_BRACKETS = re.compile(r"\(([a-d])\)")
_ALONE = re.compile(r"\b([a-d])\b")
_READER = LetterReader("".join(letter[1].upper() for letter in LETTERS))


def letter(text: str) -> str:
    """Return the option that a text chooses, ``(b)``; empty where it chooses none.

    What stands after the last tag counts, where there is one. Thoughts do not.
    """
    answer = without_thoughts(text) or ""
    if TAG in answer:
        answer = answer.rpartition(TAG)[2]
    answer = answer.strip().removesuffix(END_TAG)
    found = _READER(answer)
    return f"({found.lower()})" if found else ""


def right_as_published(text: str, gold: str) -> bool:
    """Tell whether PersonaMem's code takes a text for right.

    It is where the letters after the last tag, or else those of the whole text, are the gold alone.
    Letters in brackets count; where there is none, letters that stand alone do, and so does the
    article of ``a walk``.
    """
    answer = text.strip()
    if TAG in answer:
        answer = answer.split(TAG)[-1].strip()
    answer = answer.removesuffix(END_TAG).strip()
    right = {gold.lower().strip("() ")}
    return right in (_letters(answer), _letters(text))


def _letters(text: str) -> set[str]:
    lowered = text.lower()
    return set(_IN_BRACKETS.findall(lowered) or _ALONE.findall(lowered))


@dataclass(frozen=True)
class OptionLetter(Labels):
    """One of the four letters."""

    name: ClassVar[str] = "option"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", True, "share of answers whose letter is that of the right option"),
        Metric("accuracy_personamem", True, "the same, as PersonaMem's own code reads answers"),
        VALID_RATE,
        RUNAWAY_RATE,
        UNFINISHED_THOUGHT_RATE,
    )

    def read_gold(self, gold: str) -> str:
        """Return a gold as ``(b)``, which data may write as ``b`` or ``(B)``."""
        bare = gold.strip().strip("()").lower()
        return f"({bare})" if f"({bare})" in LETTERS else gold.strip()

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text."""
        read = "" if unfinished else self.read(text)
        return {
            "accuracy": float(read == gold),
            "accuracy_personamem": float(right_as_published(text, gold)),
            "valid_rate": float(bool(read)),
        }
