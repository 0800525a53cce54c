"""From a model's free text to the answer in it: a rating, a title, a tag, a reference.

Models say more than they are asked for: "Sure! Here is a title: ...", "**4**", "The answer is
[2].". What is around the answer is passed over; an answer is never made up.
"""

from __future__ import annotations

import re

from qrag_tasks.benchmark.queries import MOVIE_TAGS

# A digit 1-5 that is no part of a word, a longer number, a decimal, a percentage, a ratio, a time
# or a negative number. "4/5", "4.", "4.0" and "**4**" hold the rating 4; "4.5", "47", "4th",
# "-4", "4:1" hold none.
_RATING = re.compile(
    r"(?<![A-Za-z0-9_\-\u2212])(?<!\d[,:])(?<![^.]\.)(?<!\A\.)"
    r"([1-5])(?:\.0+)?"
    r"(?![A-Za-z0-9_%]|[.,:]\d)"
)
# The scale itself, which some models repeat first: "On a scale of 1 to 5, ...".
_SCALE = re.compile(
    r"\b(?:scale|range)\s+(?:of|from)\s+(?:1|one)\s*(?:to|through|[-\u2013\u2014])\s*(?:5|five)\b"
    r"|\b1\s*(?:to|through|[-\u2013\u2014])\s*5(?:[\s-]+(?:scale|range|rating scale))\b",
    re.I,
)

_REFERENCE = re.compile(r"\[([12])\]")
_BARE_REFERENCE = re.compile(r"(?<![A-Za-z0-9_.,\-])([12])(?![A-Za-z0-9_%]|[.,:]\d)")

_TAG_WORDS = {tag: re.sub(r"[\s-]+", " ", tag) for tag in MOVIE_TAGS}
# The longest first: "dark comedy" is not "comedy".
_TAG = re.compile(
    r"(?<!\w)("
    + "|".join(
        words.replace(" ", r"[\s\-\u2010\u2011_]+")
        for words in sorted(_TAG_WORDS.values(), key=len, reverse=True)
    )
    + r")(?!\w)",
    re.I,
)

_NAMED = r"(?:title|headline|subject(?:\s+line)?|tweet|paraphrase)"
_LABEL = re.compile(
    r"[*_#\s]*(?:(?:possible|suitable|paper|article|e-?mail|suggested|generated|proposed"
    rf"|rewritten|rephrased|paraphrased|final)\s+)?(?:{_NAMED}|answer|output)"
    r"[*_\s]*[:\uff1a][*_]*\s*",
    re.I,
)
_YES = r"(?:sure|certainly|of course|absolutely|okay|ok|great)(?:\s+thing)?"
_COURTESY = re.compile(r"(?:sure|certainly|of course)(?:\s+thing)?\s*!\s*", re.I)
_COURTESY_LINE = re.compile(rf"{_YES}[!.,:]*", re.I)
# "Sure, here is a possible title for the abstract:", up to the colon.
_ANNOUNCEMENT = re.compile(
    rf"(?:{_YES}[!.,]*\s+)?"
    r"(?:(?:here(?:\s+is|['\u2019]s|\s+are)|the\s+following\s+is|i\s+(?:would\s+)?suggest)"
    rf"[^:\n\"\u201c]{{0,80}}?\b(?:{_NAMED}|version|rewrite|suggestion|option|answer|response)\b"
    r"|(?:a|an|one|the|my)\s+(?:possible|suitable|good|better|potential|suggested|proposed"
    rf"|generated|concise|paraphrased|rewritten|rephrased)\s+{_NAMED}\b)"
    r"[^:\n\"\u201c]{0,80}[:\uff1a][*_]*\s*",
    re.I,
)
# 'A suitable title for this paper would be "..."', 'I suggest the title "..."'
_QUOTING = re.compile(
    rf"(?:(?:a|an|one|the|my)\b[^\"\u201c\n]{{0,60}}?\b{_NAMED}\b[^\"\u201c\n]{{0,80}}?"
    rf"\b(?:is|be|as)\b|i\b[^\"\u201c\n]{{0,60}}?\b{_NAMED}\b)"
    r"\s*[:\uff1a]?[*_\s]*(?:\"([^\"]+)\"|\u201c([^\u201d]+)\u201d)",
    re.I,
)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "`": "`"}
_PROMPT_ECHO = re.compile(r"\s+(?:is (?:a|the) title for|are written by a person)\b")


def first_rating(answer: str) -> int | None:
    """Return the first standalone rating 1-5 in ``answer``, or ``None`` where there is none.

    The scale itself ("on a scale of 1 to 5") is no rating.
    """
    match = _RATING.search(_SCALE.sub(" ", answer))
    return int(match.group(1)) if match else None


def rating(answer: str) -> str:
    """Return :func:`first_rating` as text; empty where there is none."""
    found = first_rating(answer)
    return "" if found is None else str(found)


def citation(answer: str) -> str:
    """Return the first ``[1]`` or ``[2]``, else the first bare 1 or 2 in brackets; or nothing."""
    match = _REFERENCE.search(answer) or _BARE_REFERENCE.search(answer)
    return f"[{match.group(1)}]" if match else ""


def movie_tag(answer: str) -> str:
    """Return the first of the 15 tags of LaMP-2 that stands in ``answer`` as words of its own.

    Case, and whether its words are joined by spaces or hyphens, do not matter.
    """
    match = _TAG.search(answer)
    if match is None:
        return ""
    words = re.sub(r"[\s\-\u2010\u2011_]+", " ", match.group(1).lower())
    return next(tag for tag, its_words in _TAG_WORDS.items() if its_words == words)


def title(answer: str) -> str:
    """Return the title, headline, subject or tweet in ``answer``: one line of it.

    It is the first line that does not only announce ("Sure! Here is a title:"), without what
    announces it in that line, label, emphasis and quotes. Where the model goes on in the pattern
    of the prompt (``"T" is a title for "..."``), it is ``T``. Empty where nothing is left.
    """
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    while len(lines) > 1 and _only_announces(lines[0]):
        lines = lines[1:]
    if not lines:
        return ""
    line = lines[0]
    for opening in (_COURTESY, _ANNOUNCEMENT, _LABEL):
        if match := opening.match(line):
            line = line[match.end() :]
    if match := _QUOTING.match(line):
        line = match.group(1) or match.group(2)
    return _unwrap(line.strip())


def _only_announces(line: str) -> bool:
    bare = line.rstrip("*_ ")
    return bare.endswith((":", "\uff1a")) or _COURTESY_LINE.fullmatch(bare) is not None


def _unwrap(text: str) -> str:
    for mark in ("**", "__", "*", "_"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return _unwrap(text[len(mark) : -len(mark)].strip())
    closing = _QUOTES.get(text[:1])
    if closing is None:
        return text
    end = text.find(closing, 1)
    if end == -1:
        # An opening quote that the length limit left open.
        return text[1:].strip() if text[0] in '"\u201c\u00ab' else text
    rest = text[end + 1 :]
    if not rest.strip(" .,;") or _PROMPT_ECHO.match(rest):
        return _unwrap(text[1:end].strip())
    return text
