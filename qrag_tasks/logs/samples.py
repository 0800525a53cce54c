"""The samples of a log, as lm_eval writes them with ``--log_samples``, of any task: one a line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from qrag_tasks.errors import DataError
from qrag_tasks.logs.damage import RUN_AGAIN, wrong_field
from qrag_tasks.tasks.base import Attribute
from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.tasks.scoring.likelihood import distribution
from qrag_tasks.text_files import NotUTF8Error, raw_lines

Requests = tuple[tuple[Any, ...], ...]
"""The requests that a sample makes: prompt and settings, or prompt and continuation, of each."""

_NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})
_DOCUMENTS = ("kept", "dropped", "shortfall")
_FIELDS: Mapping[str, type] = {
    "doc_id": int,
    "arguments": dict,
    "filtered_resps": list,
    "filter": str,
    "metrics": list,
}


class Sample(NamedTuple):
    """One logged sample.

    :ivar key: the question's id in our tasks' data, else its place in the data set.
    :ivar doc_id: the sample's place in the data set, from 0.
    :ivar filter: lm_eval's name for how the answer was taken out of the model's text; a sample
        is logged once for each.
    :ivar requests: all that the model was asked. Equal prompts are one object, in whatever log.
    :ivar target: the gold; ``None`` where one of our tasks does not know it.
    :ivar answers: what was scored, as text; ``None`` where there is no answer.
    :ivar scores: metric -> value; of macro F1, the pair of labels as it was logged.
    :ivar user: whose question it is, of our tasks.
    :ivar kept: documents in the prompt; ``None`` where the task is not ours.
    :ivar distribution: answer -> log-probability, where likelihoods were measured.
    :ivar prompt_tokens: of the prompt; ``None`` where nobody counted them.
    :ivar response: the model's own words, before any filter; ``None`` where it generated none.
    :ivar documents: what the task says of its documents: ``kept``, ``dropped``, ``shortfall``.
    :ivar attributes: what else is known of the question, by name; of a task that is not ours, the
        numbers and short texts of its doc, such as a subject.
    """

    key: str
    doc_id: int
    filter: str
    requests: Requests
    target: str | None
    answers: tuple[str | None, ...]
    scores: Mapping[str, Any]
    user: str | None
    kept: int | None
    distribution: Mapping[str, float] | None
    documents: Mapping[str, Any]
    prompt_tokens: int | None = None
    response: str | None = None
    attributes: Mapping[str, Attribute] = _NO_ATTRIBUTES

    @property
    def prompt(self) -> str:
        """The first of the prompts, chat template included."""
        return str(self.requests[0][0])

    @property
    def settings(self) -> Mapping[str, Any]:
        """How its answer was generated; empty where likelihoods were measured.

        Stop strings, length, sampling.
        """
        last = self.requests[0][-1]
        return last if isinstance(last, dict) else {}

    @property
    def answer(self) -> str | None:
        """What was answered; where likelihoods were measured, the likeliest answer, as scored."""
        if self.distribution:
            shares = distribution(list(self.distribution.values()))
            return list(self.distribution)[max(range(len(shares)), key=shares.__getitem__)]
        return self.answers[0] if self.answers else None


def iter_samples(log: Path) -> Iterator[Sample]:
    """Yield the samples of a log, in the order of its lines.

    :raises DataError: when the log cannot be read or is empty, or a line is not a sample.
    """
    number = 0
    try:
        for line in raw_lines(log):
            number += 1
            yield _sample(line)
    except _LineError as error:
        raise DataError(f"{log}, line {number}: {error}. {RUN_AGAIN}") from None
    except NotUTF8Error as error:
        raise DataError(f"{log}: {error}.") from None
    except OSError as error:
        raise DataError(f"{log}: cannot be read: {error.strerror}") from error
    if not number:
        raise DataError(f"{log}: empty: no sample was logged. {RUN_AGAIN}")


class _LineError(Exception):
    """Says what is wrong with a line."""


def _sample(line: bytes) -> Sample:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            raise _LineError(f"not valid JSON: {error}") from None
        raise _LineError(f"cut after {len(line):,} bytes: its end is missing") from None
    if not isinstance(record, dict):
        raise _LineError(f"expected an object, got {kind(record)}")
    for name, expected in _FIELDS.items():
        if not isinstance(record.get(name), expected):
            raise _LineError(wrong_field(record, name, expected))
    answers, doc = record["filtered_resps"], _doc_of_ours(record)
    try:
        requests = tuple(
            tuple([sys.intern(p) if isinstance(p, str) else p for p in request.values()])
            for request in record["arguments"].values()
        )
        if not (requests and all(requests)):
            raise _LineError("not as lm_eval logs a sample (it holds no request)")
        gold = record["target"]
        return Sample(
            key=doc["id"] if doc else str(record["doc_id"]),
            doc_id=record["doc_id"],
            filter=record["filter"],
            requests=requests,
            target=None if gold is None or (doc and doc.get("target") is None) else str(gold),
            answers=tuple([None if answer is None else str(answer) for answer in answers]),
            scores={name: record[name] for name in record["metrics"] if name in record},
            user=_user(doc) if doc else None,
            kept=_kept(doc) if doc else None,
            distribution=_distribution(requests, answers),
            documents={name: doc[name] for name in _DOCUMENTS if doc.get(name)} if doc else {},
            prompt_tokens=doc.get("prompt_tokens") if doc else None,
            response=_response(record.get("resps")),
            attributes=_attributes(doc) if doc else _short_fields(record.get("doc")),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _LineError(
            f"not as lm_eval logs a sample ({type(error).__name__}: {error})"
        ) from None


def _doc_of_ours(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what one of our tasks says of a sample; ``None`` where the task is not ours."""
    doc, answers = record.get("doc"), record["filtered_resps"]
    # Others may call anything an id.
    if not (isinstance(doc, dict) and "prompt_hash" in doc and "ranked" in doc):
        return None
    for name, expected in (("id", str), ("kept", list)):
        if name == "kept" and doc.get("imported") and "kept" not in doc:
            continue  # Nobody said which documents they were.
        if not isinstance(doc.get(name), expected):
            raise _LineError(wrong_field(doc, name, expected))
    if not answers or not all(isinstance(answer, str | None) for answer in answers):
        raise _LineError(f"field 'filtered_resps': expected texts, got {answers!r:.80}")
    return doc


