"""What a run notes of itself in its folder, so that others see how far it is."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.running.durable_files import read_json, write_atomically
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.progress import Progress
from qrag_tasks.experiment.running.shards import Shard

_EVERY_SECONDS = 5.0


class RunNote(BaseModel):
    """How far a run was when it last noted it.

    :ivar plan: absolute path of the plan's file; ``None`` where there was none.
    :ivar options: of ``qrag run``, except the plan, the folder and the part.
    :ivar part: number of the part, and how many there are.
    :ivar begun: when the run began.
    :ivar seen: when it noted this.
    :ivar doing: what it did then, in words; empty at its end.
    :ivar answered: samples that are answered, of its part.
    :ivar samples: all of its part.
    :ivar seconds_left: at its pace; ``None`` if not known.
    """

    model_config = ConfigDict(frozen=True)

    plan: str | None
    options: tuple[str, ...]
    part: tuple[int, int]
    host: str
    process: int
    begun: datetime
    seen: datetime
    doing: str
    answered: int
    samples: int
    seconds_left: float | None


class RunNotes:
    """Keeps the note of a run.

    :param plan: the plan's file.
    :param options: see :class:`RunNote`.
    """

    def __init__(
        self, grid: GridFolder, shard: Shard, plan: Path | None, options: Sequence[str]
    ) -> None:
        self._path = grid.note(shard.name)
        self._shard = shard
        self._plan = None if plan is None else str(plan.absolute())
        self._options = tuple(options)
        self._begun = datetime.now().astimezone()
        self._noted = float("-inf")

    def note(self, progress: Progress, *, now: bool = False) -> None:
        """Note how far the run is, where the last note is some seconds old.

        :param now: note it however young that is.
        """
        if not now and time.monotonic() - self._noted < _EVERY_SECONDS:
            return
        self._noted = time.monotonic()
        note = RunNote(
            plan=self._plan,
            options=self._options,
            part=(self._shard.number, self._shard.count),
            host=socket.gethostname(),
            process=os.getpid(),
            begun=self._begun,
            seen=datetime.now().astimezone(),
            doing=progress.doing,
            answered=sum(progress.answered.values()),
            samples=sum(progress.samples.values()),
            seconds_left=progress.seconds_left,
        )
        try:
            self._path.parent.mkdir(exist_ok=True)
            write_atomically(self._path, note.model_dump(mode="json"))
        except (OSError, StoreError):
            return  # the run is worth more than its note


def read_note(path: Path) -> RunNote | None:
    """Return the note in a file; ``None`` where there is none.

    :raises StoreError: when it cannot be read.
    """
    body = read_json(path, mend="remove it")
    if body is None:
        return None
    try:
        return RunNote.model_validate(body)
    except ValidationError:
        raise StoreError(f"{path}: no note of a run that this release reads; remove it") from None
