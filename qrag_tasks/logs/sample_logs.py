"""Reading what lm_eval writes with ``--log_samples``: a file a task and run, a sample a line.

lm_eval names such a file ``samples_TASK_TIME.jsonl`` and the run's results, which lie beside it,
``results_TIME.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qrag_tasks.errors import DataError
from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.text_files import NotUTF8Error, raw_lines

T = TypeVar("T")

_NAME = re.compile(
    r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl"
)
RUN_AGAIN = "Copy the file again; if that is how the run left it, run it again."
"""What to do about a log that is damaged."""


def log_lines(log: Path) -> Iterator[bytes]:
    """Yield the lines of a log as they are.

    :raises DataError: when it cannot be read, or is empty.
    """
    line = None
    try:
        for line in raw_lines(log):
            yield line
    except NotUTF8Error as error:
        raise DataError(f"{log}: {error}.") from None
    except OSError as error:
        raise DataError(f"{log}: cannot be read: {error.strerror}") from error
    if line is None:
        raise DataError(f"{log}: empty: no sample was logged. {RUN_AGAIN}")


@dataclass(frozen=True)
class LoggedSample:
    """One line of a log.

    :ivar line: its number, from 1.
    :ivar doc_id: the sample's place in the data, from 0.
    :ivar doc: what the task says of the sample and its prompt.
    :ivar id: the question's id in LaMP's files.
    :ivar target: the gold answer; ``None`` where it is not known.
    :ivar prompt: what the model was given, chat template included.
    :ivar prompt_hash: sha256 of the prompt without it.
    :ivar answers: the texts that were scored: one, or one a request, as lm_eval writes them.
    :ivar filter: lm_eval's name for how they were taken out of the model's; a sample has a line
        for each.
    :ivar metrics: metric -> value for this sample.
    """

    line: int
    doc_id: int
    doc: Mapping[str, Any]
    id: str
    target: str | None
    prompt: str
    prompt_hash: str
    answers: tuple[str, ...]
    filter: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class SampleLog:
    """A sample log, read line by line whenever it is iterated over.

    :ivar task: lm_eval's name of the task.
    :ivar time: when the run ended, as its files' names have it.
    """

    path: Path
    task: str
    time: str

    @classmethod
    def at(cls, path: Path) -> SampleLog:
        """Return the log at ``path``, which is not opened.

        :raises DataError: when its name is none that lm_eval gives.
        """
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise DataError(
                f"{path}: not named as lm_eval names its sample logs, samples_TASK_TIME.jsonl, "
                f"which tells whose answers they are. Give it its name back."
            )
        return cls(path, name["task"], name["time"])

    def __iter__(self) -> Iterator[LoggedSample]:
        """Yield the samples.

        :raises DataError: when the file cannot be read, is empty, or a line is not one of our
            samples.
        """
        for number, line in enumerate(log_lines(self.path), start=1):
            yield _sample(line, number, f"{self.path}, line {number}")

    def results(self) -> Mapping[str, Any] | None:
        """Return the run's results file, which says how it was made; ``None`` where it is gone.

        :raises DataError: when the file cannot be read, or is none of lm_eval's.
        """
        # Where --output_path named a file, the results are called after it.
        for path in sorted(self.path.parent.glob(f"*_{self.time}.json")):
            try:
                body = json.loads(path.read_bytes())
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from error
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: not valid JSON: {error}. {RUN_AGAIN}") from None
            if isinstance(body, dict) and "configs" in body:
                return body
        return None


def find_logs(place: Path) -> list[SampleLog]:
    """Return the log at ``place``, or all logs in the folder that it is, at any depth.

    :raises DataError: where there is none.
    """
    if not place.is_dir():
        if not place.exists():
            raise DataError(f"{place}: no such file or folder")
        return [SampleLog.at(place)]
    found = [
        SampleLog.at(path)
        for path in sorted(place.rglob("samples_*.jsonl"))
        if _NAME.fullmatch(path.name)
    ]
    if not found:
        raise DataError(
            f"{place}: no sample log in this folder (samples_TASK_TIME.jsonl). lm_eval writes "
            f"them with --log_samples --output_path {place}"
        )
    return found


def _sample(line: bytes, number: int, where: str) -> LoggedSample:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            raise DataError(f"{where}: not valid JSON: {error}. {RUN_AGAIN}") from None
        raise DataError(
            f"{where}, the last one, is cut after {len(line):,} bytes: its end is missing. "
            f"{RUN_AGAIN}"
        ) from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object, got {kind(record)}. {RUN_AGAIN}")
    doc = _field(record, "doc", dict, where)
    answers = _field(record, "filtered_resps", list, where)
    if not answers or not all(isinstance(answer, str) for answer in answers):
        raise DataError(f"{where}: field 'filtered_resps': expected texts, got {answers!r:.80}")
    requests = _field(record, "arguments", dict, where)
    request = _field(requests, "gen_args_0", dict, where)
    return LoggedSample(
        line=number,
        doc_id=_field(record, "doc_id", int, where),
        doc=doc,
        id=_field(doc, "id", str, where),
        target=None if doc.get("target") is None else _field(doc, "target", str, where),
        prompt=_field(request, "arg_0", str, where),
        prompt_hash=_field(doc, "prompt_hash", str, where),
        answers=tuple(answers),
        filter=_field(record, "filter", str, where),
        metrics={name: record.get(name) for name in _field(record, "metrics", list, where)},
    )


def _field(record: Mapping[str, Any], name: str, expected: type[T], where: str) -> T:
    value = record.get(name)
    if not isinstance(value, expected):
        names = {dict: "an object", list: "a list", str: "text", int: "a number"}
        raise DataError(
            f"{where}: field {name!r}: expected {names[expected]}, got {kind(value)}. Is it a log "
            f"of a task of ours, as lm_eval wrote it?"
        )
    return value
