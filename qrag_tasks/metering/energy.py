"""The energy that a GPU has used, from its own counter."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from qrag_tasks.metering.usage import uuid_of

logger = logging.getLogger("lm_eval.qrag_tasks")

Joules = Callable[[], "float | None"]
"""Reads a counter that only rises, in joules; ``None`` where there is none to read."""


def energy_counter(device: Any) -> Joules:
    """Return the counter of a ``torch.device``: of the whole GPU, whoever uses it.

    Only NVIDIA GPUs have one (since Volta), and only the package ``nvidia-ml-py`` reads it; it is
    optional.
    """
    if device.type != "cuda":
        return _unknown
    return together_counted([uuid_of(device)])


def together_counted(uuids: Iterable[str | None]) -> Joules:
    """Return the counter of several GPUs, each counted once; unknown where one of them is.

    :param uuids: as of :func:`nvml_counter`; ``None`` for what has no counter.
    """
    counters = [_unknown if each is None else nvml_counter(each) for each in dict.fromkeys(uuids)]

    def joules() -> float | None:
        read = [counter() for counter in counters]
        known = [each for each in read if each is not None]
        return sum(known) if len(known) == len(read) > 0 else None

    return joules


def nvml_counter(uuid: str) -> Joules:
    """Return the counter of the GPU of that UUID.

    By UUID, as ``CUDA_VISIBLE_DEVICES`` renumbers the GPUs for torch but not for NVML.

    :param uuid: with or without NVML's prefix ``GPU-``.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        logger.debug("energy is not metered: pip install nvidia-ml-py")
        return _unknown
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
    except nvml.NVMLError as error:
        logger.debug("energy is not metered: NVML: %s", error)
        return _unknown

    def joules() -> float | None:
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
        except nvml.NVMLError as error:
            logger.debug("energy is not metered: NVML: %s", error)
            return None

    return joules


def _unknown() -> None:
    return None
