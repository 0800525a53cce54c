"""How vLLM is started for an arm."""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qrag_tasks.arms.arguments import asked_dtype
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.loading import computing_dtype
from qrag_tasks.engines.tokenizers import load_tokenizer, model_window
from qrag_tasks.engines.vllm import environment, failures, fp8_on_cpu
from qrag_tasks.engines.vllm.arguments import QUANTIZATION, Asked
from qrag_tasks.engines.vllm.engine import VllmEngine
from qrag_tasks.engines.vllm.sampling import MOST_LOGPROBS
from qrag_tasks.errors import SettingsError
from qrag_tasks.metering.meter import Meter

logger = logging.getLogger("lm_eval.qrag_tasks")

_READ_BY_FLASH = ("fp8_e4m3",)


def load(wanted: Asked, meter: Meter) -> VllmEngine:
    """Start vLLM in this process, verify what it has loaded, and return its engine.

    :param wanted: what was asked for, the checkpoint named.
    :raises ModelError: when the arm cannot be had, or is not what it claims.
    :raises SettingsError: for an impossible argument.
    """
    given, precision = wanted.arguments, wanted.precision
    device = checked_device(given.get("device"))
    environment.prepare(wanted.deterministic and device.type == "cuda")
    _check_platform(device, given.get("device"))
    tokenizer, config, generation_config = load_tokenizer(given)
    dtype = computing_dtype(asked_dtype(given), config, device, precision)
    computing = str(dtype).removeprefix("torch.")
    window = int(given.get("max_length") or model_window(config, tokenizer))
    own = {**wanted.own, **_deterministic(wanted, device, computing)}
    started = failures.at_start(given["pretrained"], precision.name)
    if device.type == "cpu":
        _ask_for_amx()
        if fp8_on_cpu.has_only_reference():
            fp8_on_cpu.multiply_by_rows()
    with meter.loading(), started, _older_objects_set_aside():
        from vllm import LLM

        llm = LLM(
            model=_place(wanted),
            tokenizer=given.get("tokenizer"),
            revision=given.get("revision"),
            trust_remote_code=bool(given.get("trust_remote_code")),
            dtype=computing,
            quantization=QUANTIZATION.get(precision.name),
            max_model_len=window,
            # The checkpoint's own settings of sampling are set aside.
            generation_config="vllm",
            logprobs_mode="raw_logprobs",
            max_logprobs=MOST_LOGPROBS,
            **({"device_ids": [device.index]} if device.index else {}),
            **{"max_num_seqs": _most_at_once(given), **own},
        )
    meter.device = device
    return VllmEngine(
        llm,
        tokenizer,
        config=copy.deepcopy(config),
        generation_config=generation_config,
        asked=wanted,
        own=own,
        window=window,
        computing=computing,
        device=device,
        meter=meter,
    )


def _ask_for_amx() -> None:
    """Ask the system for the tiles of AMX, where a processor has them.

    vLLM's kernel for 4-bit weights uses them without asking, which ends the process.
    """
    import torch

    if ask := getattr(torch.cpu, "_init_amx", None):
        ask()


@contextmanager
def _older_objects_set_aside() -> Iterator[None]:
    """Keep the garbage collector from what is there already, while vLLM starts.

    vLLM has it look at everything some ten times, a quarter of a second each where lm_eval,
    transformers and torch are imported.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _place(wanted: Asked) -> str:
    """Return the folder of the checkpoint, or its name on the hub."""
    pretrained, folder = wanted.arguments["pretrained"], wanted.checkpoint.folder
    local = folder is not None and wanted.checkpoint.tensors is not None
    return str(folder) if local else str(pretrained)


def _most_at_once(given: Mapping[str, Any]) -> int | None:
    size = given.get("batch_size", "auto")
    return None if size == "auto" else int(size)


def _check_platform(device: Any, named: Any) -> None:
    """Check that this build of vLLM runs on a device.

    :raises SettingsError: when it does not.
    """
    from vllm.platforms import current_platform

    built_for = str(current_platform.device_type)
    if built_for != device.type:
        name, version = environment.version()
        raise SettingsError(
            f"device={named or device}: the {name} {version} that is installed runs on {built_for} "
            f"here; give device={built_for or 'cpu'}, or install the vLLM of that device"
        )


def _deterministic(wanted: Asked, device: Any, computing: str) -> dict[str, Any]:
    """Return what vLLM must be given so that an answer depends on its own prompt alone.

    :raises SettingsError: where other arguments do not let it.
    """
    if not wanted.deterministic:
        return {}
    if device.type == "cuda":
        # In 32 bits, and for a cache that FlashAttention does not read, vLLM chooses among the
        # others that are batch-invariant. Any may be given; one that is not, vLLM refuses.
        flash = computing != "float32" and (
            wanted.kv_cache is None or wanted.kv_cache.engine_name in _READ_BY_FLASH
        )
        default = {"attention_backend": "FLASH_ATTN"} if flash else {}
        return {name: wanted.own.get(name, value) for name, value in default.items()}
    # A prompt must be read in the same pieces, whatever was read before it.
    needed = {"batch_size": 1, "enable_prefix_caching": False}
    for name, value in needed.items():
        given = wanted.arguments.get(name, value)
        if str(given) not in ("auto", str(value)):
            raise SettingsError(
                f"{name}={given} and deterministic=True: vLLM has no batch-invariant kernels for "
                f"device={device.type}, so each prompt must run alone; leave {name} out"
            )
    return {"max_num_seqs": 1, "enable_prefix_caching": False}
