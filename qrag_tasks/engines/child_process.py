"""What processes that another one has started have in common."""

from __future__ import annotations

import os
import threading


def end_with_the_parent() -> None:
    """Have this process end when whoever started it ends: its standard input then ends."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    # Not through sys.stdin: its lock, held by this thread, would be fatal when the process ends.
    while os.read(0, 4096):
        pass
    os._exit(1)
