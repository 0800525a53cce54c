"""The process of an arm, watched over: a new one where it died over a cell."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder

_POLL_SECONDS = 0.2
_SIGNALS = {
    4: "illegal instruction: was a library compiled for another processor?",
    9: "killed: was memory short?",
}


def answer_arm(
    grid: GridFolder, arm: Arm, cells: Sequence[Cell], stop: threading.Event | None = None
) -> None:
    """Have an arm's cells answered; every one is complete then, or its folder says why not.

    :param stop: when it is set, the process is ended, and nothing is said of the cells that are
        left.
    :raises StoreError: when the log cannot be written.
    """
    left = list(cells)
    while left and not (stop and stop.is_set()):
        code = _run(grid, arm, left, stop)
        left = [cell for cell in left if not _ended(grid, cell)]
        if left and not (stop and stop.is_set()):
            words = last_words(grid.log(arm))
            grid.cell(left.pop(0)).fail(
                f"its process ended with {ending(code)}: {words} (see {grid.log(arm)})"
            )


def _run(grid: GridFolder, arm: Arm, cells: Sequence[Cell], stop: threading.Event | None) -> int:
    numbers = {cell: number for number, cell in enumerate(grid.plan.cells())}
    command = [
        *(sys.executable, "-m", "qrag_tasks.experiment.running.arm", str(grid.root)),
        *("--arm", arm.name, "--cells", ",".join(str(numbers[cell]) for cell in cells)),
    ]
    with (
        open_log(grid.log(arm)) as log,
        # Its standard input ends when this process does, however it ends.
        subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        while True:
            try:
                return process.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if stop and stop.is_set():
                    process.terminate()


def _ended(grid: GridFolder, cell: Cell) -> bool:
    folder = grid.cell(cell)
    return folder.complete or folder.failure is not None


@contextmanager
def open_log(path: Path) -> Iterator[int]:
    """Open a log to append to; yield its file descriptor.

    :raises StoreError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            yield file.fileno()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def last_words(log: Path) -> str:
    """Return the last line of a log that says anything; of our own errors, what they say."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return re.sub(r"^qrag_tasks\.errors\.\w+: ", "", last)


def ending(code: int) -> str:
    """Say how a process ended, by its return code as subprocess has it."""
    if code >= 0:
        return f"exit code {code}"
    meaning = _SIGNALS.get(-code)
    return f"signal {-code} ({meaning})" if meaning else f"signal {-code}"
