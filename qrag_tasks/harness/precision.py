"""4-bit and 8-bit loading through bitsandbytes, and the check that the model really is so."""

from __future__ import annotations

import logging
from typing import Any

from qrag_tasks.errors import ModelError

logger = logging.getLogger("lm_eval.qrag_tasks")

_PREFIXES = ("bnb_4bit_", "llm_int8_")
_SWITCHES = ("load_in_4bit", "load_in_8bit")


def take_bitsandbytes_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove the bitsandbytes arguments from ``arguments`` and return them.

    Empty where neither ``load_in_4bit`` nor ``load_in_8bit`` is on.
    """
    taken = {
        key: arguments.pop(key)
        for key in list(arguments)
        if key in _SWITCHES or key.startswith(_PREFIXES)
    }
    return taken if any(taken.get(switch) for switch in _SWITCHES) else {}


def computing_dtype(asked: Any, config: Any, device: Any) -> Any:
    """Return the ``torch.dtype`` that a quantized model computes in.

    What was asked for; where that is ``"auto"``, the checkpoint's own. But a float16 checkpoint on
    a CPU computes in bfloat16, with a warning: CPUs multiply bfloat16 matrices some ten times
    faster than float16 ones (benchmarks/cpu_dtypes.py). ``dtype=float16`` insists.

    :param asked: a ``torch.dtype`` or ``"auto"``.
    :param config: the model's configuration.
    :param device: where the model will be.
    """
    import torch

    if asked != "auto":
        return asked
    own = getattr(config, "dtype", None) or torch.float32
    if own == torch.float16 and torch.device(device).type == "cpu":
        logger.warning(
            "on a CPU this float16 checkpoint computes in bfloat16, as float16 is slow there; "
            "give the same dtype=bfloat16 to the arm you compare it with, or dtype=float16 to both"
        )
        return torch.bfloat16
    return own


def bitsandbytes_config(arguments: dict[str, Any], dtype: Any) -> Any:
    """Return the ``BitsAndBytesConfig`` of ``arguments``.

    transformers 5 takes no ``load_in_4bit`` any more; and bitsandbytes' own default for 4 bits
    is FP4, where NF4 is what the field means by 4-bit bitsandbytes (QLoRA, arXiv 2305.14314): we
    set NF4 unless ``bnb_4bit_quant_type`` says otherwise.

    :param dtype: the model's ``torch.dtype``: the dtype of computation, unless
        ``bnb_4bit_compute_dtype`` is given, so that the arms of a model compute alike.
    :raises ModelError: when bitsandbytes is missing or refuses an argument.
    """
    try:
        # transformers would only notice while it loads the weights.
        import bitsandbytes  # noqa: F401
        from transformers import BitsAndBytesConfig
    except ImportError as error:
        raise ModelError(
            f"load_in_4bit and load_in_8bit need bitsandbytes ({error}): "
            f"pip install 'qrag-tasks[hf]'"
        ) from error
    options = dict(arguments)
    if options.get("load_in_4bit"):
        options.setdefault("bnb_4bit_quant_type", "nf4")
        options.setdefault("bnb_4bit_compute_dtype", dtype)
    try:
        return BitsAndBytesConfig(**options)
    except (TypeError, ValueError, AttributeError) as error:
        written = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise ModelError(f"bitsandbytes arguments ({written}) were refused: {error}") from error


def check_quantized(model: Any, config: Any) -> None:
    """Check that a model loaded with ``config`` holds such layers, and log what it holds.

    :param config: a ``BitsAndBytesConfig``.
    :raises ModelError: when no linear layer is quantized.
    """
    import torch
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    bits, kind = (4, Linear4bit) if config.load_in_4bit else (8, Linear8bitLt)
    quantized, full = [], []
    for name, module in model.named_modules():
        if isinstance(module, kind):
            quantized.append(module)
        elif isinstance(module, torch.nn.Linear):
            full.append(name)
    if not quantized:
        raise ModelError(
            f"load_in_{bits}bit=True was asked for, but none of the model's {len(full)} linear "
            f"layers is in {bits} bits after loading. This arm would not be what it claims."
        )
    detail = ""
    if bits == 4:
        kinds = sorted({layer.weight.quant_type for layer in quantized})
        detail = f" {'/'.join(kinds).upper()}, computing in {config.bnb_4bit_compute_dtype}"
    logger.info(
        "%d linear layers in %d bits%s; kept in full: %s",
        len(quantized),
        bits,
        detail,
        ", ".join(full) or "none",
    )
