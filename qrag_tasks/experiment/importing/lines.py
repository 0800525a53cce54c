"""Answers that no lm_eval wrote, as they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from qrag_tasks.tasks.base import Attribute
from qrag_tasks.tasks.own.records import Record


class CellKey(NamedTuple):
    """What a cell's prompts are of."""

    task: str
    k: str | None
    retriever: str | None
    order: str | None


@dataclass
class Line:
    """One answer.

    :ivar place: where it stands.
    :ivar prompt: text; ``None`` where only its digest is known.
    :ivar documents: how many are in the prompt, or their ids; ``None`` where that is not known.
    :ivar attributes: what else is known of the question.
    """

    place: Record
    key: str
    answer: str
    prompt: str | None
    prompt_sha256: str
    gold: str | None
    user: str | None
    documents: int | list[str] | None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass
class ImportedArm:
    """One arm's answers.

    :ivar cells: cell -> id -> answer, in the order of the file.
    :ivar files: that it was read from, with the sha256 of each.
    """

    name: str
    model: str
    precision: str | None = None
    cells: dict[CellKey, dict[str, Line]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def place_of(record: Record) -> str:
    """Return where a line stands, in words."""
    return f"{record.file.name}, {'row' if record.rows else 'line'} {record.line}"
