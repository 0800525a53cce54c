"""A name of another project that is replaced or read here: a row of :mod:`.inner_names`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Use = Literal["replaced", "read"]
Guard = Literal["steps aside", "does without", "refuses", "fails", "pinned"]

GUARDS: dict[Guard, str] = {
    "steps aside": "lm_eval stays as it is, and one warning says what is lost",
    "does without": "what it serves is left out",
    "refuses": "an error names it, and the release that lacks it",
    "fails": "Python's own error names it",
    "pinned": "the extra takes one release alone",
}
"""What happens where the name is not there -> in words."""


@dataclass(frozen=True)
class InnerName:
    """One row.

    :ivar name: with all that it is in: ``package.module.Class.attribute``.
    :ivar by: the module below ``qrag_tasks``, and the patch where it is one.
    :ivar reason: what it is for.
    :ivar lost: what is lost where it is not there.
    :ivar vital: whether the main job cannot run without it.
    """

    name: str
    use: Use
    by: str
    reason: str
    guard: Guard
    lost: str
    vital: bool = False

    @property
    def distribution(self) -> str:
        """Name of the project, as pip knows it."""
        return self.name.partition(".")[0]

    @property
    def patch(self) -> str:
        """Name of the function in :mod:`qrag_tasks.harness.patches`; empty where there is none."""
        return self.by.partition(":")[2]
