"""One arm reads: cell by cell, own and right answers in one go, beside other processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qrag_tasks.engines.journal import Journal
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.errors import ComparisonError, StoreError
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.answers import GivenAnswer, answers_of, tokens_of
from qrag_tasks.experiment.fidelity.places import Reads

logger = logging.getLogger("lm_eval.qrag_tasks")

JOURNAL = "readings.jsonl"
"""Name of the file in a cell's folder that keeps what was read of it, while it is read."""


def read_cells(lm: Any, wanted: Sequence[Reads], *, wait: bool = True) -> None:
    """Read the answers of cells, and leave them on disk; nothing where they are there.

    Other processes may read the same cells: each cell is read by one of them, and a cell that
    another is at is looked at again in the end.

    :param lm: a ``QragLM``, of the arm whose cells they are.
    :param wait: whether to wait then until another process has done with it; otherwise it is left
        to that one.
    :raises QragError: as :func:`read_cell`.
    """
    cells = [list(members) for _, members in groupby(wanted, key=lambda each: each.cell)]
    busy = [members for members in cells if not _read_alone(lm, members, 0)]
    for members in busy if wait else ():
        _read_alone(lm, members, -1)


def _read_alone(lm: Any, reads: Sequence[Reads], patience: float) -> bool:
    """Read a cell; return whether no other process was at it.

    :param patience: seconds to wait for one; -1 for as long as it takes.
    """
    try:
        with FileLock(reads[0].folder.path / ".readings.lock", timeout=patience):
            read_cell(lm, *reads)
    except Timeout:
        return False
    except OSError as error:
        raise StoreError(
            f"{reads[0].folder.path}: cannot be written: {error.strerror or error}"
        ) from error
    return True


def read_cell(lm: Any, *reads: Reads) -> None:
    """Read the answers of one cell, and leave them on disk; nothing where they are there.

    Own and right answers are read together: an engine that keeps what it has computed of a prompt
    needs it once. Where both are the same, one reading serves.

    :param lm: a ``QragLM``.
    :param reads: of one cell, one a kind of answer.
    :raises QragError: when they cannot be read. What was read before is kept.
    """
    asked = [_Asked(lm, each) for each in reads if not each.done]
    if not asked:
        return
    distinct: dict[tuple[Any, ...], ReadingRequest] = {}
    for each in asked:
        for request in each.requests:
            distinct.setdefault(_of(request), request)
    journal = asked[0].reads.folder.path / JOURNAL
    lm.keep_answers(_opened(journal, lm.identity.digest))
    read = dict(zip(distinct, lm.read_answers(list(distinct.values())), strict=True))
    for each in asked:
        each.write([read[_of(request)] for request in each.requests], lm.identity.digest)
    lm.keep_answers(None)
    journal.unlink(missing_ok=True)


def _opened(path: Path, arm: str) -> Journal:
    """Open the journal of a cell; what another arm has left in it, or damaged, is read again."""
    try:
        return Journal(path, arm)
    except StoreError as error:
        logger.warning("%s: begun again: %s", path, error)
        path.unlink(missing_ok=True)
        return Journal(path, arm)


class _Asked:
    """The answers of one kind, as they are asked for.

    :raises QragError: when they cannot be.
    """

    def __init__(self, lm: Any, reads: Reads) -> None:
        self.reads = reads
        self._base = None if reads.is_base else store.read(reads.base_file)
        if not reads.is_base and (self._base is None or not reads.of_base.done):
            raise ComparisonError(
                f"{reads.base_file} is not there, or was made of other answers: the base arm has "
                f"to read first"
            )
        self.requests = self._requests(lm, answers_of(reads.base_folder, reads.kind))

    def _requests(self, lm: Any, given: Sequence[GivenAnswer]) -> list[ReadingRequest]:
        """Return the requests, and keep in :attr:`_given` what they are of.

        A right answer may be longer than any that the base arm could give. What does not fit the
        base's window is read by no arm.
        """
        reads, base = self.reads, self._base
        if base is not None:
            known = set(base.keys)
            given = [each for each in given if each.key in known]
        prompts = lm.encode_prompts([each.prompt for each in given])
        tokens = [tokens_of(lm, each.answer) for each in given]
        fed = [len(one) + len(two) - 1 for one, two in zip(prompts, tokens, strict=True)]
        fits = [number for number, length in enumerate(fed) if length <= lm.max_length]
        if len(fits) < len(given):
            first = next(number for number in range(len(given)) if number not in set(fits))
            told = (
                f"{reads.cell.folder}, sample {given[first].key}: prompt and answer take "
                f"{fed[first]:,} tokens, and the window of {reads.cell.arm.name} has "
                f"{lm.max_length:,}"
            )
            if base is not None:
                raise ComparisonError(told)
            logger.warning(
                "%s: %d of %d %s answers are not read, as they do not fit: %s",
                *(reads.cell.folder, len(given) - len(fits), len(given), reads.kind, told),
            )
            given = [given[number] for number in fits]
            prompts = [prompts[number] for number in fits]
            tokens = [tokens[number] for number in fits]
        wanted: list[Any] = [None] * len(given)
        if base is not None:
            if [list(each) for each in base.tokens] != tokens:
                raise ComparisonError(
                    f"{reads.cell.arm.name} and {reads.base.name}: their tokenizers make different "
                    f"tokens of the same answers, so that distributions cannot be compared token "
                    f"by token; take arms of one model"
                )
            wanted = [reading.tokens.tolist() for reading in base.readings]
        self._given = given
        task, top = reads.cell.task_name, reads.top
        return [
            ReadingRequest(f"{task}, sample {each.key}", prompt, answer, top, of)
            for each, prompt, answer, of in zip(given, prompts, tokens, wanted, strict=True)
        ]

    def write(self, readings: Sequence[Reading], arm: str) -> None:
        """Leave on disk what was read.

        :param arm: digest of the arm that read it.
        """
        reads, base = self.reads, self._base
        tokens = [list(request.answer) for request in self.requests]
        store.write(
            reads.file,
            store.StoredReadings(
                store.Origin(
                    arm,
                    reads.answered_by,
                    reads.source,
                    None if base is None else base.origin.kept,
                    store.kept_digest(tokens, readings),
                    reads.top,
                ),
                [each.key for each in self._given],
                [each.user for each in self._given],
                tokens,
                store.together(readings),
            ),
        )


def _of(request: ReadingRequest) -> tuple[Any, ...]:
    """Return all that a reading depends on."""
    wanted = None if request.wanted is None else tuple(map(tuple, request.wanted))
    return tuple(request.prompt), tuple(request.answer), request.top, wanted
