"""From PersonaMem's questions to samples, each built when it is asked for.

Thousands of questions share some dozen histories, up to different messages: what is kept is the
histories, once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import overload

from qrag_tasks.tasks.base import DataSet, Item, Sample, Task
from qrag_tasks.tasks.corpus.file_states import State, check_unchanged, file_state

from qrag_personamem.places import Files, find_files
from qrag_personamem.prompts import SESSION
from qrag_personamem.question import Asked, Message, history_of
from qrag_personamem.reading import Benchmark, Question, read
from qrag_personamem.settings import Setting


class Samples(Sequence[Sample]):
    """All samples of one size in one setting."""

    def __init__(self, benchmark: Benchmark, setting: Setting) -> None:
        self._benchmark, self._setting = benchmark, setting
        # Questions of one history are neighbours: each would build its documents again.
        self._last: tuple[tuple[str, int], tuple[Item, ...]] = ("", -1), ()

    def __len__(self) -> int:
        return len(self._benchmark.questions)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        if isinstance(index, slice):
            return tuple(self._sample(one) for one in self._benchmark.questions[index])
        return self._sample(self._benchmark.questions[index])

    def _sample(self, question: Question) -> Sample:
        whole = self._setting == "full"
        asked = Asked(
            question.text,
            question.options,
            history_of(self._history(question)) if whole else "",
        )
        return Sample(
            id=question.id,
            input=asked.joined(),
            profile=() if whole else self._documents(question),
            target=question.gold,
            user=question.user,
            attributes=question.attributes,
        )

    def _history(self, question: Question) -> tuple[Message, ...]:
        return self._benchmark.contexts[question.context][: question.end]

    def _documents(self, question: Question) -> tuple[Item, ...]:
        place = question.context, question.end
        if self._last[0] != place:
            cut = _turns if self._setting == "turns" else _sessions
            self._last = place, tuple(cut(self._history(question)))
        return self._last[1]


def _turns(history: Sequence[Message]) -> Iterator[Item]:
    for number, message in enumerate(history):
        yield _item(f"turn-{number}", number, message.role, message.content)


def _sessions(history: Sequence[Message]) -> Iterator[Item]:
    """Yield sessions: each begins with a message of the system's, which says who the user is."""
    starts = [place for place, one in enumerate(history) if place == 0 or one.role == "system"]
    for number, (start, end) in enumerate(pairwise([*starts, len(history)])):
        yield _item(f"session-{number}", number, SESSION, history_of(history[start:end]))


def _item(name: str, number: int, role: str, text: str) -> Item:
    # A retriever reads a number of up to four digits as a year: the order is all that is known.
    return {"id": name, "role": role, "text": text, "date": str(number + 1)}


def load(task: Task, size: str, setting: Setting, data: str | None, split: str) -> DataSet:
    """Read and check the samples of one size in one setting."""
    files = find_files(size, data, split)
    benchmark, fingerprint = _read(files, tuple(map(file_state, files)))
    return DataSet(
        task=task,
        questions=files.questions,
        outputs=files.questions,
        samples=Samples(benchmark, setting),
        ids=tuple(question.id for question in benchmark.questions),
        fingerprint=fingerprint,
        split=split,
    )


@lru_cache(maxsize=2)
def _read(files: Files, states: tuple[State, ...]) -> tuple[Benchmark, str]:
    digest = hashlib.sha256()
    benchmark = read(files, digest)
    for path, state in zip(files, states, strict=True):
        check_unchanged(path, state)
    return benchmark, digest.hexdigest()
