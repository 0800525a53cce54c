"""Answers that the data give away: what stands in the user's own profile already.

Texts are compared with case folded and runs of white space as one space, otherwise to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qrag_tasks.tasks.base import DataSet, Sample, Task

Kind = Literal["question", "answer", "text"]

FEWEST_WORDS = 3
"""Shorter golds are not looked for inside of texts, where they stand by chance."""
_AROUND = 40
_START = 100

_CITATION = re.compile(r'title "(.*?)", which .*?\[1\]: "(.*?)" \[2\]: "(.*)"', re.DOTALL)


@dataclass(frozen=True)
class Leak:
    """One profile item that gives something away.

    :ivar sample: the question's id.
    :ivar index: its place in the data, from 0.
    :ivar item: the profile item's id.
    :ivar kinds: ``question``: the question's own text is the item's. ``answer``: the gold is the
        item's own answer; where answers are a closed set, only beside ``question``. ``text``: the
        gold stands in a text of the item, on word boundaries.
    :ivar excerpt: of the item: a gold in a text of it, marked and with what is around it; otherwise
        its answer and the start of its text.
    """

    sample: str
    index: int
    item: str
    kinds: tuple[Kind, ...]
    excerpt: str


@dataclass(frozen=True)
class Leaks:
    """What was found in a data set.

    :ivar leaks: in the data's order.
    :ivar golds: questions whose gold could be looked for: known, and no label.
    :ivar short: those of them with fewer than :data:`FEWEST_WORDS` words.
    :ivar unread: questions in whose input the texts to look for were not found.
    """

    data: DataSet
    leaks: tuple[Leak, ...]
    golds: int
    short: int
    unread: int

    def count(self, *kinds: Kind) -> int:
        """Return how many questions have a leak of one of these kinds."""
        return len({leak.index for leak in self.leaks if not set(kinds).isdisjoint(leak.kinds)})


@dataclass(frozen=True)
class _Wanted:
    """What is looked for in a profile, folded; ``None`` where there is nothing to look for.

    :ivar question: the text that the item's long field is held against.
    :ivar answer: the gold, as the item's answer has it.
    :ivar text: the gold, as a text has it.
    """

    question: str | None
    answer: str | None
    text: str | None


def find_leaks(data: DataSet) -> Leaks:
    """Look into every question's own profile.

    The question's own text is its query (LaMP-1: the title of the paper that cites) and is held
    against the item's description, review, article, abstract, e-mail or tweet (LaMP-1: title). The
    gold of LaMP-1 is the title of the right reference. The golds of LaMP-2 and 3 are labels, which
    stand anywhere: they count only where the item is the question itself.
    """
    leaks: list[Leak] = []
    golds = short = unread = 0
    for index in range(len(data.samples)):
        sample = data.samples[index]
        wanted = _wanted(data.task, sample)
        unread += wanted.question is None
        if wanted.text is not None:
            golds += 1
            short += _too_short(wanted.text)
        leaks.extend(_in_profile(data.task, index, sample, wanted))
    return Leaks(data, tuple(leaks), golds, short, unread)


def _wanted(task: Task, sample: Sample) -> _Wanted:
    target = None if sample.target is None else _fold(sample.target)
    if task.item_target is None:
        match = _CITATION.search(sample.input)
        if match is None or task.answer.values is None:
            return _Wanted(None, None, None)
        title, *references = map(_fold, match.groups())
        gold = None if target is None else references[task.answer.values.index(target)]
        return _Wanted(title, None, gold)
    question = _fold(task.query(sample.input))
    return _Wanted(question, target, None if task.answer.values else target)


def _in_profile(task: Task, index: int, sample: Sample, wanted: _Wanted) -> Iterator[Leak]:
    gold = None if _too_short(wanted.text or "") else wanted.text
    long_field, own_answer = task.prompt.long_field, task.item_target
    for item in sample.profile:
        kinds: list[Kind] = []
        if _same(item[long_field], wanted.question):
            kinds.append("question")
        answers = own_answer and _same(item[own_answer], wanted.answer)
        if answers and (kinds or task.answer.values is None):
            kinds.append("answer")
        excerpt = None
        if gold and "answer" not in kinds:
            excerpts = (_excerpt(gold, item[field]) for field in task.item_fields)
            if excerpt := next(filter(None, excerpts), None):
                kinds.append("text")
        if kinds:
            shown = dict.fromkeys(field for field in (own_answer, long_field) if field)
            start = _plain(": ".join(item[field] for field in shown))[:_START]
            yield Leak(sample.id, index, item["id"], tuple(kinds), excerpt or start)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _fold(text: str) -> str:
    return _plain(text.casefold())


def _too_short(gold: str) -> bool:
    return len(gold.split()) < FEWEST_WORDS


def _same(text: str, folded: str | None) -> bool:
    """Whether a text is the one that was folded."""
    # The start alone tells nearly all texts apart, and is folded in a fraction of the time.
    if not folded or not folded.startswith(_fold(text[:_START])):
        return False
    return _fold(text) == folded


def _excerpt(gold: str, text: str) -> str | None:
    """Return the gold in the text and what is around it; ``None`` where it is not there."""
    # Its longest word alone, for which no white space need be folded, is missing nearly always.
    if max(gold.split(), key=len) not in text.casefold():
        return None
    folded = _fold(text)
    start = _place(gold, folded)
    if start is None:
        return None
    plain = _plain(text)
    if len(plain) != len(folded):  # a letter that folds to two, as the German sharp s does
        plain = folded
    end = start + len(gold)
    first, last = max(start - _AROUND, 0), end + _AROUND
    return (
        f"{'...' if first else ''}{plain[first:start]}>>{plain[start:end]}<<{plain[end:last]}"
        f"{'...' if last < len(plain) else ''}"
    )


def _place(gold: str, text: str) -> int | None:
    """Return where the gold first stands in the text without cutting a word of it in two."""
    start = text.find(gold)
    while start != -1:
        end = start + len(gold)
        cut_before = start > 0 and text[start - 1].isalnum() and gold[0].isalnum()
        cut_behind = end < len(text) and text[end].isalnum() and gold[-1].isalnum()
        if not cut_before and not cut_behind:
            return start
        start = text.find(gold, start + 1)
    return None
