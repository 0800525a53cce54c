"""How the weights of an arm are loaded, and in which dtype it computes."""

from __future__ import annotations

import copy
import importlib.util
import logging
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qrag_tasks.arms.arguments import (
    BITSANDBYTES,
    SWITCHES,
    check_against,
    check_arguments,
    check_bitsandbytes,
)
from qrag_tasks.arms.checkpoints import check_checkpoint, own_precision, read_checkpoint
from qrag_tasks.arms.declared_precision import Checkpoint
from qrag_tasks.arms.layers import linear_layers
from qrag_tasks.arms.precisions import Precision
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import ModelError, SettingsError, did_you_mean

logger = logging.getLogger("lm_eval.qrag_tasks")


_LIBRARIES = ("torch", "transformers")


def asked_arm(arguments: Mapping[str, Any]) -> tuple[Checkpoint, Precision]:
    """Check what was asked of ``--model qrag``, without loading any weights.

    :param arguments: the model arguments, ``pretrained`` among them.
    :returns: the checkpoint, and the precision it is to be loaded in.
    :raises SettingsError: for an argument that cannot be.
    :raises ModelError: when the checkpoint cannot become that arm.
    """
    check_libraries("--model qrag")
    check_arguments("qrag", arguments)
    checkpoint = read_checkpoint(
        arguments["pretrained"],
        revision=arguments.get("revision") or "main",
        subfolder=arguments.get("subfolder") or "",
    )
    name = arguments.get("precision")
    precision = precision_named(name) if name else own_precision(checkpoint)
    check_against(precision, arguments)
    check_installed(precision)
    check_checkpoint(checkpoint, precision, arguments.get("group_size"))
    return checkpoint, precision


def refuse_autogptq() -> None:
    """Explain what has replaced AutoGPTQ, which cannot be imported beside transformers 5.

    :raises ModelError: always.
    """
    raise ModelError(
        "autogptq=True: AutoGPTQ is no longer maintained and does not run beside transformers 5. "
        "Its checkpoints are read by GPT-QModel: pip install 'qrag-tasks[gptq]' "
        "--no-build-isolation, then --model qrag --model_args pretrained=...,precision=int4-gptq "
        "(or --model hf, which needs no argument for it)."
    )


