"""Where the processes of the arms run: here, one after the other, or on a Ray cluster."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.processes import answer_arm

_PATIENCE_SECONDS = 10.0
Work = Sequence[tuple[Arm, Sequence[Cell]]]


class Handle(Protocol):
    """Work that goes on."""

    def done(self) -> bool:
        """Tell whether all of it has ended.

        :raises Exception: what ended it early.
        """
        ...


class Launcher(Protocol):
    """Has the cells of a grid answered."""

    @contextmanager
    def started(self, grid: GridFolder, work: Work) -> Iterator[Handle]:
        """Begin; end what is not done when the context ends."""
        ...


class Here:
    """This machine, one arm after the other."""

    @contextmanager
    def started(self, grid: GridFolder, work: Work) -> Iterator[Handle]:
        """Begin; end what is not done when the context ends."""
        thread = _Thread(grid, work)
        thread.start()
        try:
            yield thread
        finally:
            thread.stop.set()
            thread.join()


class _Thread(threading.Thread):
    def __init__(self, grid: GridFolder, work: Work) -> None:
        super().__init__(name="qrag-arms", daemon=True)
        self._grid, self._work = grid, work
        self._error: Exception | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """Answer all arms."""
        try:
            for arm, cells in self._work:
                answer_arm(self._grid, arm, cells, self.stop)
        except Exception as error:
            self._error = error

    def done(self) -> bool:
        """Tell whether all of it has ended."""
        if self._error is not None:
            raise self._error
        return not self.is_alive()


class Ray:
    """A Ray cluster whose nodes share the grid's folder, the data and the models.

    An arm is a task; Ray places it on a node with a free GPU, and on another one where its node is
    lost. Its answers so far are in the grid's folder, so it goes on from there.

    :param address: as ``ray.init`` takes it; by default that of a cluster that runs here already,
        else one of this machine alone.
    :param gpus: GPUs of an arm; by default 1 where the cluster has any.
    :raises PlanError: when Ray is not installed.
    """

    def __init__(self, address: str | None = None, gpus: float | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise PlanError(
                "--launcher ray needs Ray: pip install 'qrag-tasks[ray]', on every node"
            ) from None
        self._ray: Any = ray
        self._address = address
        self._gpus = gpus

    @contextmanager
    def started(self, grid: GridFolder, work: Work) -> Iterator[Handle]:
        """Begin; end what is not done when the context ends."""
        ray = self._ray
        ours = not ray.is_initialized()
        if ours:
            try:
                _check_reachable(self._address)
                ray.init(address=self._address, log_to_driver=False)
            except (OSError, ValueError) as error:
                raise PlanError(f"--address {self._address}: no Ray cluster: {error}") from error
        gpus = self._gpus
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
        # A node that is lost is no failure of the task's: it is tried again as often as need be.
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=-1)(_answer_remotely)
        tasks = [
            remote.remote(str(grid.root), arm.name, [cell.folder for cell in cells])
            for arm, cells in work
        ]
        try:
            yield _Tasks(ray, tasks)
        finally:
            for task in tasks:
                ray.cancel(task, force=True)
            if ours:
                ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Knock at ``host:port``: Ray itself tries for minutes, and then ends the process.

    :raises OSError: when nobody answers.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()


class _Tasks:
    def __init__(self, ray: Any, tasks: Sequence[Any]) -> None:
        self._ray, self._left = ray, list(tasks)

    def done(self) -> bool:
        """Tell whether all of them have ended."""
        if self._left:
            ended, self._left = self._ray.wait(self._left, num_returns=len(self._left), timeout=0)
            self._ray.get(ended)
        return not self._left


def _answer_remotely(root: str, arm_name: str, folders: Sequence[str]) -> None:
    grid = GridFolder.at(Path(root))
    arm = next(arm for arm in grid.plan.arms() if arm.name == arm_name)
    cells = [cell for cell in grid.plan.cells() if cell.folder in folders]
    answer_arm(grid, arm, [cell for cell in cells if not grid.cell(cell).complete])
