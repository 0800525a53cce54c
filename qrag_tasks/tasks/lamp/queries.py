"""What to search a profile with: the part of an input that is the user's own text.

As LaMP's public code takes it (arXiv 2304.11406), except for inputs on which that code fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MOVIE_TAGS = (
    "sci-fi",
    "based on a book",
    "comedy",
    "action",
    "twist ending",
    "dystopia",
    "dark comedy",
    "classic",
    "psychology",
    "fantasy",
    "romance",
    "thought-provoking",
    "social commentary",
    "violence",
    "true story",
)

_CANDIDATES = re.compile(r'\[1\]: "(.*?)" \[2\]: "(.*)"', re.DOTALL)
_QUOTED = re.compile(r'"([^"]*)"')
_MOVIE_INSTRUCTION = (
    "Which tag does this movie relate to among the following tags? Just answer with the tag name "
    f"without further explanation. tags: [{', '.join(MOVIE_TAGS)}] description: "
)


def text_after(marker: str) -> Callable[[str], str]:
    """Return a query function: what stands after the first ``marker``, stripped."""

    def query(text: str) -> str:
        _, mark, rest = text.partition(marker)
        if not mark:
            raise ValueError(f"the input holds no {marker!r}")
        return rest.strip()

    return query


def candidate_titles(text: str) -> str:
    """Return the titles of both candidate references of a LaMP-1 input, joined by a space.

    The official code takes the second and the third quoted string of the input, which are other
    texts where a title holds quotes itself; here the candidates are found by their numbers.
    """
    if numbered := _CANDIDATES.search(text):
        return " ".join(numbered.groups())
    quoted = _QUOTED.findall(text)
    if len(quoted) < 3:
        raise ValueError('the input holds no [1]: "..." [2]: "..."')
    return f"{quoted[1]} {quoted[2]}"


def repair_movie_input(question_id: str, text: str) -> str | None:
    """Return the input of LaMP-2's question 110 with the instruction that it lacks in the data.

    ``None`` where there is nothing to repair.
    """
    if question_id != "110" or "tags:" in text:
        return None
    return _MOVIE_INSTRUCTION + text.strip().removeprefix("description:").strip()
