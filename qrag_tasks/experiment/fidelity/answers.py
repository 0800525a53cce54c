"""The answers that arms read: the base arm's own of a cell, and the golds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.plan.planned_fidelity import OWN
from qrag_tasks.experiment.running.cell_folder import CellFolder
from qrag_tasks.logs.runs import read_runs
from qrag_tasks.logs.samples import Sample, iter_samples


@dataclass(frozen=True)
class GivenAnswer:
    """An answer that is to be read.

    :ivar key: of the sample.
    :ivar prompt: text, to the letter as the base arm was asked, chat template included.
    :ivar answer: text.
    """

    key: str
    user: str | None
    prompt: str
    answer: str


def answers_of(folder: CellFolder, kind: str) -> list[GivenAnswer]:
    """Return the answers to read of a complete cell, in the order of the data set.

    :param folder: of the base arm.
    :param kind: ``own`` or ``gold``; a sample whose gold is not known has none.
    :raises ComparisonError: where the cell's answers were chosen by likelihood, and not generated.
    :raises DataError: when its log cannot be read.
    """
    (run,) = read_runs(folder.path)
    (task,) = run.tasks.values()
    answers: dict[str, GivenAnswer] = {}
    for sample in task.samples:
        if sample.distribution is not None:
            raise ComparisonError(
                f"{folder.path}: its answers were chosen by their likelihoods, which compare arms "
                f"by themselves; fidelity is of answers that are generated"
            )
        text = sample.response if kind == OWN else _as_it_writes(sample)
        if text is not None:
            answers.setdefault(
                sample.key, GivenAnswer(sample.key, sample.user, sample.prompt, text)
            )
    return list(answers.values())


@lru_cache(maxsize=1024)
def documents_in(log: Path, _changed: int) -> float | None:
    """Return how many documents the prompts of a log have in the mean.

    :param _changed: when the log was last changed, in nanoseconds: what is known of it holds so
        long.
    :returns: ``None`` where its task is not one of ours.
    :raises DataError: when it cannot be read.
    """
    kept = [sample.kept for sample in iter_samples(log)]
    known = [number for number in kept if number is not None]
    return sum(known) / len(known) if known and len(known) == len(kept) else None


def _as_it_writes(sample: Sample) -> str | None:
    """Return the gold behind the white space that the base's own answer begins with, if any does.

    A model that begins with a line break finds any answer without one impossible.
    """
    own = sample.response or ""
    begins = own[: len(own) - len(own.lstrip())]
    return None if sample.target is None else begins + sample.target


def tokens_of(lm: Any, answer: str) -> list[int]:
    """Return the tokens of an answer, and the end of it.

    :param lm: a ``QragLM``.
    """
    tokens = list(lm.tokenizer(answer, add_special_tokens=False)["input_ids"])
    return [*tokens, *lm.decoding.end_tokens[:1]]
