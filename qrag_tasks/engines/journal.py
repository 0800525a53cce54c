"""Answers on disk, a batch a line: what a killed run had answered is not asked again.

Batches are kept whole. What is left of a run after a kill is then batched just as it would have
been, and so it is answered just as it would have been: answers depend on the batch (see
:mod:`qrag_tasks.experiment.noise`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qrag_tasks.errors import StoreError
from qrag_tasks.metering.cost import seconds_of

_FORMAT = 1


class Journal:
    """The answers of one arm to one set of requests.

    :param path: of the file; made where it is not there. A last line that a kill left half
        written is cut off.
    :param arm: digest of the arm that answers.
    :raises StoreError: when the file is another arm's, damaged, or cannot be read or written.
    """

    def __init__(self, path: Path, arm: str) -> None:
        self._path = path
        self._answers: dict[str, Any] = {}
        self.costs: list[Mapping[str, float]] = []
        """What each batch cost, as the meter counts it."""
        self.limit: Sequence[Any] | None = None
        """The most sequences, tokens and bytes a batch, as the last batch left them."""
        lines = list(_whole_lines(path))
        if not lines:
            self._write({"journal": _FORMAT, "arm": arm})
            return
        header = lines[0]
        if header.get("journal") != _FORMAT:
            raise StoreError(
                f"{path}: no journal that this release reads. Move it away; what it holds is then "
                f"answered again."
            )
        if header["arm"] != arm:
            raise StoreError(
                f"{path} was begun by arm {header['arm'][:12]}, and this is {arm[:12]}: weights, "
                f"precision, kernel, dtype or template have changed since. Move it away to answer "
                f"everything again."
            )
        for line in lines[1:]:
            self._answers |= dict(line["answers"])
            self.costs.append(line["cost"])
            self.limit = line["limit"]

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __getitem__(self, key: str) -> Any:
        return self._answers[key]

    def __len__(self) -> int:
        return len(self._answers)

    def append(
        self,
        answers: Mapping[str, Any],
        cost: Mapping[str, float],
        limit: Sequence[float | None],
    ) -> None:
        """Keep a batch; when this returns, it is on disk.

        :param answers: key -> what was answered, as JSON has it.
        :param limit: sequences, tokens and bytes a batch that hold now.
        :raises StoreError: when it cannot be written; what was kept before stays as it is.
        """
        self._write({"answers": list(answers.items()), "cost": dict(cost), "limit": list(limit)})
        self._answers |= answers
        self.costs.append(cost)

    def _write(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                before = os.fstat(file).st_size
                try:
                    _write_all(file, data)
                    os.fsync(file)
                except OSError:
                    os.ftruncate(file, before)
                    raise
            finally:
                os.close(file)
        except OSError as error:
            raise StoreError(
                f"{self._path}: cannot be written: {error.strerror}. What was answered before is "
                f"kept; mend that and run again to go on."
            ) from error


class Answered(NamedTuple):
    """What a journal holds.

    :ivar answers: how many.
    :ivar tokens: of the prompts and the answers.
    :ivar seconds: that answering took.
    """

    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0


def answered(path: Path) -> Answered:
    """Return how much a journal holds; nothing where there is none.

    :raises StoreError: when it is damaged or cannot be read.
    """
    batches = list(_whole_lines(path, mend=False))[1:]

    def total(*names: str) -> float:
        return sum(float(batch["cost"].get(name, 0)) for batch in batches for name in names)

    return Answered(
        sum(len(batch["answers"]) for batch in batches),
        int(total("prompt_tokens", "generated_tokens")),
        sum(seconds_of(batch["cost"]) for batch in batches),
    )


def request_keys(requests: Iterable[Any]) -> list[str]:
    """Return a key for each request of a call: alike requests differ by their number.

    :param requests: of each, what its answer depends on, as JSON has it.
    """
    seen: dict[str, int] = {}
    keys = []
    for request in requests:
        text = json.dumps(request, sort_keys=True, ensure_ascii=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        number = seen[digest] = seen.get(digest, 0) + 1
        keys.append(f"{digest}:{number}")
    return keys


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _whole_lines(path: Path, mend: bool = True) -> Iterable[Mapping[str, Any]]:
    """Yield a journal's lines; a last one without its end is cut off the file instead."""
    try:
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        if mend and end < len(data):
            os.truncate(path, end)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(data[:end].split(b"\n")[:-1], start=1):
        try:
            body = json.loads(line.decode("utf-8", "surrogatepass"))
            for name in ("answers", "cost", "limit") if number > 1 else ("journal", "arm"):
                body[name]
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{path}, line {number}: damaged. Move the file away; what it holds is then "
                f"answered again."
            ) from None
        yield body
