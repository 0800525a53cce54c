"""What llama.cpp says while it works: into our log, where it would go to the terminal."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

logger = logging.getLogger("lm_eval.qrag_tasks")

_ERROR, _CONTINUED = 4, 5
_MOST = 8
ERRORS: list[str] = []
"""The errors that llama.cpp told of since this was cleared, the first of them."""


@cache
def listen() -> Any:
    """Have llama.cpp tell us, and not the terminal; once a process, as it has one listener.

    Its errors are logged as errors, all else at debug.

    :returns: the callback, which must outlive all use of llama.cpp.
    """
    import llama_cpp

    last = [0]

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator,unused-ignore]
    def hear(level: int, text: bytes, _data: Any) -> None:
        level = last[0] if level == _CONTINUED else level
        last[0] = level
        line = text.decode("utf-8", "replace").strip()
        if level == _ERROR and line:
            ERRORS.extend([line] * (len(ERRORS) < _MOST))
            logger.error("llama.cpp: %s", line)
        elif line.strip("."):
            logger.debug("llama.cpp: %s", line)

    llama_cpp.llama_log_set(hear, None)
    return hear


def first_error() -> str:
    """Return the first error since :data:`ERRORS` was cleared, without the name of a function.

    It has the cause; those after it only say what failed by it.
    """
    function, _, error = ERRORS[0].partition(": ") if ERRORS else ("", "", "")
    return error or function or "it does not say why"
