"""Arms of a grid that are answered in the test's own process, which has imported torch already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qrag_tasks.experiment.running.arm import answer_cells
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.launchers import Handle, Work


class InProcess:
    """A launcher for tests in which it does not matter that an arm has a process of its own.

    A process takes some eight seconds to import what the one of the tests holds already.
    """

    @contextmanager
    def started(self, grid: GridFolder, work: Work) -> Iterator[Handle]:
        """Answer everything, then say so."""
        for arm, cells in work:
            answer_cells(grid, arm, cells)
        yield self

    def done(self) -> bool:
        """Tell that all of it has ended."""
        return True