def check_libraries(asked: str) -> None:
    """Check that a model can be run here at all: the core alone brings nothing that does.

    :param asked: what needs it, as the user wrote it.
    :raises ModelError: naming the extra that brings what is missing.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"{asked} needs {' and '.join(missing)}: pip install 'qrag-tasks[hf]'")


def check_installed(precision: Precision) -> None:
    """Check that what a precision needs can be imported.

    :raises ModelError: naming the extra that brings it.
    """
    check_libraries(f"precision={precision.name}")
    if "gptqmodel" in precision.needs:
        # With one worker it fails at import, and one is its default on two cores.
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    missing = [name for name in precision.needs if importlib.util.find_spec(name) is None]
    if missing:
        # GPT-QModel's build looks for the torch that is installed.
        isolation = " --no-build-isolation" if "gptqmodel" in precision.needs else ""
        raise ModelError(
            f"precision={precision.name} needs {' and '.join(missing)}: "
            f"pip install 'qrag-tasks[{precision.extra}]'{isolation}"
        )


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


def computing_dtype(
    asked: Any, config: Any, device: Any, precision: Precision | None = None
) -> Any:
    """Return the ``torch.dtype`` that a model computes in: the same for all its quantized arms.

    The precision's own, where its weights have one. Else what was asked for; where that is
    ``"auto"``, the checkpoint's own. But a float16 checkpoint on a CPU computes in bfloat16, with
    a warning: CPUs multiply bfloat16 matrices some ten times faster than float16 ones
    (benchmarks/cpu_dtypes.py). ``dtype=float16`` insists.

    :param asked: a ``torch.dtype``, its name, or ``"auto"``.
    :param config: the model's configuration.
    :param device: where the model will be.
    :raises SettingsError: when torch has no dtype of that name.
    """
    import torch
    from lm_eval.models.utils_hf import get_dtype

    try:
        wanted = get_dtype(asked)
    except AttributeError:
        raise SettingsError(
            f"dtype={asked}: torch has no such dtype; give float16, bfloat16, float32 or auto"
        ) from None
    if precision is not None and precision.dtype is not None:
        return getattr(torch, precision.dtype)
    if wanted != "auto":
        return wanted
    own = getattr(config, "dtype", None) or torch.float32
    if own == torch.float16 and torch.device(device).type == "cpu":
        logger.warning(
            "on a CPU this float16 checkpoint computes in bfloat16, as float16 is slow there; "
            "give the same dtype=bfloat16 to the arm you compare it with, or dtype=float16 to both"
        )
        return torch.bfloat16
    return own


def loading_arguments(
    precision: Precision,
    config: Any,
    dtype: Any,
    kernel: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what ``from_pretrained`` is to be given, so that the weights are in a precision.

    Where ``config`` is in it, the model's ``__init__`` would get ``settings`` given beside it.

    :param config: the checkpoint's configuration.
    :param dtype: in which the arm computes.
    :param kernel: GPT-QModel's name of the kernel that is to compute; its own choice by default.
    :param settings: of the configuration, that are to differ from the checkpoint's.
    :raises SettingsError: for a kernel that there is not.
    """
    if precision.method == "bitsandbytes":
        _say_once_what_int8_casts()
    # Within the configuration: beside it, transformers passes over most of it, with a warning.
    changes: dict[str, Any] = {}
    if kernel is not None:
        changes["backend"] = _kernel(kernel, precision)
    found = getattr(config, "quantization_config", None)
    if found is None:
        return {"quantization_config": _made_on_loading(precision, dtype)}
    if precision.method == "bitsandbytes" and precision.bits == 4:
        # It was saved with the dtype of another run.
        changes["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    config = copy.deepcopy(config)
    config.quantization_config = {**found, **changes}
    for name, value in settings.items():
        setattr(config, name, value)
    return {"config": config, "quantization_config": None}


def cast_unquantized(model: Any, stored: Any, dtype: Any) -> None:
    """Bring what a quantized checkpoint keeps in full to the dtype that the arm computes in.

    transformers leaves it as it was stored. What is stored in another dtype than the rest, as some
    models' norms are, stays.

    :param stored: the checkpoint's ``torch.dtype``.
    """
    if stored in (None, dtype):
        return
    quantized = {layer.name for layer in linear_layers(model) if layer.quantized}
    for name, module in model.named_modules():
        if name not in quantized:
            for parameter in module.parameters(recurse=False):
                if parameter.dtype == stored:
                    parameter.data = parameter.data.to(dtype)


def _made_on_loading(precision: Precision, dtype: Any) -> Any:
    if precision.method != "bitsandbytes":
        return None
    wanted: dict[str, Any] = {f"load_in_{precision.bits}bit": True}
    if precision.quant_type:
        wanted["bnb_4bit_quant_type"] = precision.quant_type
    return bitsandbytes_config(wanted, dtype)


def _kernel(name: str, precision: Precision) -> str:
    """Check a kernel's name."""
    kernels: Any
    if precision.method == "awq":
        from transformers.utils.quantization_config import AwqBackend

        kernels = AwqBackend
    else:
        import gptqmodel

        kernels = gptqmodel.BACKEND
    known = [str(kernel.value) for kernel in kernels]
    if name not in known:
        raise SettingsError(
            f"kernel={name}: unknown for {precision.name} (known: {', '.join(known)})."
            + did_you_mean(name, known)
        )
    return name


def _say_once_what_int8_casts() -> None:
    """Keep bitsandbytes from saying with every layer that LLM.int8() casts its input to float16."""

    class Once(logging.Filter):
        said = False

        def filter(self, record: logging.LogRecord) -> bool:
            if not str(record.msg).startswith("MatMul8bitLt: inputs will be cast"):
                return True
            first, self.said = not self.said, True
            return first

    emitter = logging.getLogger("bitsandbytes.autograd._functions")
    if not any(type(found).__name__ == Once.__name__ for found in emitter.filters):
        emitter.addFilter(Once())


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
