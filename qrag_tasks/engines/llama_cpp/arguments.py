"""The model arguments of ``engine=llama_cpp``, named as llama-cpp-python names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.formats.gguf import Gguf, precision_of
from qrag_tasks.arms.gguf_files import GgufFile, names_gguf, read_gguf
from qrag_tasks.arms.kv_caches import KvCache, asked_cache
from qrag_tasks.engines.arguments import OF_TEXT, refuse_unknown, switched_on
from qrag_tasks.engines.llama_cpp.abilities import KV_CACHES, NAME
from qrag_tasks.errors import ModelError, SettingsError

CACHE_KINDS = tuple(row.name for row in KV_CACHES)
"""ggml's kinds of numbers that a key-value cache can be in."""
TOKENS_AT_ONCE = 512
"""Tokens of a prompt that run through the model together, as llama.cpp has it by default."""
_COUNTS = {"max_length": 1, "n_ubatch": 1, "n_threads": 1, "n_threads_batch": 1, "n_gpu_layers": -1}
_SWITCHES = ("flash_attn", "deterministic")
_CACHES = ("type_k", "type_v")
KNOWN = (
    *("pretrained", "precision", "device", "batch_size", "tokenizer", "trust_remote_code"),
    *("kv_cache", *_CACHES, *_COUNTS, *_SWITCHES, *OF_TEXT),
)
"""All arguments that the engine takes."""
_PIECES = "a prompt runs n_ubatch= tokens at a time; give that"
_REFUSED: Mapping[str, str] = {
    "model_path": "its name here is pretrained",
    "n_ctx": "its name here is max_length",
    "max_model_len": "its name here is max_length",
    "n_batch": _PIECES,
    "max_batch_size": f"engine={NAME} answers one prompt at a time; leave it out",
    "max_batch_tokens": _PIECES,
    "gguf_file": "name the file itself as pretrained=FOLDER/FILE.gguf",
    "dtype": "llama.cpp computes as the file's kinds of numbers want it; leave it out",
}
"""Arguments of llama-cpp-python, and of other engines, that are not taken -> why."""


@dataclass(frozen=True)
class Settings:
    """How llama.cpp is to run a file.

    :ivar max_length: tokens that prompt and answer may have together; ``None`` for the model's own.
    :ivar n_ubatch: tokens of a prompt that run together.
    :ivar n_threads: threads for one token; ``None`` for as many as torch takes.
    :ivar n_threads_batch: threads for many tokens; ``None`` for ``n_threads``.
    :ivar n_gpu_layers: layers on a GPU, where llama.cpp was built for one; -1 for all.
    :ivar flash_attn: whether attention is computed without its matrix of scores.
    :ivar type_k: kind of the numbers that the keys are kept in; ``None`` for float32 with a file
        in float32, and for float16 with all others.
    :ivar type_v: as ``type_k``, of the values.
    :ivar kv_cache: how both are kept, where that was asked for by the name that all engines have.
    :ivar deterministic: whether an answer depends on its own prompt alone.
    """

    max_length: int | None = None
    n_ubatch: int = TOKENS_AT_ONCE
    n_threads: int | None = None
    n_threads_batch: int | None = None
    n_gpu_layers: int = 0
    flash_attn: bool = False
    type_k: str | None = None
    type_v: str | None = None
    deterministic: bool = False
    kv_cache: KvCache | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Settings:
        """Read the model arguments.

        :raises SettingsError: for one that is unknown or cannot be.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        for name in given.keys() & _REFUSED.keys():
            if given[name] != "auto":
                raise SettingsError(f"{name}={given[name]}: {_REFUSED[name]}")
        refuse_unknown(NAME, given, (*KNOWN, "dtype"))
        values: dict[str, Any] = {
            name: _count(name, given[name], least)
            for name, least in _COUNTS.items()
            if name in given
        }
        values |= {name: switched_on(given, name) for name in _SWITCHES if name in given}
        values |= {name: _cache_kind(name, given[name]) for name in _CACHES if name in given}
        values |= _cache(given)
        if str(given.get("batch_size", 1)) not in ("1", "auto"):
            raise SettingsError(
                f"batch_size={given['batch_size']}: engine={NAME} answers one prompt at a time; "
                f"leave batch_size out (n_ubatch= says how many tokens of it run at once)"
            )
        settings = cls(**values)
        if settings.type_v not in (None, "f32", "f16", "bf16") and not settings.flash_attn:
            named = "type_v" if settings.kv_cache is None else "kv_cache"
            raise SettingsError(
                f"{named}={given[named]}: llama.cpp quantizes the values of the cache with "
                f"flash_attn=True only; give both, and flash_attn=True to the arm that this one "
                f"is compared with"
            )
        return settings


def asked_file(arguments: Mapping[str, Any]) -> tuple[Settings, GgufFile, Precision]:
    """Return what model arguments ask for, once it is known that it can be had.

    Only the file's header is read.

    :raises SettingsError: for an argument that is unknown or cannot be.
    :raises ModelError: when the file is none, is damaged, is not in the precision, or what reads
        it is not installed.
    """
    settings = Settings.of(arguments)
    place = arguments.get("pretrained")
    if place is None:
        raise SettingsError(
            f"engine={NAME} needs pretrained=, a GGUF file such as MODEL.Q4_K_M.gguf; "
            f"docs/engines.md says how to make one"
        )
    if not names_gguf(place):
        raise SettingsError(
            f"pretrained={place}: engine={NAME} runs GGUF files: name one that ends with .gguf "
            f"(docs/engines.md says how to make it), or leave engine out for a folder of "
            f"transformers"
        )
    file = read_gguf(place)
    row = precision_of(file, arguments.get("precision"))
    Gguf().check_installed(row)
    window_of(file, settings)
    return settings, file, row


def window_of(file: GgufFile, settings: Settings) -> int:
    """Return the tokens that prompt and answer may have together.

    :raises SettingsError: for more than the model was trained to take.
    :raises ModelError: when nothing says how many.
    """
    own, asked = file.window, settings.max_length
    if own is not None and asked is not None and asked > own:
        raise SettingsError(
            f"max_length={asked}: pretrained={file.path} was trained to take {own} tokens; give at "
            f"most that many, or leave max_length out"
        )
    if (window := asked or own) is None:
        raise ModelError(
            f"pretrained={file.path} does not say how many tokens it takes "
            f"({file.architecture}.context_length is missing): give max_length="
        )
    return window


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        which = " above 0" if least > 0 else ", 0 or above, or -1 for all layers"
        raise SettingsError(f"{name}={value}: give a whole number{which}")
    return value


def _cache(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``kv_cache`` comes to; nothing where it was not given."""
    row = asked_cache(given, KV_CACHES, NAME)
    if row is None:
        return {}
    for name in _CACHES:
        if name in given:
            raise SettingsError(
                f"kv_cache={given['kv_cache']} and {name}={given[name]}: kv_cache is both type_k "
                f"and type_v; leave one of them out"
            )
    return {"kv_cache": row, **dict.fromkeys(_CACHES, row.engine_name)}


def _cache_kind(name: str, value: Any) -> str:
    if value not in CACHE_KINDS:
        raise SettingsError(f"{name}={value}: give one of {', '.join(CACHE_KINDS)}")
    return str(value)
