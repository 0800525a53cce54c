"""From a model's free text to LaMP's labels: a reference of LaMP-1, a tag of LaMP-2.

Models say more than they are asked for: "The answer is [2].". What is around the label is passed
over; a label is never made up. A thought is no part of the answer
(:mod:`qrag_tasks.tasks.scoring.thoughts`), and one without an end is none.
"""

from __future__ import annotations

import re

from qrag_tasks.tasks.lamp.queries import MOVIE_TAGS
from qrag_tasks.tasks.scoring.thoughts import without_thoughts

CITATIONS = ("[1]", "[2]")

_BOTH = re.compile(
    r"\[([12])\]\s*(?:,|/|&|and|or|nor)\s*\[(?!\1)[12]\]"
    r"|\b([12])\s*(?:/|&|and|or|nor)\s*(?!\2)[12]\b(?![.,:]\d)",
    re.I,
)
_REFERENCE = re.compile(r"\[([12])\]")
_BARE_REFERENCE = re.compile(r"(?<![A-Za-z0-9_.,\-])([12])(?![A-Za-z0-9_%]|[.,:]\d)")

_JOINED = r"[\s\-\u2010\u2011_]+"
_TAG_OF = {re.sub(r"\W", "", tag): tag for tag in MOVIE_TAGS}
# The longest first: "dark comedy" is not "comedy". "scifi" is written as one word, too.
_TAG = re.compile(
    r"(?<!\w)("
    + "|".join(
        re.sub(r"[ -]", lambda _: _JOINED, tag) for tag in sorted(MOVIE_TAGS, key=len, reverse=True)
    )
    + r"|scifi)(?!\w)",
    re.I,
)
_ALL_TAGS = re.compile(re.escape(", ".join(MOVIE_TAGS)), re.I)


def citation(answer: str) -> str:
    """Return the first ``[1]`` or ``[2]``, else the first bare 1 or 2 in brackets; or nothing.

    Both together ("[1] or [2]") are no answer.
    """
    answer = _BOTH.sub(" ", without_thoughts(answer) or "")
    match = _REFERENCE.search(answer) or _BARE_REFERENCE.search(answer)
    return f"[{match.group(1)}]" if match else ""


def movie_tag(answer: str) -> str:
    """Return the first of the 15 tags of LaMP-2 that stands in ``answer`` as words of its own.

    Case, and whether its words are joined by spaces or hyphens, do not matter; the list of all
    tags does not count.
    """
    match = _TAG.search(_ALL_TAGS.sub(" ", without_thoughts(answer) or ""))
    return _TAG_OF.get(re.sub(r"[\W_]", "", match.group(1).lower()), "") if match else ""