def _kept(doc: Mapping[str, Any]) -> int | None:
    """Return how many documents were in the prompt, as far as an import was told."""
    if "kept" in doc:
        return len(doc["kept"])
    count = doc.get("documents")
    return count if isinstance(count, int) else None


def _attributes(doc: Mapping[str, Any]) -> Mapping[str, Attribute]:
    """Return the attributes of a sample; thousands of samples share their names and classes."""
    given = doc.get("attributes")
    if given is None:
        return _NO_ATTRIBUTES
    if not isinstance(given, dict):
        raise _LineError(wrong_field(doc, "attributes", dict))
    attributes: dict[str, Attribute] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _LineError(f"attribute {name!r}: expected a text or a number, got {kind(value)}")
        attributes[sys.intern(name)] = sys.intern(value) if isinstance(value, str) else value
    return attributes


_SHORT = 64
"""Letters of the longest text that may be a class of questions, such as a subject."""


def _short_fields(doc: Any) -> Mapping[str, Attribute]:
    """Return what may tell classes of questions apart in the doc of a task that is not ours."""
    if not isinstance(doc, dict):
        return _NO_ATTRIBUTES
    fields: dict[str, Attribute] = {}
    for name, value in doc.items():
        if isinstance(value, str):
            if len(value) <= _SHORT:
                fields[sys.intern(name)] = sys.intern(value)
        elif type(value) in (int, float) and math.isfinite(value):
            fields[sys.intern(name)] = value
    return fields or _NO_ATTRIBUTES


def _response(responses: Any) -> str | None:
    """Return what the model said, where lm_eval logs one text."""
    while isinstance(responses, list) and len(responses) == 1:
        (responses,) = responses
    return responses if isinstance(responses, str) else None


def _user(doc: Mapping[str, Any]) -> str | None:
    """Return whose question a sample is; ``None`` where the log does not say."""
    user = doc.get("user")
    # Earlier versions named users by their profile's hash, and so by one name all who have none.
    if user == "" or (doc.get("profile_size") == 0 and str(user).startswith("profile-")):
        return f"question-{doc['id']}"
    return None if user is None else str(user)


def _distribution(
    requests: Sequence[Sequence[Any]], answers: Sequence[Any]
) -> dict[str, float] | None:
    """Return the log-probabilities of the answers, where they were measured."""
    if len(answers) < 2 or len(requests) != len(answers):
        return None
    if not all(len(request) > 1 and isinstance(request[-1], str) for request in requests):
        return None
    measured = {}
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, list | tuple):
            measured[request[-1]] = float(answer[0])
        else:
            share = json.loads(answer)
            measured[share["answer"]] = float(share["logprob"])
    return measured
