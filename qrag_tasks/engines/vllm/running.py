"""The models that vLLM runs in this process, which share what the end of one would take from all.

vLLM keeps its process groups once for a process, and takes them down with any of its models, even
with one that is no longer referred to. So each is kept until none of them is used any more.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

_numbers = itertools.count()
_running: dict[int, Any] = {}
_unused: set[int] = set()


def keep(user: Any, llm: Any) -> Callable[[], object]:
    """Keep a model running while it is used.

    :param user: the model is unused once this object is gone, or Python ends.
    :param llm: ``vllm.LLM``.
    :returns: says that it is unused already; later calls change nothing.
    """
    number = next(_numbers)
    _running[number] = llm
    return weakref.finalize(user, _no_longer_used, number)


def _no_longer_used(number: int) -> None:
    _unused.add(number)
    if _unused == _running.keys():
        stopping = list(_running.values())
        _running.clear()
        _unused.clear()
        for llm in stopping:
            llm.llm_engine.engine_core.shutdown()
