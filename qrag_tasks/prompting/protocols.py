"""Protocols: the choices that a published evaluation made, together and one by one.

A run names one (``--metadata '{"protocol": "yazan2024"}'``), and may then make any single choice
otherwise. docs/protocols.md tells what each of them changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.tasks.base import Evaluation, Index, Task
from qrag_tasks.tasks.catalog import TASKS

Filter = Literal["none", "yazan2024"]
Order = Literal[
    "best-first", "reversed", "shuffled", "reversed-before-filling", "shuffled-before-filling"
]
Fill = Literal["exact", "yazan2024", "trimmed"]
Oversized = Literal["skip", "trim"]
Answer = Literal["generate", "likelihood"]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "filter": get_args(Filter),
    "index": get_args(Index),
    "order": get_args(Order),
    "fill": get_args(Fill),
    "oversized": get_args(Oversized),
    "answer": get_args(Answer),
}
"""Metadata key -> the values that it may have."""

BEFORE_FILLING = "-before-filling"
"""What the orders end in that are applied to the ranking, before documents are chosen."""


@dataclass(frozen=True)
class Protocol:
    """What an evaluation chose.

    :ivar retriever: who ranks the profile.
    :ivar prompt: the prompt style.
    :ivar filter: which questions and profile items are left out: ``none``, or those that
        arXiv 2406.10251 left out (:mod:`qrag_tasks.tasks.lamp.filters`).
    :ivar index: which text of a profile item a retriever reads: LaMP's, or, as ``yazan2024``, the
        long field alone.
    :ivar order: how the documents stand in the prompt: those that were kept are put in order, or,
        ``-before-filling``, all that were ranked, so that others are kept where not all fit.
    :ivar fill: how many documents go in: ``exact``, whole ones as long as the finished prompt
        fits; ``yazan2024``, whole ones counted twice (:mod:`~qrag_tasks.prompting.filling`);
        ``trimmed``, all k, each cut to its share, as LaMP's code does.
    :ivar answer_tokens: the longest answer, in tokens; ``None`` for the task's own.
    :ivar scores_as_published: whether the scores are also computed as the publication did, which
        only its own tasks can be (:attr:`~qrag_tasks.tasks.base.Task.evaluations`).
    """

    name: str
    retriever: str = "bm25"
    prompt: str = "lamp"
    filter: Filter = "none"
    index: Index = "lamp"
    order: Order = "best-first"
    fill: Fill = "exact"
    answer_tokens: int | None = None
    scores_as_published: bool = False

    def published(self, task: Task) -> Evaluation | None:
        """Return how the publication scored a task; ``None`` where its scores are not asked for.

        :raises SettingsError: when they are, and it is none of its tasks.
        """
        if not self.scores_as_published:
            return None
        if (evaluation := task.evaluation(self.name)) is None:
            known = [each.official_name for each in TASKS.values() if each.evaluation(self.name)]
            raise SettingsError(
                f"protocol {self.name!r} is for {', '.join(dict.fromkeys(known))}; {task.name} is "
                f"of {task.official_name}"
            )
        return evaluation


DEFAULT_PROTOCOL = "qrag"

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(DEFAULT_PROTOCOL),
        Protocol("lamp", fill="trimmed"),
        Protocol(
            "yazan2024",
            retriever="bm25-char",
            prompt="yazan2024",
            filter="yazan2024",
            index="yazan2024",
            fill="yazan2024",
            answer_tokens=64,
            scores_as_published=True,
        ),
    )
}


def protocol(name: str) -> Protocol:
    """Return the protocol called ``name``.

    :raises SettingsError: when there is none.
    """
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise SettingsError(
            f"unknown protocol {name!r} (known: {', '.join(PROTOCOLS)})."
            + did_you_mean(name, PROTOCOLS)
        ) from None
