"""The model arguments of ``engine=vllm``: which there are, and what vLLM is given for them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.arguments import asked_dtype, check_against
from qrag_tasks.arms.checkpoints import Checkpoint, check_checkpoint, checkpoint_in, own_precision
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.kv_caches import KvCache, asked_cache
from qrag_tasks.arms.loading import check_libraries
from qrag_tasks.arms.places import checked_places
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.engines.arguments import OF_TEXT, switched_on
from qrag_tasks.engines.vllm import environment
from qrag_tasks.engines.vllm.abilities import ABILITIES, NAME
from qrag_tasks.errors import ModelError, SettingsError, did_you_mean
from qrag_tasks.locations import embedded_model

QUANTIZATION: Mapping[str, str] = {
    "fp8": "fp8_per_tensor",
    "fp8-channel": "fp8_per_channel",
    "fp8-block": "fp8_per_block",
    "int4-nf4": "bitsandbytes",
}
"""Precision that is made on loading -> vLLM's name of what makes it."""

BATCH_INVARIANT = frozenset({"fp32", "fp16", "bf16", "fp8", "int4-awq"})
"""Precisions for which vLLM has kernels whose sums do not depend on the batch. Its kernel for GPTQ,
Marlin, splits sums by the size of the batch; bitsandbytes has one for a single row, another for
more."""

_OURS = frozenset(
    {
        *("pretrained", "precision", "dtype", "torch_dtype", "device", "batch_size"),
        *("group_size", "deterministic", "max_length", "revision", "subfolder", "tokenizer"),
        *("trust_remote_code", "data_parallel_size", "kv_cache"),
        *OF_TEXT,
        "max_gen_toks",
    }
)

_SIZES = ("data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size")
"""Arguments that say how many devices there must be: of the first, for models side by side."""

_DRAFTS = "drafts of another model would change which tokens are likely; leave it out"
_OTHER_MODEL = "it would change the model that is run, and no layer would show it; leave it out"
_OTHER_PROMPTS = "prompts are token ids here, which nothing reads again; leave it out"
_BY_US = "engine=vllm sets it itself; leave it out"
_OF_REPLICAS = (
    *("data_parallel_rank", "data_parallel_start_rank", "data_parallel_size_local"),
    *("data_parallel_address", "data_parallel_rpc_port", "data_parallel_backend"),
    *("data_parallel_hybrid_lb", "data_parallel_external_lb"),
    "data_parallel_multi_port_external_lb",
)
REFUSED: Mapping[str, str] = {
    "model": "its name here is pretrained",
    "max_model_len": "its name here is max_length",
    "max_num_seqs": "its name here is batch_size",
    "quantization": "its name here is precision",
    "quantization_config": "a named precision fixes it; give precision",
    "load_format": "the checkpoint and its precision decide it; leave it out",
    "kv_cache_dtype": "its name here is kv_cache",
    "calculate_kv_scales": "keys and values are scaled as the checkpoint says, or by 1.0",
    "generation_config": "a checkpoint's own sampling settings are set aside, so that all arms "
    "decode alike; --gen_kwargs sets them for a run",
    "override_generation_config": "--gen_kwargs sets these for a run",
    "logprobs_mode": "likelihoods are those of the model itself; leave it out",
    "logits_processors": "it would change which token is chosen, and nothing would show it",
    **dict.fromkeys(("hf_overrides", "hf_config_path", "model_weights"), _OTHER_MODEL),
    **dict.fromkeys(("code_revision", "config_format", "model_class_overrides"), _OTHER_MODEL),
    **dict.fromkeys(("enable_lora", "default_mm_loras", "lora_dtype"), _OTHER_MODEL),
    **dict.fromkeys(("speculative_config", "spec_method", "spec_model", "spec_tokens"), _DRAFTS),
    "diffusion_config": _DRAFTS,
    **dict.fromkeys(("tokenizer_mode", "tokenizer_revision"), _OTHER_PROMPTS),
    **dict.fromkeys(("skip_tokenizer_init", "tokens_only", "enable_prompt_embeds"), _OTHER_PROMPTS),
    **dict.fromkeys(_OF_REPLICAS, "data_parallel_size alone sets it; leave it out"),
    **dict.fromkeys(("runner", "convert", "served_model_name", "stream_interval"), _BY_US),
    **dict.fromkeys(("disable_log_stats", "device_ids", "use_tqdm_on_load"), _BY_US),
}
"""vLLM's own arguments that are not passed on -> why."""

MEMORY = frozenset(
    {
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override"),
        *("max_num_batched_tokens", "cpu_offload_gb", "download_dir", "enable_prefix_caching"),
        *("safetensors_load_strategy", "max_parallel_loading_workers", "block_size"),
        *("distributed_timeout_seconds", "scheduling_policy", "async_scheduling", "max_num_seqs"),
    }
)
"""Arguments that say how much is run at once, and where; answers depend on them as on batches."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, once it is known that it can be.

    :ivar arguments: those that were given; ``pretrained`` among them.
    :ivar own: those of them that are vLLM's own, and passed on.
    :ivar replicas: models that answer side by side, each in a process of its own.
    :ivar workers: devices that each of them is spread over.
    :ivar kv_cache: how keys and values are to be kept; ``None`` for vLLM's own way.
    """

    arguments: Mapping[str, Any]
    checkpoint: Checkpoint
    precision: Precision
    deterministic: bool
    own: Mapping[str, Any]
    replicas: int = 1
    workers: int = 1
    kv_cache: KvCache | None = None


