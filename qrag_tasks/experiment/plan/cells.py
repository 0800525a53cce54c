"""Arms and cells: what a plan comes to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arm:
    """A model in one precision.

    :ivar arguments: of ``--model qrag``.
    """

    model: str
    precision: str
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``MODEL/PRECISION``."""
        return f"{self.model}/{self.precision}"

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
        parts = [self.arm.model, self.arm.precision]
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
