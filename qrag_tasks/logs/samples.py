"""The samples of a run, as lm_eval logs them, of any task."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qrag_tasks.errors import DataError
from qrag_tasks.logs.sample_logs import RUN_AGAIN, log_lines

Asked = tuple[tuple[Any, ...], ...]
"""The requests that a sample makes: prompt and settings, or prompt and continuation, of each."""

_DOCUMENTS = ("kept", "dropped", "shortfall")


class Sample(NamedTuple):
    """One logged sample.

    :ivar key: the question's id in our tasks' data, else its place in the data set.
    :ivar filter: lm_eval's name for how the answer was taken out of the model's text.
    :ivar asked: all that the model was asked. Equal prompts are one object, in whatever log.
    :ivar answers: what was scored, as text.
    :ivar scores: metric -> value; of macro F1, the pair of labels as it was logged.
    :ivar user: whose question it is, of our tasks.
    :ivar kept: documents in the prompt, of our tasks.
    :ivar distribution: answer -> log-probability, where likelihoods were measured.
    :ivar documents: what the task says of its documents: ``kept``, ``dropped``, ``shortfall``.
    """

    key: str
    doc_id: int
    filter: str
    asked: Asked
    target: str
    answers: tuple[str, ...]
    scores: Mapping[str, Any]
    user: str | None
    kept: int | None
    distribution: Mapping[str, float] | None
    documents: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The first of the prompts, chat template included."""
        return str(self.asked[0][0])

    @property
    def settings(self) -> Mapping[str, Any]:
        """How its answer was generated; empty where likelihoods were measured.

        Stop strings, length, sampling.
        """
        last = self.asked[0][-1]
        return last if isinstance(last, dict) else {}


def read_samples(log: Path) -> list[Sample]:
    """Return the samples of a log, in the order of the data set; one is there for each filter.

    :raises DataError: when the log cannot be read, or holds something else.
    """
    found: list[Sample] = []
    try:
        found.extend(map(_sample, log_lines(log)))
    except _LineError as error:
        raise DataError(f"{log}, line {len(found) + 1}: {error}. {RUN_AGAIN}") from None
    return sorted(found, key=lambda sample: (sample.doc_id, sample.filter))


class _LineError(Exception):
    """Says what is wrong with a line."""


def _sample(line: bytes) -> Sample:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = f"not valid JSON: {error}" if line.endswith(b"\n") else "cut: its end is missing"
        raise _LineError(what) from None
    try:
        asked = tuple(
            tuple([sys.intern(p) if isinstance(p, str) else p for p in request.values()])
            for request in record["arguments"].values()
        )
        if not (asked and all(asked)):
            raise _LineError("not as lm_eval logs a sample (it holds no request)")
        doc = record["doc"] if isinstance(record["doc"], dict) else {}
        # Of our tasks alone: others may call anything an id.
        ours = "prompt_hash" in doc and "ranked" in doc
        key, user = (str(doc["id"]), _user(doc)) if ours else (str(record["doc_id"]), None)
        return Sample(
            key=key,
            doc_id=int(record["doc_id"]),
            filter=str(record["filter"]),
            asked=asked,
            target=str(record["target"]),
            answers=tuple(map(str, record["filtered_resps"])),
            scores={name: record[name] for name in record["metrics"] if name in record},
            user=user,
            kept=len(doc["kept"]) if ours else None,
            distribution=_distribution(asked, record["filtered_resps"]),
            documents={name: doc[name] for name in _DOCUMENTS if doc.get(name)},
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _LineError(
            f"not as lm_eval logs a sample ({type(error).__name__}: {error})"
        ) from None


def _user(doc: Mapping[str, Any]) -> str | None:
    """Return whose question a sample is; ``None`` where the log does not say."""
    user = doc.get("user")
    # Earlier versions named users by their profile's hash, and so by one name all who have none.
    if user == "" or (doc.get("profile_size") == 0 and str(user).startswith("profile-")):
        return f"question-{doc['id']}"
    return None if user is None else str(user)


def _distribution(
    requests: Sequence[Sequence[Any]], found: Sequence[Any]
) -> dict[str, float] | None:
    """Return the log-probabilities of the answers, where they were measured."""
    if len(requests) != len(found) or not all(isinstance(r[-1], str) for r in requests):
        return None
    if len(found) < 2 or any(len(request) < 2 for request in requests):
        return None
    measured = {}
    for request, one in zip(requests, found, strict=True):
        if isinstance(one, list | tuple):
            measured[request[-1]] = float(one[0])
        else:
            said = json.loads(one)
            measured[said["answer"]] = float(said["logprob"])
    return measured