def asked(arguments: Mapping[str, Any]) -> Asked:
    """Check what was asked of ``engine=vllm``; neither weights nor vLLM are loaded.

    :raises SettingsError: for an argument that is unknown or cannot be.
    :raises ModelError: when the arm cannot be had.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    check_libraries("engine=vllm")
    environment.check_installed()
    of_vllm = environment.engine_arguments()
    _check_names(given, of_vllm)
    _check_values(given)
    deterministic = switched_on(given, "deterministic")
    environment.check(deterministic)
    given.setdefault("pretrained", str(embedded_model()))
    checkpoint = checkpoint_in(
        checked_places(given),
        given["pretrained"],
        revision=given.get("revision") or "main",
        subfolder=given.get("subfolder") or "",
    )
    row = precision_named(given["precision"]) if "precision" in given else own_precision(checkpoint)
    check_checkpoint(checkpoint, row, given.get("group_size"))
    check_against(row, given)
    _check_precision(row)
    if deterministic:
        _check_deterministic(row)
    own = {name: value for name, value in given.items() if name in of_vllm - _OURS}
    cache = asked_cache(given, ABILITIES.kv_caches, NAME)
    if cache is not None:
        _check_cache(cache)
        own["kv_cache_dtype"] = cache.engine_name
    replicas, *sizes = (int(given.get(name) or 1) for name in _SIZES)
    _check_devices(given, replicas, math.prod(sizes))
    return Asked(given, checkpoint, row, deterministic, own, replicas, math.prod(sizes), cache)


def _check_cache(cache: KvCache) -> None:
    """Check that this vLLM has such a cache; whether its platform runs it, it says itself."""
    known = environment.cache_dtypes()
    if known and cache.engine_name not in known:
        name, version = environment.version()
        raise ModelError(
            f"kv_cache={cache.name}: {name} {version} does not have it (no kv_cache_dtype "
            f"{cache.engine_name!r}); take another release of vLLM, or engine=transformers"
        )


def _check_names(given: Mapping[str, Any], of_vllm: Collection[str]) -> None:
    wrong = [f"{name}={given[name]}: {REFUSED[name]}" for name in given if name in REFUSED]
    known = _OURS | (set(of_vllm) - REFUSED.keys())
    # vLLM's own are too many to list.
    wrong += [
        f"{name}={value}: unknown to engine=vllm (known: {', '.join(sorted(_OURS))}, and the "
        f"arguments of vLLM's engine).{did_you_mean(name, known)}"
        for name, value in given.items()
        if name not in known and name not in REFUSED and name != "engine"
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))


def _check_values(given: Mapping[str, Any]) -> None:
    asked_dtype(given)
    for name in ("batch_size", "max_length", *_SIZES):
        value = given.get(name, "auto")
        auto = name == "batch_size" and value == "auto"
        if name in given and not auto and not (str(value).isdecimal() and int(value) > 0):
            or_auto = ", or auto for vLLM's own choice" if name == "batch_size" else ""
            raise SettingsError(f"{name}={value}: give a whole number above 0{or_auto}")


def _check_devices(given: Mapping[str, Any], replicas: int, workers: int) -> None:
    """Check that there are as many GPUs as are asked for.

    :raises SettingsError: when there are fewer, or when one of several is named.
    """
    device = checked_device(given.get("device"))
    if replicas * workers == 1 or device.type != "cuda":
        return
    sizes = " and ".join(f"{name}={given[name]}" for name in _SIZES if given.get(name))
    if device.index:
        raise SettingsError(
            f"device={given['device']} and {sizes}: several GPUs are taken from the first on; "
            f"choose them by CUDA_VISIBLE_DEVICES, and leave device out"
        )
    import torch

    if (there := torch.cuda.device_count()) < replicas * workers:
        raise SettingsError(
            f"{sizes}: this takes {replicas * workers} GPUs, and torch finds {there} here; give "
            f"smaller sizes"
        )


def _check_precision(row: Precision) -> None:
    """Check that this vLLM has the precision; which of them its platform runs, it says itself."""
    able = ABILITIES.precisions or frozenset()
    if row.name not in able:
        raise SettingsError(
            f"precision={row.name}: engine=vllm cannot load it (it loads: "
            f"{', '.join(sorted(able))}); engine=transformers may"
        )
    method, known = QUANTIZATION.get(row.name), environment.quantization_methods()
    if method is not None and known and method not in known:
        name, version = environment.version()
        raise ModelError(
            f"precision={row.name}: {name} {version} does not make it (it has no quantization "
            f"{method!r}); take another release of vLLM, or engine=transformers"
        )


def _check_deterministic(row: Precision) -> None:
    if row.name not in BATCH_INVARIANT:
        raise SettingsError(
            f"deterministic=True: vLLM's kernels for precision={row.name} sum in an order that "
            f"depends on the batch (it has others for {', '.join(sorted(BATCH_INVARIANT))}); give "
            f"engine=transformers, or leave deterministic out and measure it with qrag noise"
        )
