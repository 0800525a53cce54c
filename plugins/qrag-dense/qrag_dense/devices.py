"""Where encoders run and in which precision."""

from __future__ import annotations

import re
from typing import Literal

from qrag_tasks.errors import RetrieverError

Dtype = Literal["float32", "float16", "bfloat16"]

DTYPES: tuple[str, ...] = ("auto", "float32", "float16", "bfloat16")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_options(device: str, dtype: str) -> None:
    """Raise ``ValueError`` unless both are of the known forms."""
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"device is {device!r}, expected auto, cpu, cuda or cuda:NUMBER")
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")


def resolve_device(device: str) -> str:
    """Return the device that ``device`` means here: ``cpu``, ``cuda`` or ``cuda:NUMBER``.

    :raises RetrieverError: for a CUDA device that torch does not see.
    """
    if device == "cpu":
        return device
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    number = int(device.partition(":")[2] or 0)
    if number >= count:
        seen = f"{count} CUDA device(s)" if count else "no CUDA device"
        raise RetrieverError(
            f"device is {device!r}, but torch {torch.__version__} sees {seen}: write device=cpu "
            f"or device=auto, or check the driver, CUDA_VISIBLE_DEVICES and the build of torch"
        )
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """Return the precision to encode in; imports torch only if both options are ``auto``."""
    if dtype != "auto":
        return dtype
    kind = resolve_device(device) if device == "auto" else device
    return "float32" if kind == "cpu" else "float16"
