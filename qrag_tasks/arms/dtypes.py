"""The dtypes that model arguments name."""

from __future__ import annotations

from typing import Any

from qrag_tasks.errors import SettingsError


def named_dtype(argument: str, value: Any) -> Any:
    """Return the ``torch.dtype`` that a model argument names, as ``--model hf`` reads it.

    :param argument: its name, for the message.
    :param value: the name of a dtype; a ``torch.dtype`` and ``"auto"`` are returned as they are.
    :raises SettingsError: when torch has no dtype of that name.
    """
    import torch

    if not isinstance(value, str) or value == "auto":
        return value
    dtype = getattr(torch, value, None)
    if not isinstance(dtype, torch.dtype):
        raise SettingsError(
            f"{argument}={value}: torch has no such dtype; give float16, bfloat16, float32 or auto"
        )
    return dtype
