"""The process of one arm that reads answers: loads its model once, and reads cell by cell.

Started by :mod:`~qrag_tasks.experiment.fidelity.run`; it ends when that process does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrag_tasks.engines.child_process import end_with_the_parent
from qrag_tasks.engines.journal import Journal
from qrag_tasks.engines.readings import ReadingRequest
from qrag_tasks.errors import ComparisonError, QragError
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.answers import GivenAnswer, answers_of, tokens_of
from qrag_tasks.experiment.fidelity.places import Reads, reads_of
from qrag_tasks.experiment.running.arm import load
from qrag_tasks.experiment.running.grid_folder import GridFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Read what one arm has not read yet; return 0 when all of it is there."""
    parser = argparse.ArgumentParser(prog="python -m qrag_tasks.experiment.fidelity.process")
    parser.add_argument("root", type=Path)
    parser.add_argument("--arm", required=True, help="MODEL/PRECISION")
    parser.add_argument("--top", type=int, required=True)
    options = parser.parse_args(arguments)
    end_with_the_parent()
    grid = GridFolder.at(options.root)
    wanted = [reads for reads in reads_of(grid, options.top) if reads.cell.arm.name == options.arm]
    lm = load(wanted[0].cell.arm)
    for reads in wanted:
        read_cell(lm, reads)
    return 0


def read_cell(lm: Any, reads: Reads) -> None:
    """Read the answers of a cell, and leave them on disk; nothing where they are there.

    :param lm: a ``QragLM``.
    :raises QragError: when they cannot be read. What was read before is kept.
    """
    given = answers_of(reads.base_folder, reads.kind)
    base = None if reads.is_base else store.read(reads.base_file)
    if not reads.is_base and base is None:
        raise ComparisonError(f"{reads.base_file} is not there: the base arm has to read first")
    requests = _requests(lm, reads, given, base)
    answers = _digest(requests)
    if store.stamp(reads.file) == (lm.identity.digest, answers):
        return
    journal = reads.file.with_suffix(".jsonl")
    lm.keep_answers(Journal(journal, lm.identity.digest))
    readings = lm.read_answers(requests)
    store.write(
        reads.file,
        store.StoredReadings(
            lm.identity.digest,
            answers,
            [each.key for each in given],
            [each.user for each in given],
            [list(request.answer) for request in requests],
            readings,
        ),
    )
    lm.keep_answers(None)
    journal.unlink(missing_ok=True)


def _requests(
    lm: Any, reads: Reads, given: Sequence[GivenAnswer], base: store.StoredReadings | None
) -> list[ReadingRequest]:
    prompts = lm.encode_prompts([each.prompt for each in given])
    tokens = [tokens_of(lm, each.answer) for each in given]
    wanted: list[Any] = [None] * len(given)
    if base is not None:
        if [list(each) for each in base.tokens] != tokens:
            raise ComparisonError(
                f"{reads.cell.arm.name} and {reads.base.name}: their tokenizers make different "
                f"tokens of the same answers, so that distributions cannot be compared token by "
                f"token; take arms of one model"
            )
        wanted = [reading.tokens.tolist() for reading in base.readings]
    for each, prompt, answer in zip(given, prompts, tokens, strict=True):
        fed = len(prompt) + len(answer) - 1
        if fed > lm.max_length:
            raise ComparisonError(
                f"{reads.cell.folder}, sample {each.key}: prompt and answer take {fed:,} tokens, "
                f"and the window of {reads.cell.arm.name} has {lm.max_length:,}"
            )
    return [
        ReadingRequest(f"{reads.cell.task_name}, sample {each.key}", prompt, answer, reads.top, of)
        for each, prompt, answer, of in zip(given, prompts, tokens, wanted, strict=True)
    ]


def _digest(requests: Sequence[ReadingRequest]) -> str:
    """Return the sha256 of what is read."""
    digest = hashlib.sha256()
    for request in requests:
        line = [list(request.prompt), list(request.answer), request.top, request.wanted]
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QragError as error:
        sys.exit(str(error))
