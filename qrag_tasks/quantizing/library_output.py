"""What libraries print: kept back while they work, and shown when they fail."""

from __future__ import annotations

import io
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from traceback import extract_tb
from typing import TextIO

from qrag_tasks.errors import ModelError

_BAR = re.compile(r"[█░]|\| \d+:\d\d|^INFO +[+|]")


class KeptOutput(io.TextIOBase):
    """Stands in for an output; what is written is kept while it is quiet, and passed on later.

    Libraries keep the output that they found, in handlers and threads: it must work afterwards.
    """

    def __init__(self, behind: TextIO) -> None:
        self.lines: deque[str] = deque(maxlen=400)
        self.is_quiet = True
        self._behind = behind

    def writable(self) -> bool:
        """Return True, as of any output."""
        return True

    def write(self, text: str) -> int:
        """Keep ``text``, or pass it on."""
        if not self.is_quiet:
            return self._behind.write(text)
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Flush the output that this stands in for, once it is passed on to."""
        if not self.is_quiet:
            self._behind.flush()

    def last(self, count: int) -> str:
        """Return the last lines that were written, without those of progress bars."""
        text = "".join(self.lines).replace("\r", "\n")
        lines = [line.strip() for line in text.splitlines() if not _BAR.search(line)]
        return "\n".join(f"  | {line}" for line in [line for line in lines if line][-count:])


@contextmanager
def quiet() -> Iterator[KeptOutput]:
    """Keep what libraries print; both outputs, as some write logs to either."""
    output = KeptOutput(sys.stderr)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield output
    finally:
        output.is_quiet = False


@contextmanager
def explained(who: str, output: KeptOutput) -> Iterator[None]:
    """Turn whatever a library raises into an error that says who raised it, and its last words."""
    try:
        yield
    except Exception as error:
        raise ModelError(failed(who, error, output)) from error


def failed(who: str, error: BaseException, output: KeptOutput) -> str:
    """Return who failed and why, with the last lines that it printed."""
    reason = (str(error).strip().splitlines() or [""])[0]
    if not reason and (frames := extract_tb(error.__traceback__)):
        reason = f"{frames[-1].line} in {frames[-1].filename}, line {frames[-1].lineno}"
    return f"{who} failed: {type(error).__name__}: {reason}\n{output.last(8)}".rstrip()
