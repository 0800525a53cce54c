"""The device that a model is to be on."""

from __future__ import annotations

from typing import Any

from qrag_tasks.errors import SettingsError


def checked_device(name: str | None) -> Any:
    """Return the ``torch.device`` of that name; by default a GPU where there is one.

    :raises SettingsError: when torch does not know or find it.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(
            f"--device {name}: torch does not know this device; give cpu or cuda"
        ) from None
    # torch.cuda, torch.mps, ...; torch.accelerator, which knows them all, is newer than torch 2.4.
    module: Any = getattr(torch, device.type, None)
    count = module.device_count() if hasattr(module, "device_count") else 0
    if device.type != "cpu" and (device.index or 0) >= count:
        kind = "GPU" if device.type == "cuda" else f"{device.type} device"
        raise SettingsError(
            f"--device {name}: torch finds {count} {kind}{'' if count == 1 else 's'} here; give "
            f"--device cpu{''.join(f' or {device.type}:{i}' for i in range(count))}, or install a "
            f"torch that fits the device"
        )
    # lm_eval knows no "cpu:0", and takes a GPU where it does not know a device.
    return torch.device("cpu") if device.type == "cpu" else device
