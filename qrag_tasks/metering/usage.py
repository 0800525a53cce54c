"""What a process that computes has used: the memory of its device and its own."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What one process has used, on one device.

    :ivar device: name of the GPU, or of the CPU; empty where the process has none of its own.
    :ivar uuid: of the GPU; ``None`` where it has none.
    :ivar threads: that compute, on a CPU.
    :ivar device_bytes: the most that were in tensors on the GPU.
    :ivar device_reserved_bytes: the most that torch took from the GPU for them.
    :ivar rss_bytes: the most main memory, since the process started.
    """

    device: str
    uuid: str | None = None
    threads: int | None = None
    device_bytes: int | None = None
    device_reserved_bytes: int | None = None
    rss_bytes: int | None = None


Usages = Callable[[bool], Sequence[Sequence[Usage]]]
"""Returns, of each model that answers side by side with others, what each of its processes has used
on each of their devices; of ``True``, the peaks on GPUs begin again after that."""


def usage_of(device: Any, begin: bool = False) -> Usage:
    """Return what this process has used on a ``torch.device``.

    :param begin: whether the peaks on a GPU begin again after that.
    """
    import torch

    if device.type == "cuda":
        used = Usage(
            device=torch.cuda.get_device_name(device),
            uuid=uuid_of(device),
            device_bytes=torch.cuda.max_memory_allocated(device),
            device_reserved_bytes=torch.cuda.max_memory_reserved(device),
            rss_bytes=_peak_rss_bytes(),
        )
        if begin:
            torch.cuda.reset_peak_memory_stats(device)
        return used
    if device.type == "cpu":
        return Usage(
            device=_cpu_name(), threads=torch.get_num_threads(), rss_bytes=_peak_rss_bytes()
        )
    return Usage(device=device.type, rss_bytes=_peak_rss_bytes())


def usage_of_model(model: Any, begin: bool = False) -> Usage:
    """Return what this process has used on the device where a ``torch.nn.Module`` lies.

    :param begin: as of :func:`usage_of`.
    """
    return usage_of(next(model.parameters()).device, begin)


def uuid_of(device: Any) -> str | None:
    """Return the UUID of the GPU that a ``torch.device`` is; ``None`` where torch tells none."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else str(uuid)


def spread_over(devices: Sequence[Any]) -> Usages:
    """Return what tells the usage of a model that this process has on several devices.

    :param devices: each a ``torch.device``.
    """

    def usages(begin: bool) -> Sequence[Sequence[Usage]]:
        # Its main memory is that of all of them.
        each = [replace(usage_of(device, begin), rss_bytes=None) for device in devices]
        return [[usage_beside(), *each]]

    return usages


def usage_beside() -> Usage:
    """Return what this process has used, where others compute: main memory alone."""
    return Usage(device="", rss_bytes=_peak_rss_bytes())


def together(used: Sequence[Usage]) -> Usage:
    """Return what one model has used, on all its devices and in all its processes, added up."""
    names = Counter(each.device for each in used if each.device)
    return Usage(
        device=", ".join(f"{n} x {name}" if n > 1 else name for name, n in names.items()),
        threads=_sum(each.threads for each in used),
        device_bytes=_sum(each.device_bytes for each in used),
        device_reserved_bytes=_sum(each.device_reserved_bytes for each in used),
        rss_bytes=_sum(each.rss_bytes for each in used),
    )


def fullest(used: Sequence[Usage]) -> Usage:
    """Return what the fullest of several models has used that answered side by side."""
    return Usage(
        device=", ".join(dict.fromkeys(each.device for each in used)),
        threads=_most(each.threads for each in used),
        device_bytes=_most(each.device_bytes for each in used),
        device_reserved_bytes=_most(each.device_reserved_bytes for each in used),
        rss_bytes=_most(each.rss_bytes for each in used),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine() or "CPU"


def _peak_rss_bytes() -> int | None:
    try:
        # Not getrusage, where this is to be had: there, a process starts with its parent's peak.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
