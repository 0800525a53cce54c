"""ROUGE-1 and ROUGE-L of two texts: the numbers of the package rouge-score, without its stemmer.

rouge-score fills a table of words by words, 4 ms for two answers of 150 words: to say how alike two
arms answer would take longer than all that is said of their scores. And it imports nltk, which
imports pandas and scikit-learn where it finds them.

Source: Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[a-z0-9]+")


def rouge(answer: str, target: str) -> tuple[float, float]:
    """Return ROUGE-1 and ROUGE-L F1, 0 to 1.

    Words are runs of a-z and 0-9: a text without any scores 0, even against itself.
    """
    said, right = words(answer), words(target)
    return _f1((Counter(said) & Counter(right)).total(), said, right), _rouge_l(said, right)


def rouge_l(answer: str, target: str) -> float:
    """Return the second of what :func:`rouge` does."""
    return _rouge_l(words(answer), words(target))


def words(text: str) -> list[str]:
    """Return the words of a text as rouge-score takes them."""
    return _WORD.findall(text.lower())


def _rouge_l(said: Sequence[str], right: Sequence[str]) -> float:
    return _f1(_longest_common(said, right), said, right)


def _f1(common: int, said: Sequence[str], right: Sequence[str]) -> float:
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)


def _longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    A row of the table is one number: bit i is 0 where the row grows at the i-th word (Hyyrö 2004,
    Bit-parallel LCS-length computation revisited).
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = (1 << len(one)) - 1
    row = everywhere
    for word in two:
        found = row & places.get(word, 0)
        row = (row + found | row - found) & everywhere
    return len(one) - row.bit_count()
