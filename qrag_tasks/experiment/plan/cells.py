"""Arms and cells: what a plan comes to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.logs.model_facts import arm_called


@dataclass(frozen=True)
class Arm:
    """A model in one precision, with its keys and values kept in one way.

    :ivar arguments: of ``--model qrag``.
    :ivar kv_cache: as the model argument of that name; ``auto`` for the engine's own way.
    """

    model: str
    precision: str
    arguments: Mapping[str, Any]
    kv_cache: str = AUTO

    @property
    def called(self) -> str:
        """What it is called beside its model: ``PRECISION``, or ``PRECISION+kv-CACHE``."""
        return arm_called(self.precision, None if self.kv_cache == AUTO else self.kv_cache)

    @property
    def name(self) -> str:
        """``MODEL/PRECISION``, or ``MODEL/PRECISION+kv-CACHE``."""
        return f"{self.model}/{self.called}"

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Cell:
    """An arm over one task at one k, by one retriever.

    :ivar task: name of the LaMP task, such as ``"lamp3u"``.
    :ivar k: as in the names of tasks.
    :ivar retriever: ``None`` at k = 0, where none is asked.
    :ivar order: of the documents in the prompt; ``None`` where there is one at most.
    """

    arm: Arm
    task: str
    k: str
    retriever: str | None
    order: str | None

    @property
    def task_name(self) -> str:
        """lm_eval's name of the task."""
        return f"{self.task}_rag_k{self.k}"

    @property
    def folder(self) -> str:
        """Where the cell lies, in a grid's folder: a path of safe names, its own."""
        parts = [self.arm.model, self.arm.called]
        if self.retriever is not None:
            parts.append(_safe(self.retriever))
        if self.order not in (None, "best-first"):
            parts.append(str(self.order))
        return "/".join([*parts, self.task_name])


def _safe(spec: str) -> str:
    """Return a name for a retriever that file systems take; specs that differ keep apart."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", spec):
        return spec
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", spec).strip("-.")[:48]
    return f"{name}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"
