"""What follows a prompt where the likelihood of every possible answer is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qrag_tasks.prompting.model_text import ModelText


@dataclass(frozen=True)
class Continuations:
    """What the likelihood of every answer is read off.

    :ivar shared: what all answers begin with, to stand behind the prompt.
    :ivar each: one text an answer, to follow it; its first token tells the answers apart, or it
        is the rest of the answer.
    """

    shared: str
    each: tuple[str, ...]


def without_shared_parts(answers: Sequence[str]) -> Continuations:
    """Return the answers without what all of them begin and end with: ``[`` and ``]`` of ``[1]``.

    What is the same in all of them does not tell them apart; without it, one token often does.
    White space before an answer stays with it: tokenizers join the two.
    """
    shared = _shared_start(answers)
    shared = shared if shared.strip() else ""
    rests = [answer[len(shared) :] for answer in answers]
    ending = min(len(_shared_start([rest[::-1] for rest in rests])), min(map(len, rests)) - 1)
    return Continuations(shared, tuple(rest[: len(rest) - ending] for rest in rests))


def _shared_start(texts: Sequence[str]) -> str:
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return "".join(column[0] for column in columns)


def continuations(
    answers: Sequence[str], text: ModelText | None, delimiter: str, templated: bool
) -> Continuations:
    """Return what follows the prompt for every answer: one token each, where it can.

    :param text: how the model reads text; ``None`` where that is not known.
    :param delimiter: what stands between a prompt and its answer where no chat template does.
    :param templated: whether a chat template is applied.
    """
    before = "" if templated else delimiter
    unshared = without_shared_parts([f"{before}{answer}" for answer in answers])
    if text is None:
        return unshared
    # Any text that ends as the prompt does: a line break behind a template, else a word.
    pieces = text.first_pieces(unshared.shared or ("\n" if templated else "a"), unshared.each)
    return Continuations(unshared.shared, pieces) if pieces else unshared
