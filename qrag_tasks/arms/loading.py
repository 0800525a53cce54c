"""How the weights of an arm are loaded, and in which dtype it computes."""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qrag_tasks.arms.arguments import check_against, check_qrag_arguments
from qrag_tasks.arms.checkpoints import Checkpoint, arm_of, checkpoint_in
from qrag_tasks.arms.dtypes import named_dtype
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.layers import linear_layers
from qrag_tasks.arms.places import checked_places
from qrag_tasks.arms.precisions import format_of
from qrag_tasks.errors import ModelError

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
    check_qrag_arguments(arguments)
    checkpoint = checkpoint_in(
        checked_places(arguments),
        arguments["pretrained"],
        revision=arguments.get("revision") or "main",
        subfolder=arguments.get("subfolder") or "",
    )
    precision = arm_of(checkpoint, arguments.get("precision"), arguments.get("group_size"))
    check_against(precision, arguments)
    reason = format_of(precision).not_loadable(checkpoint.quantization or {})
    if reason:
        raise ModelError(f"pretrained={checkpoint.pretrained}: {reason}")
    return checkpoint, precision


def check_installed(precision: Precision) -> None:
    """Check that what a precision needs can be imported.

    :raises ModelError: with the command that brings what is missing.
    """
    check_libraries(f"precision={precision.name}")
    format_of(precision).check_installed(precision)


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


def check_libraries(user: str) -> None:
    """Check that a model can be run here at all: the core alone brings nothing that does.

    :param user: what needs it, as the user wrote it.
    :raises ModelError: naming the extra that brings what is missing.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"{user} needs {' and '.join(missing)}: pip install 'qrag-tasks[hf]'")


def computing_dtype(
    dtype: Any, config: Any, device: Any, precision: Precision | None = None
) -> Any:
    """Return the ``torch.dtype`` that a model computes in: the same for all its quantized arms.

    The precision's own, where its weights have one. Else what was asked for; where that is
    ``"auto"``, the checkpoint's own. But a float16 checkpoint on a CPU computes in bfloat16, with
    a warning: CPUs multiply bfloat16 matrices some ten times faster than float16 ones
    (benchmarks/cpu_dtypes.py). ``dtype=float16`` insists.

    :param dtype: a ``torch.dtype``, its name, or ``"auto"``.
    :param config: the model's configuration.
    :param device: where the model will be.
    :raises SettingsError: when torch has no dtype of that name.
    """
    import torch

    wanted = named_dtype("dtype", dtype)
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

    The precision's format must have been prepared. Where ``config`` is in it, the model's
    ``__init__`` would get ``settings`` given beside it.

    :param config: the checkpoint's configuration.
    :param dtype: in which the arm computes.
    :param kernel: GPT-QModel's name of the kernel that is to compute; its own choice by default.
    :param settings: of the configuration, that are to differ from the checkpoint's.
    :raises SettingsError: for a kernel that there is not.
    """
    form = format_of(precision)
    own = getattr(config, "quantization_config", None)
    if own is None:
        return {"quantization_config": form.quantization_config(precision, dtype)}
    # Within the configuration: beside it, transformers passes over most of it, with a warning.
    config = copy.deepcopy(config)
    config.quantization_config = form.loading_config(own, precision, dtype, kernel)
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
