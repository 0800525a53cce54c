"""From a model's free text to the title, headline, subject or tweet in it.

Models say more than they are asked for: "Sure! Here is a title: ...". What is around the answer is
passed over; an answer is never made up. A thought is no part
of the answer (:mod:`qrag_tasks.tasks.scoring.thoughts`), and one without an end is none.
"""

from __future__ import annotations

import re

from qrag_tasks.tasks.scoring.thoughts import without_thoughts

# Of a turn, or of the answer that a thought was followed by.
_TURN_MARK = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]|</?answer>")

_NAMED = r"(?:title|headline|subject(?:\s+line)?|tweet|paraphrase)"
_MADE = (
    r"(?:possible|suitable|paper|article|e-?mail|suggested|generated|proposed|good|better|potential"
    r"|concise|rewritten|rephrased|paraphrased|final)"
)
_FOR_IT = r"(?:\s+(?:for|of)\s+(?:the|this|your)\s+(?:\w+\s+)?\w+)?"
_LABEL = re.compile(
    rf"[*_#\s]*(?:{_MADE}\s+)?(?:{_NAMED}(?:\s+suggestion)?(?:\s+\d)?{_FOR_IT}|(?<=\s)version"
    r"|answer|output|response)[*_\s]*[:\uff1a][*_\s]*",
    re.I,
)
_YES = r"(?:sure|certainly|of\s+course|absolutely|okay|ok|great)(?:\s+thing)?"
_SORRY = r"(?:i['\u2019]d\s+be\s+happy\s+to\s+\w+(?:\s+\w+){0,3}[!.]\s*)?"
_BEFORE = rf"(?:{_YES}[!.,]*\W*\s+)?{_SORRY}(?:based\s+on\s+[^,:\n]{{1,60}},\s*)?"
_COURTESY_LINE = re.compile(rf"{_YES}[!.,:]+", re.I)
# A first line that only leads to a line with a label.
_LEAD = re.compile(
    rf"{_YES}(?:\s+question)?[!,.]|thank|i['\u2019]d\s|(?:abstract|article|e-?mail|review|original\s+\w+)\s*[:\uff1a]",
    re.I,
)
_NAMED_LABEL = re.compile(rf"[*_#\s]*(?:{_MADE}\s+)?{_NAMED}[*_\s]*[:\uff1a]", re.I)
# "Sure, here is a possible title for the abstract:", up to the colon.
_ANNOUNCEMENT = re.compile(
    _BEFORE
    + r"(?:(?:here(?:\s+is|['\u2019]s|\s+are)|the\s+following\s+is|i\s+(?:would\s+)?suggest)"
    rf"\s+(?:(?:an?|one|some|the|my|your|following|{_MADE}|\w+(?=\s+(?:titles|options)))\s+)*"
    rf"(?:{_NAMED}s?|one|version|rewrite|suggestion|option|answer|response)\b"
    r"|here\s+you\s+(?:go|are)"
    rf"|(?:a|an|one|the|my)\s+(?:{_MADE}\s+)*{_NAMED}\b[^:\n\"\u201c]{{0,60}}\b(?:is|be|as)(?=\s*[:\uff1a])"
    rf"|(?:a|an|one|the|my)\s+{_MADE}\s+{_NAMED}\b)"
    r"[^:\n\"\u201c]{0,80}[:\uff1a][*_]*\s*",
    re.I,
)
# 'A suitable title for this paper would be "..."', 'I suggest the title "..."'
_QUOTING = re.compile(
    _BEFORE + rf"(?:(?:a|an|one|the|my)\b[^\"\u201c\n]{{0,60}}?\b{_NAMED}\b[^\"\u201c\n]{{0,80}}?"
    rf"\b(?:is|be|as)\b|i\s+(?:would|['\u2019]d|suggest|propose|recommend)\b[^\"\u201c\n]{{0,60}}?\b{_NAMED}\b"
    r"[^\"\u201c\n]{0,20})"
    r"\s*[:\uff1a]?[*_\s]*(?:\"([^\"]+)\"|\u201c([^\u201d]+)\u201d)",
    re.I,
)
_FIRST_OF_LIST = re.compile(r"(?:1[.)]|[-*\u2022]|#{1,6})\s+")
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "`": "`"}
# What follows the closing quote where only the quoted text is the answer.
_AFTER_QUOTE = re.compile(
    r"[\s.,;*_]*\Z"
    r"|\s+is (?:a|the) title for\b|\s+are written by a person\b|\s+, and \""
    rf"|\s+(?:is|would be|could be|can be|might be)\s+an?\s[^\"]*\b{_NAMED}\b|\s+This\s+{_NAMED}\b",
    re.I,
)


def title(answer: str) -> str:
    """Return the title, headline, subject or tweet in ``answer``: one line of it.

    It is the first line that does not only announce ("Sure! Here is a title:"), without what
    announces it in that line, label, emphasis and quotes. Where the model goes on in the pattern
    of the prompt (``"T" is a title for "..."``), it is ``T``. Empty where nothing is left.
    """
    turn = next(
        (part for part in _TURN_MARK.split(without_thoughts(answer) or "") if part.strip()), ""
    )
    lines = [line.strip() for line in turn.splitlines() if line.strip()]
    while len(lines) > 1 and _only_announces(lines[0]):
        lines = lines[1:]
    if not lines:
        return ""
    if _LEAD.match(lines[0]):
        lines = [line for line in lines[1:] if _NAMED_LABEL.match(line)] or lines
    line = lines[0]
    if match := _FIRST_OF_LIST.match(line):
        line = line[match.end() :]
    for opening in (_ANNOUNCEMENT, _LABEL):
        line = _without(opening, line)
    if match := _QUOTING.match(line):
        line = match.group(1) or match.group(2)
    line = _without(_LABEL, _unwrap(line.strip()))
    return _unwrap(line.strip())


def _without(opening: re.Pattern[str], line: str) -> str:
    match = opening.match(line)
    if match is None:
        return line
    rest = line[match.end() :]
    if re.match(r"answer|output|response", match[0], re.I) and len(rest.split()) < 2:
        return line  # "Answer: 42"
    for mark in ("**", "__"):
        # An emphasis that the label opened.
        if match[0].count(mark) % 2:
            rest = rest.removesuffix(mark)
    return rest


def _only_announces(line: str) -> bool:
    bare = line.strip("*_ ")
    return (
        bare.endswith((":", "\uff1a"))
        or not bare.strip("`~=-")
        or _COURTESY_LINE.fullmatch(bare) is not None
        or re.fullmatch(rf"#*\s*{_NAMED}", bare, re.I) is not None
    )


def _unwrap(text: str) -> str:
    while (inner := _inner(text)) != text:
        text = inner
    return text


def _inner(text: str) -> str:
    for mark in ("**", "__", "*", "_"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            inner = text[len(mark) : -len(mark)]
            if mark not in inner.strip(mark[0]):
                return inner.strip()
    closing = _QUOTES.get(text[:1])
    if closing is None:
        return text
    end = text.find(closing, 1)
    if end == -1:
        # An opening quote that the length limit left open.
        return text[1:].strip() if text[0] in '"\u201c\u00ab' else text
    return text[1:end].strip() if _AFTER_QUOTE.match(text, end + 1) else text
