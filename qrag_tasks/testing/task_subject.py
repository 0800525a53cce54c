"""The task under examination, with its data."""

from __future__ import annotations

from functools import cached_property

from qrag_tasks.errors import QragError
from qrag_tasks.registry import TASKS
from qrag_tasks.tasks.base import DataSet, Sample
from qrag_tasks.testing.check import CheckFailed

MOST = 200
"""How many samples are looked at, from the first on."""


class TaskSubject:
    """A task under examination.

    :param spec: ``name``, or ``name:DATA`` with what a run's ``data`` would be.
    :ivar row: of the task, as the data describe it.
    :raises SettingsError: when there is no such task.
    :raises QragError: when the data that describe the row cannot be had.
    """

    def __init__(self, spec: str) -> None:
        name, _, data = spec.partition(":")
        supplied = TASKS.get(name)
        self.place = data or None
        self.row = supplied.value.described(self.place)
        self.origin = supplied.origin

    def read(self) -> DataSet:
        """Read the data, the dev split; where there is none, another."""
        faults = []
        for split in ("dev", "train", "test"):
            try:
                return self.row.load(self.place, split)
            except QragError as error:
                faults.append(str(error))
        raise CheckFailed(f"no split can be read: {faults[0]}")

    @cached_property
    def data(self) -> DataSet:
        """What :meth:`read` returned first."""
        return self.read()

    @cached_property
    def samples(self) -> list[Sample]:
        """The first samples."""
        return [self.data.samples[n] for n in range(min(MOST, len(self.data.ids)))]

    @property
    def golds(self) -> list[str]:
        """The golds of :attr:`samples` that are known."""
        return [sample.target for sample in self.samples if sample.target is not None]
