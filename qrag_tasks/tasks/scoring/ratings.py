"""From a model's free text to the rating in it, 1 to 5.

A rating is the first number on the scale that is said as one. The tables below are all the rules:
what says a number in another way, what is no rating, and what is. What else a text counts, such as
dates, prices and measures, is passed over, and so is the scale itself.
"""

from __future__ import annotations

import re

from qrag_tasks.tasks.scoring.thoughts import without_thoughts

# ---------------------------------------------------------------------- numbers said otherwise
_DIGITS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
_WORD = rf"(?:{'|'.join(_DIGITS)})"
_WORDS = rf"\b{_WORD}(?:\s*(?:-|\u2013|or|to|and)\s*{_WORD})?(?:\s+and\s+a\s+half)?\b"
_OF_FIVE = r"\s*(?:/|out\s+of|of)\s*(?:5|five)(?:[.,]0+)?(?!\w|[.,]\d)"
# Where one rates: "I'd rate it a solid", "My rating for this review is".
_SAID = (
    r"\b(?:rat(?:e|ed|ing)|scored?|give|say|answer|choose)\b"
    r"(?:\s*(?:['\u2019]d|[:=*\"]|\b(?:it|this|that|the|review|would|be|is|was|as|at|of|a|an|with"
    r"|for|about|around|between|solid|probably)\b))*\s*"
)
_SAID_SO = r"(?=\s*(?:[.,;:!?)*\"\n]|\Z|(?:because|since|as|due|based|on)\b))"
# The whole answer or its first line, what stands before "stars" or "out of 5", or what one rates
# with. "One of the best" and "two reasons" say no number.
_IN_WORDS = re.compile(
    rf"\A[\W_]*{_WORDS}(?:[\W_]*\Z|{_SAID_SO})"
    rf"|{_WORDS}(?=\s*-?\s*stars?\b|{_OF_FIVE})"
    rf"|(?:{_SAID}|[:=][\s*\"]*){_WORDS}{_SAID_SO}"
    r"|\bout\s+of\s+five\b",
    re.I,
)
_EACH_WORD = re.compile(rf"\b{_WORD}\b", re.I)
_HALF = re.compile(r"(?<=[1-4])\s*(?:\u00bd|(?<=\s)1/2(?![\w/])|(?<=\s)and\s+a\s+half\b)", re.I)
_BETWEEN = re.compile(r"\bbetween\s+([1-5](?:\.\d+)?)\s+and\s+(?=[1-5])", re.I)
_FULL_WIDTH = str.maketrans("".join(map(chr, range(0xFF0B, 0xFF1B))), "+,-./0123456789:")

# ---------------------------------------------------------------------- what is no rating
# All digits that stand there, and all groups of them: possessive repeats came with Python 3.11.
_WHOLE = r"\d+(?!\d)"
_NUMERAL = rf"{_WHOLE}(?:[.,]{_WHOLE})*(?![.,]\d)"
_ANY = rf"(?<!\d)(?<!\d[.,]){_NUMERAL}"
_UP_TO = r"\s*(?:to|through|or|[-\u2013\u2014])\s*"
_ANY_RANGE = rf"{_ANY}(?:{_UP_TO}{_ANY})?"
_MONTH = (
    r"(?-i:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_NO_RATING: dict[str, str] = {
    # Some models say the scale again, or the list of its numbers.
    "the scale": r"\b(?:[01]|one|zero)(?:\s+stars?)?(?:\s*\([^()]*\))?"
    r"\s*(?:to|through|[-\u2013\u2014])\s*(?:5|five)\b(?:\s*\([^()]*\))?"
    r"|\b(?:5|five)[-\s](?:point|star)\s+(?:\w+\s+)?(?:scale|system)\b"
    r"|\bscale\s+of\s+(?:5|five)\b"
    r"|\b[15](?:\s+stars?)?\s*(?:being|=)\s*(?:the\s+)?(?:best|worst|highest|lowest|most|least)\b",
    "all of the scale": r"\b1,\s*2,\s*3,\s*4,?\s*(?:(?:or|and)\s*)?5\b",
    "a date": r"\b\d{1,4}([-/.])\d{1,2}\1\d{2,4}\b"
    rf"|\b{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}\b",
    # "$4$" is a number in LaTeX.
    "a price": rf"[$\u00a3\u20ac\u00a5]\s?{_NUMERAL}(?!\$)"
    rf"|{_ANY_RANGE}\s*(?:[\u00a3\u20ac\u00a5]"
    r"|(?:dollars?|bucks?|euros?|pounds?|cents?|usd|eur|gbp)\b)",
    "a measure": rf"{_ANY_RANGE}(?:\s*%|[\s-]*(?:percent|seconds?|minutes?|mins?|hours?|hrs?|days?"
    r"|weeks?|months?|years?|yrs?|[ap]\.?m\.?|inch(?:es)?|feet|foot|ft|mm|cm|km|miles?|met(?:er|re)s?"
    r"|lbs?|oz|ounces?|kg|grams?|times|pages?|chapters?|books?|packs?|people|users|readers|kids"
    r"|customers|reviewers|reviews|reasons?|things|flaws?|issues?|problems?|complaints?|sentences?"
    r"|words)\b)",
    "a part of some": rf"{_ANY}\s+of\s+(?:the|my|them|these|those|his|her|our|us)\b"
    r"(?!\s*(?:5|five))",
    "the number of a thing": r"\b(?:version|chapter|part|volume|vol|season|episode|usb|bluetooth"
    rf"|page|step)\.?\s*#?{_NUMERAL}",
    "below zero": rf"\b(?:minus|negative)\s+{_ANY}",
    # What 8/10 is on a scale from 1 is not said.
    "of another scale": rf"{_ANY}\s*(?:/|out\s+of|of)\s*(?!5(?:[.,]0+)?(?!\d|[.,]\d))"
    rf"{_WHOLE}(?:[.,]{_WHOLE})?"
    rf"|(?<!\d)(?<!\d[.,])(?:0|[6-9]|\d{_WHOLE})(?:[.,]{_WHOLE})?{_OF_FIVE}"
    rf"|\b{_WHOLE}\s*(?:to|[-\u2013\u2014])\s*(?:[6-9]|\d{_WHOLE})\b",
}
"""What it is -> what it looks like."""
_PASSED_OVER = [re.compile(pattern, re.I) for pattern in _NO_RATING.values()]
# The numbers of a list's items; "4. A good book" alone is a rating.
_ITEM = re.compile(r"(?m)^[ \t]*(\d)[.)](?=\s)")
_SCALE_TO_TEN = re.compile(r"\b(?:[01]|one|zero)\s*(?:to|[-\u2013\u2014])\s*(?:10|ten|100)\b", re.I)

