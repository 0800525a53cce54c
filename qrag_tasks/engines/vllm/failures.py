"""What vLLM says when a model cannot be run, as an error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from qrag_tasks.errors import ModelError, QragError

# What it says where the weights, or the cache beside them, do not fit.
_NO_ROOM = (
    *("No available memory for the cache blocks", "available KV cache memory", "out of memory"),
    *("larger than the maximum number of tokens that can be stored in KV cache", "free memory on"),
    *("larger than the available KV cache memory", "Available memory on node"),
)
# What torch says where a build has no kernel behind one of vLLM's operators.
_OWN_KERNELS = re.compile(r"\b_C\w*::\w+\(\)|_OpNamespace '_C\w*'")
# What it says once a worker process has ended, and where its threads find no processors.
_WORKER_GONE = ("cancelled", "Executor failed.")
_BINDING = "bind threads manually"
_TOO_LONG = ("is greater than the derived max_model_len", "longer than the maximum model length")


@contextmanager
def at_start(pretrained: str, precision: str) -> Iterator[None]:
    """Turn what vLLM raises while it starts into a :class:`ModelError`.

    :raises ModelError: with its cause and the next step.
    """
    try:
        yield
    except QragError:
        raise
    except Exception as error:  # of many kinds, as vLLM's parts raise them
        raise ModelError(
            f"pretrained={pretrained}, precision={precision}: vLLM cannot load it: "
            f"{_reason(error)}.{_advice(error)}"
        ) from error


@contextmanager
def while_answering(requests: str) -> Iterator[None]:
    """Turn what vLLM raises of requests into a :class:`ModelError`.

    :param requests: what they are, for the message.
    :raises ModelError: with its cause and the next step.
    """
    try:
        yield
    except Exception as error:  # of many kinds, as vLLM's parts raise them
        raise ModelError(
            f"{requests}: vLLM failed: {_reason(error)}.{_advice(error)} What was answered before "
            f"is kept."
        ) from error


def _reason(error: BaseException) -> str:
    """Return what an error says, without what pydantic puts around it."""
    text = str(error)
    if type(error).__module__.startswith("pydantic") and callable(getattr(error, "errors", None)):
        messages = [str(each["msg"]) for each in error.errors()]  # type: ignore[attr-defined]
        return "; ".join(each.removeprefix("Value error, ").rstrip(".") for each in messages)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = " ".join(lines[:3]).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _advice(error: BaseException) -> str:
    import torch

    text = str(error)
    lower = text.lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        each.lower() in lower for each in _NO_ROOM
    ):
        return (
            " Weights and the cache of keys and values share the memory that "
            "gpu_memory_utilization gives it, a share of all (kv_cache_memory_bytes sets the cache "
            "alone): give a smaller max_length, change either, or free memory that others use."
        )
    if any(each in text for each in _TOO_LONG):
        return " Give a smaller max_length."
    if text in _WORKER_GONE:
        return (
            " One of its worker processes has ended (was memory short?); its last words stand in "
            "the log. Run again to go on."
        )
    if _BINDING in text:
        return " Set VLLM_CPU_OMP_THREADS_BIND to the processors of each worker, as in 0-3|4-7."
    if _OWN_KERNELS.search(text):
        return (
            " This build of vLLM has no kernel for it on this device: give another precision or a "
            "GPU."
        )
    return ""
