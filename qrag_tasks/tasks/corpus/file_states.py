"""What tells one content of a file from another without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qrag_tasks.errors import DataError


class State(NamedTuple):
    """What tells one content of a file from another without reading it.

    Size and time of the last change, which anybody can set, do not: ``rsync -t`` and ``cp -p`` put
    another file of equal both in its place. The system alone sets inode and time of the status.
    What stays unnoticed is a file that is written to in place within one tick of the system's clock
    (some milliseconds; seconds on a few file systems) after it was read. What is noticed for
    nothing is ``chmod``, a rename or another link: the file is then read again, once.

    :ivar path: where the file really lies.
    :ivar size: in bytes.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def file_state(path: Path) -> State:
    """Return the state of a file.

    :raises DataError: when it cannot be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    times = status.st_mtime_ns, status.st_ctime_ns
    return State(str(path.resolve()), status.st_size, *times, status.st_ino)


def check_unchanged(path: Path, before: State) -> None:
    """Check that a file is the one that it was.

    :raises DataError: when it is not.
    """
    if file_state(path) != before:
        raise DataError(f"{path}: changed while it was read. Run it again when it is complete.")
