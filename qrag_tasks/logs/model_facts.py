"""What the results of any model tell of it: its name, precision and dtype, out of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``--model_args``, which results hold as an object or as the text that was given."""
    given = config.get("model_args")
    if isinstance(given, dict):
        return given
    pairs = (part.partition("=") for part in str(given or "").split(",") if "=" in part)
    return {key.strip(): value.strip() for key, _, value in pairs}


# As lm_eval looks for a model's name in its arguments; where there is none it makes one up.
_NAMING = ("pretrained", "model", "path", "engine")


def name_of(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Return the model's name, short."""
    name = next((arguments[key] for key in _NAMING if arguments.get(key)), None)
    if name is None:
        # Whoever gives none to --model qrag gets the embedded model.
        name = "embedded" if config.get("model") == "qrag" else config.get("model") or "?"
    return str(name).rstrip("/").rsplit("/", 1)[-1]


_PRECISIONS = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
    # vLLM's own words.
    "half": "fp16",
    "float": "fp32",
}


def dtype_of(config: Mapping[str, Any]) -> str | None:
    """Return the dtype in which the model computed; ``None`` where it is not known."""
    name = _dtype(config.get("model_dtype"))
    return name if name in ("bfloat16", "float16", "float32", "float64") else None


def precision_of(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Say what arguments of ``--model hf`` or ``vllm`` come to; ``None`` where they do not tell."""

    def on(name: str) -> bool:
        return str(arguments.get(name)).lower() in ("true", "1")

    if on("load_in_8bit"):
        return "int8"
    if on("load_in_4bit"):
        return f"int4-{arguments.get('bnb_4bit_quant_type', 'nf4')}"
    if on("gptqmodel"):
        return "int4-gptq"
    # vLLM's, in its own words: they do not tell how many bits a checkpoint has.
    if (quantization := arguments.get("quantization")) not in _NOT_STATED:
        return str(quantization)
    dtype = _dtype(arguments.get("dtype")) or _dtype(config.get("model_dtype"))
    return None if dtype is None else _PRECISIONS.get(dtype, dtype)


def kv_cache_of(arguments: Mapping[str, Any]) -> str | None:
    """Say how ``--model vllm`` was asked to keep keys and values; ``None`` for its own way."""
    dtype = arguments.get("kv_cache_dtype")
    return None if dtype in _NOT_STATED else str(dtype)


def arm_called(precision: str, kv_cache: str | None) -> str:
    """Return what an arm is called by the precision of its weights, and of its cache.

    :param kv_cache: ``None`` where nothing else was asked for than usual.
    """
    return precision if kv_cache is None else f"{precision}+kv-{kv_cache}"


# lm_eval takes what is written on its command line for a text: None too.
_NOT_STATED = (None, "None", "auto")


def _dtype(logged: Any) -> str | None:
    return None if logged in _NOT_STATED else str(logged).removeprefix("torch.")
