"""``load_in_4bit`` and ``load_in_8bit`` of ``--model hf``: bitsandbytes, unnamed."""

from __future__ import annotations

import logging
from typing import Any

from qrag_tasks.arms.argument_names import BITSANDBYTES, SWITCHES
from qrag_tasks.arms.arguments import check_bitsandbytes
from qrag_tasks.arms.layers import linear_layers
from qrag_tasks.errors import ModelError

logger = logging.getLogger("lm_eval.qrag_tasks")


def take_bitsandbytes_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove the bitsandbytes arguments from ``arguments`` and return them.

    Empty where neither ``load_in_4bit`` nor ``load_in_8bit`` is on.

    :raises SettingsError: for one that bitsandbytes would not look at.
    """
    check_bitsandbytes(arguments)
    taken = {
        key: arguments.pop(key)
        for key in list(arguments)
        if key in SWITCHES or key.startswith(BITSANDBYTES)
    }
    return taken if any(taken.get(switch) for switch in SWITCHES) else {}


def check_quantized(model: Any, config: Any) -> None:
    """Check that a model loaded with ``config`` holds such layers, and log what it holds.

    :param config: a ``BitsAndBytesConfig``.
    :raises ModelError: when no linear layer is quantized.
    """
    bits = 4 if config.load_in_4bit else 8
    layers = linear_layers(model)
    quantized = [each for each in layers if (each.method, each.bits) == ("bitsandbytes", bits)]
    full = [each.name for each in layers if not each.quantized]
    if not quantized:
        raise ModelError(
            f"load_in_{bits}bit=True was asked for, but none of the model's {len(full)} linear "
            f"layers is in {bits} bits after loading. This arm would not be what it claims."
        )
    detail = ""
    if bits == 4:
        kinds = sorted({str(each.quant_type) for each in quantized})
        detail = f" {'/'.join(kinds).upper()}, computing in {config.bnb_4bit_compute_dtype}"
    logger.info(
        "%d linear layers in %d bits%s; kept in full: %s",
        len(quantized),
        bits,
        detail,
        ", ".join(full) or "none",
    )
