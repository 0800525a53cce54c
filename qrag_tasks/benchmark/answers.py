"""From a model's free text to a rating or a title."""

from __future__ import annotations

import re

# A digit 1-5 that is no part of a word, a longer number, a decimal, a percentage, a ratio, a time
# or a negative number. "4/5", "4.", "4.0" and "**4**" hold the rating 4; "4.5", "47", "4th",
# "-4", "4:1" hold none.
_RATING = re.compile(
    r"(?<![A-Za-z0-9_\-\u2212])(?<!\d[,:])(?<![^.]\.)(?<!\A\.)"
    r"([1-5])(?:\.0+)?"
    r"(?![A-Za-z0-9_%]|[.,:]\d)"
)

_LABEL = re.compile(
    r"[*_#\s]*(?:(?:paper|suggested|generated)\s+)?title[*_\s]*[:\uff1a][*_\s]*", re.I
)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "`": "`"}
_PROMPT_ECHO = re.compile(r"\s+is (?:a|the) title for\b")


def first_rating(answer: str) -> int | None:
    """Return the first standalone rating 1-5 in ``answer``, or ``None`` where there is none."""
    match = _RATING.search(answer)
    return int(match.group(1)) if match else None


def clean_title(answer: str) -> str:
    """Return the title in ``answer``: its first line without label, emphasis and quotes.

    A first line that only announces ("Title:", "Here is a title for the abstract:") is passed
    over when another line follows. Where the model goes on in the pattern of the prompt
    (``"T" is a title for "..."``), the title is ``T``. Empty where nothing is left.
    """
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip("*_ ").endswith((":", "\uff1a")):
        lines = lines[1:]
    if not lines:
        return ""
    title = _LABEL.sub("", lines[0], count=1) if _LABEL.match(lines[0]) else lines[0]
    return _unwrap(title.strip())


def _unwrap(title: str) -> str:
    for mark in ("**", "__", "*", "_"):
        if len(title) > 2 * len(mark) and title.startswith(mark) and title.endswith(mark):
            return _unwrap(title[len(mark) : -len(mark)].strip())
    closing = _QUOTES.get(title[:1])
    if closing is None:
        return title
    end = title.find(closing, 1)
    if end == -1:
        # An opening quote that the length limit left open.
        return title[1:].strip() if title[0] in '"\u201c\u00ab' else title
    rest = title[end + 1 :]
    if not rest.strip(" .,;") or _PROMPT_ECHO.match(rest):
        return _unwrap(title[1:end].strip())
    return title
