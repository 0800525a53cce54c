"""A train split for the embedded sample, which has none: other users, drawn as its own were."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from qrag_tasks.locations import mini_root
from qrag_tasks.tasks.base import DataSet, Sample, Task
from qrag_tasks.tasks.lamp.data_roots import MINI
from qrag_tasks.tasks.lamp.mini import papers, reviews
from qrag_tasks.tasks.lamp.mini.users import User

_USERS = 128
_SIZES = range(7, 16)
_DRAWS: Mapping[str, Callable[[random.Random], list[User]]] = {
    "lamp3u": partial(reviews.draw_users, _USERS, _SIZES),
    "lamp5u": partial(papers.draw_users, _USERS, _SIZES),
}
TRAIN_TASKS = tuple(_DRAWS)
"""The tasks that have such a split."""


def train_split(task: Task) -> DataSet:
    """Draw users like those of the embedded sample; none has a text that stands there.

    :param task: one of :data:`TRAIN_TASKS`.
    """
    known = {
        text
        for sample in task.load(MINI).samples
        for text in _texts(task, sample.input, sample.profile, sample.target)
    }
    seed = f"calibration:{task.name}"
    users = _DRAWS[task.name](random.Random(seed))  # noqa: S311
    samples = []
    for number, user in enumerate(users):
        (question,) = user.questions
        profile = tuple({"id": f"{number}-{i}", **item} for i, item in enumerate(user.profile))
        if known.isdisjoint(_texts(task, question.prompt, profile, question.gold)):
            samples.append(Sample(str(number), question.prompt, profile, question.gold))
    content = [[sample.id, sample.input, sample.profile, sample.target] for sample in samples]
    return DataSet(
        task,
        mini_root(),
        None,
        samples,
        tuple(sample.id for sample in samples),
        hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        split="train",
    )


def _texts(
    task: Task, question: str, profile: Sequence[Mapping[str, str]], gold: str | None
) -> Iterator[str]:
    """Yield all texts of a sample except labels: those many samples share."""
    yield question
    if task.answer.values is None and gold is not None:
        yield gold
    for item in profile:
        for field in task.item_fields:
            if field != task.item_target or task.answer.values is None:
                yield item[field]