# ---------------------------------------------------------------------- what is one
_NUMBER = r"[1-5](?:\.\d{1,6}|,\d{1,2})?"
# No part of a word, a longer number, a ratio, a time or a negative number, and not the 5 of "out of
# 5"; one number or, as a model hedges, two.
_RATING = re.compile(
    r"(?<![A-Za-z0-9_\-\u2212/])(?<!/ )(?<!\d[,:])(?<![^.]\.)(?<!\A\.)(?<!out of )"
    rf"({_NUMBER})(?:{_UP_TO}({_NUMBER}))?(?![A-Za-z0-9_%]|[.,:]\d)",
    re.I,
)
_STARS = re.compile(r"(?:[\u2605\u2b50\U0001f31f]\ufe0f?){1,5}(?![\u2605\u2b50\U0001f31f])")


def rating_value(answer: str) -> float | None:
    """Return the number that ``answer`` rates with, 1 to 5, or ``None`` where there is none.

    It is one of the five ratings where the model gives one, in digits, in words or in stars; the
    number itself where it gives another ("4.5/5", "4,5", "four and a half"); and the middle of two
    neighbours ("4-5", "4 or 5"). What is on another scale ("8/10") is none.
    """
    text = (without_thoughts(answer) or "").translate(_FULL_WIDTH)
    if _SCALE_TO_TEN.search(text):
        return None
    text = _IN_WORDS.sub(_in_digits, text)
    text = _BETWEEN.sub(r"\1-", _HALF.sub(".5", text))
    if {"1", "2"} <= set(_ITEM.findall(text)):
        text = _ITEM.sub(" ", text)
    for pattern in _PASSED_OVER:
        text = pattern.sub(" ", text)
    values = (_value(*match.groups()) for match in _RATING.finditer(text))
    return next((value for value in values if value is not None), None) or _stars(text)


def _in_digits(match: re.Match[str]) -> str:
    return _EACH_WORD.sub(lambda word: _DIGITS[word[0].lower()], match[0])


def _value(low: str, high: str | None) -> float | None:
    one = float(low.replace(",", "."))
    two = one if high is None else float(high.replace(",", "."))
    middle = (one + two) / 2
    if max(one, two) > 5:
        return None
    # Two that are no neighbours say nothing, least of all the rating between them.
    hedged = high is not None and (abs(one - two) > 1 or middle.is_integer())
    return None if hedged else middle


def _stars(text: str) -> float | None:
    stars = _STARS.search(text)
    if stars is None:
        return None
    count = len(stars[0].replace("\ufe0f", ""))
    # A single one before a text is an ornament.
    return None if count == 1 and re.search(r"\w", text) else float(count)
