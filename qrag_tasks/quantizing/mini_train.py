"""A train split for the embedded sample, which has none: other users, drawn as its own were."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from qrag_tasks.locations import mini_root
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.registry import PROMPT_STYLES
from qrag_tasks.tasks.base import DataSet, Depth, Sample, Task
from qrag_tasks.tasks.lamp.mini import papers, reviews
from qrag_tasks.tasks.lamp.mini.users import User
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

MINI = "mini"

_MINI_USERS = 128
_MINI_SIZES = range(7, 16)
_MINI_DRAWS: Mapping[str, Callable[[random.Random], list[User]]] = {
    "lamp3u": partial(reviews.draw_users, _MINI_USERS, _MINI_SIZES),
    "lamp5u": partial(papers.draw_users, _MINI_USERS, _MINI_SIZES),
}
MINI_TASKS = tuple(_MINI_DRAWS)
"""Those of the embedded sample."""


def mini_source(name: str, depth: Depth, settings: Settings) -> PromptSource:
    """Return the setup of a task of :data:`MINI_TASKS`, over its train split."""
    task = LAMP_TASKS[name]
    data = _mini_train(task)
    retriever = build_retriever(settings.protocol.retriever)
    return PromptSource(
        task=task,
        depth=depth,
        settings=settings,
        data=data,
        retriever=retriever,
        rankings=Rankings(data, retriever),
        prompt_style=PROMPT_STYLES.get(settings.protocol.prompt),
    )


def _mini_train(task: Task) -> DataSet:
    """Draw users like those of the embedded sample; none has a text that stands there."""
    known = {
        text
        for sample in task.load(MINI).samples
        for text in _texts(task, sample.input, sample.profile, sample.target)
    }
    seed = f"calibration:{task.name}"
    users = _MINI_DRAWS[task.name](random.Random(seed))  # noqa: S311
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
    """Yield all texts of a sample, but for labels: those many samples share."""
    yield question
    if task.answer.values is None and gold is not None:
        yield gold
    for item in profile:
        for field in task.item_fields:
            if field != task.item_target or task.answer.values is None:
                yield item[field]
