"""Readers of answers by what a task says of them: numbers on a scale, labels, letters, texts.

A reader is a value: hashable, and the same in every process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from qrag_tasks.tasks.scoring.ratings import rating_value
from qrag_tasks.tasks.scoring.thoughts import without_thoughts

# No part of a word, of a longer number, of a date, a ratio or a list's numbering.
_NUMBER = re.compile(r"(?<![\w.,/:-])(\d{1,4}(?:[.,]\d{1,6})?)(?![\w%]|[.,:/-]\d)")
_OUT_OF = re.compile(r"(?:\s*/\s*|\s+out\s+of\s+)(\d+)(?![\w%]|[.,:/-]\d)", re.I)


@dataclass(frozen=True)
class ScaleReader:
    """Reads a rating: the first number on the scale that is not part of something else.

    A scale from 1 to 5 is read as LaMP-3's (docs/ratings.md). Of others, "8 out of 10" and "8/10"
    count where 10 is the highest, and the scale itself ("from 0 to 10", "1-10") is passed over.
    """

    lowest: int
    highest: int

    def __call__(self, text: str) -> float | None:
        """Return the number, which may lie between two of the scale; ``None`` without one."""
        if (self.lowest, self.highest) == (1, 5):
            return rating_value(text)
        text = without_thoughts(text) or ""
        ends = rf"\b{self.lowest}\s*(?:to|through|[-\u2013\u2014])\s*{self.highest}\b"
        text = re.sub(ends, " ", text)
        text = _OUT_OF.sub(self._without_highest, text)
        for match in _NUMBER.finditer(text):
            value = float(match[1].replace(",", "."))
            if self.lowest <= value <= self.highest:
                return value
        return None

    def _without_highest(self, match: re.Match[str]) -> str:
        # "8/10" keeps its 8 where the scale ends at 10; "8/20" stays, and is no number then.
        return " " if int(match[1]) == self.highest else f"/{match[1]}"


@dataclass(frozen=True)
class LabelReader:
    """Reads a label: the first one in the text, as whole words; case and blanks do not count.

    Where one label begins with another, the longer one counts.
    """

    values: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Return the label as it is in :attr:`values`; empty where there is none."""
        match = _labels(self.values).search(without_thoughts(text) or "")
        if match is None:
            return ""
        found = _folded(match[0])
        return next(value for value in self.values if _folded(value) == found)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


@lru_cache(maxsize=16)
def _labels(values: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(values, key=len, reverse=True)
    each = (r"\s+".join(map(re.escape, value.split())) for value in longest_first)
    return re.compile(rf"(?<!\w)(?:{'|'.join(each)})(?!\w)", re.I)


@dataclass(frozen=True)
class LetterReader:
    """Reads the letter of an option: "B", "(b)", "B. a walk", "The answer is B".

    The text's first line is looked at first, then what follows "answer" or "option". The article
    of "A walk" is the letter of no option.
    """

    letters: str

    def __call__(self, text: str) -> str:
        """Return the letter, in upper case; empty where there is none."""
        text = (without_thoughts(text) or "").strip()
        for pattern in _letters(self.letters):
            if match := pattern.search(text):
                return match[1].upper()
        return ""


@lru_cache(maxsize=16)
def _letters(letters: str) -> tuple[re.Pattern[str], ...]:
    one = f"[{letters}{letters.lower()}]"
    return (
        # All of the answer, or what begins it: "B", "(b)", "**B**", "B. ..." and "B) ...".
        re.compile(rf"\A[\s*_\"'(\[]*({one})[\s*_\"']*(?:\Z|[)\].:,\n])"),
        re.compile(
            rf"\b(?:answer|option|choice)\b(?:\s+(?:is|was|would\s+be))?[\s*_\":(\[]*({one})(?!\w)",
            re.I,
        ),
        re.compile(rf"(?<![\w'])[(\[]({one})[)\]]"),
        # A capital alone, which is no article and no pronoun.
        re.compile(
            rf"(?<![\w'])([{letters.replace('A', '').replace('I', '') or letters}])(?![\w'])"
        ),
    )


def whole_text(text: str) -> str:
    """Return all of an answer without its thoughts."""
    return (without_thoughts(text) or "").strip()
