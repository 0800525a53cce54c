"""The energy that a GPU has used, from its own counter."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

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
    import torch

    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return _unknown if uuid is None else nvml_counter(str(uuid))


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
