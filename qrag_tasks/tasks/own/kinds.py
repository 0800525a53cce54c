"""From ``[answer]`` of ``corpus.toml`` to a kind of answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.own.corpus_file import LETTERS, Answer
from qrag_tasks.tasks.scoring.exact import Exact
from qrag_tasks.tasks.scoring.kinds import Labels, Ratings, Text
from qrag_tasks.tasks.scoring.readers import LabelReader, LetterReader, ScaleReader, whole_text

KINDS: tuple[type[AnswerKind], ...] = (Ratings, Labels, Text, Exact)
"""All that own data may ask for."""
_TOKENS: Mapping[str, int] = {"ratings": 16, "labels": 16, "choice": 16, "text": 64, "exact": 32}
"""Kind -> the longest answer in tokens, where ``tokens`` does not say it."""
_ALL_LINES_TOKENS = 256


def kind_of(answer: Answer) -> AnswerKind:
    """Return the kind of answer that a table asks for."""
    match answer.kind:
        case "ratings":
            lowest, highest = answer.scale
            values = tuple(map(str, range(lowest, highest + 1)))
            return Ratings("rating", values, ScaleReader(lowest, highest))
        case "labels":
            return Labels("label", answer.values, LabelReader(answer.values))
        case "choice":
            letters = LETTERS[: answer.most]
            return Labels("letter", tuple(letters), LetterReader(letters))
        case "text":
            return Text("text", reader=whole_text) if answer.lines == "all" else Text("text")
        case "exact":
            return Exact()


def answer_tokens(answer: Answer) -> int:
    """Return the longest answer, in tokens."""
    if answer.tokens is not None:
        return answer.tokens
    if answer.kind == "text" and answer.lines == "all":
        return _ALL_LINES_TOKENS
    return _TOKENS[answer.kind]


def metrics_of(answer: Answer) -> tuple[str, ...]:
    """Return the names of the scores that are asked for, in the order of the kind's.

    Without ``metrics``, these are all but the official evaluator's of LaMP.
    """
    names = [metric.name for metric in kind_of(answer).metrics]
    if answer.metrics is None:
        return tuple(name for name in names if not name.endswith("_lamp"))
    return tuple(name for name in names if name in answer.metrics)


def as_record(kind: AnswerKind) -> dict[str, Any] | None:
    """Return what :func:`kind_in_results` reads; ``None`` of a kind that no corpus can ask for."""
    match kind:
        case Ratings(number=ScaleReader(lowest=lowest, highest=highest)):
            return {"kind": "ratings", "scale": [lowest, highest]}
        case Labels(reader=LabelReader(values=values)):
            return {"kind": "labels", "values": [*values]}
        case Labels(reader=LetterReader(letters=letters)):
            return {"kind": "choice", "most": len(letters)}
        case Text(asks_for="text", reader=reader):
            return {"kind": "text", "lines": "all" if reader is whole_text else "first"}
        case Exact():
            return {"kind": "exact"}
    return None


def kind_in_results(record: Mapping[str, Any] | None) -> AnswerKind | None:
    """Return the kind of answer that results say; ``None`` where they say none that is known."""
    if record is None:
        return None
    try:
        return kind_of(_ANSWER.validate_python(record))
    except ValidationError:
        return None


_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
