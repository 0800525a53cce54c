"""What makes an arm's answers what they are, as one digest.

Two arms with the same digest give the same answers to the same requests, wherever their files lie
and whatever they are called. The weights are part of it as they lie in memory, bit by bit: reading
them takes one thread of a CPU about 0.5 s a gigabyte, and an H100 less than 0.01 s.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.arms.components import (
    UNKNOWN,
    ByObject,
    canonical,
    digest_of,
    plain,
    quantizers,
    token,
    weights_digest,
)
from qrag_tasks.arms.precisions import packages

_BATCHES = frozenset(
    {
        *("batch_size", "max_batch_size", "max_batch_tokens", "device"),
        *("batch_size_per_gpu", "batch_schedule", "batch_sizes"),
    }
)
_NAMES = frozenset(
    {
        *("pretrained", "revision", "subfolder", "tokenizer", "peft", "delta", "name_or_path"),
        *("_name_or_path", "base_model_name_or_path", "_commit_hash", "transformers_version"),
    }
)
_SETTINGS = (
    *("backend", "max_length", "max_gen_toks", "add_bos_token", "custom_prefix_token_id"),
    *("think_end_token", "chat_template_args", "truncation", "softmax_dtype"),
    "mixed_precision_dtype",
)
_CREATED_WITH = ByObject()
# 8 MiB of a file at most, in some milliseconds.
_BLOCKS, _BLOCK = 128, 1 << 16


@dataclass(frozen=True)
class Identity:
    """What an arm's answers depend on, beside the request.

    :ivar parts: name -> JSON value; large parts as digests.
    :ivar digest: sha256 of ``parts``, as hex.
    :ivar known: whether the same arm has the same digest in another process. Where not, no other
        object has it.
    """

    parts: Mapping[str, Any]
    digest: str
    known: bool

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Identity:
        """Return the identity that has these parts, whatever Python objects they are."""
        values = plain(parts)
        text = canonical(values)
        return cls(values, hashlib.sha256(text.encode()).hexdigest(), UNKNOWN not in text)


def arm_identity(lm: Any) -> Identity:
    """Return what tells the answers of ``lm`` from those of other arms.

    Of an ``HFLM`` and of a ``QragLM``: weights, configuration, kernels, dtypes, kind of device,
    tokenizer, settings of generation, versions of the packages that compute. Neither paths nor
    names, nor how requests are batched. Other models are known by their class and by the arguments
    that lm_eval created them with; objects that were built by hand are not known at all. A class
    may tell for itself: the mapping that its method ``arm_identity_parts()`` returns is taken in
    place of arguments, and beside what is read of a model.

    :param lm: lm_eval's ``LM``.
    """
    parts: dict[str, Any] = {"class": f"{type(lm).__module__}.{type(lm).__qualname__}"}
    own = getattr(lm, "arm_identity_parts", None)
    if own is not None:
        parts["own"] = own()
    arguments = created_with(lm)
    if is_read(lm):
        parts |= _read(lm)
        if not parts["class"].startswith(("lm_eval.models.huggingface.", "qrag_tasks.")):
            parts["subclass"] = _of_subclass(lm, arguments or {})
    elif own is None:
        parts["arguments"] = token(lm) if arguments is None else _arguments(arguments)
    return Identity.of(parts)


def is_read(lm: Any) -> bool:
    """Tell whether the identity of ``lm`` is read from its model, and not from arguments alone."""
    return hasattr(lm, "engine_identity") or is_hflm(lm)


def is_hflm(lm: Any) -> bool:
    """Tell whether ``lm`` is lm_eval's ``HFLM``, or of a class derived from it."""
    module = sys.modules.get("lm_eval.models.huggingface")
    return module is not None and isinstance(lm, module.HFLM)


def remember_creation(lm: Any, arguments: Mapping[str, Any]) -> None:
    """Remember what lm_eval created ``lm`` with: :func:`arm_identity` knows it by that."""
    _CREATED_WITH.put(lm, dict(arguments))


def created_with(lm: Any) -> Mapping[str, Any] | None:
    """Return what lm_eval created ``lm`` with; ``None`` where that was not seen."""
    arguments: Mapping[str, Any] | None = _CREATED_WITH.get(lm)
    return arguments


# ---------------------------------------------------------------------- any LM
def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _argument(name, given[name]) for name in given if name not in _BATCHES}


def _argument(name: str, value: Any) -> Any:
    """Return an argument for the record: no secret, and of files and folders what is there now."""
    if name in ("token", "header", "headers") or name.endswith(("_key", "password", "secret")):
        return digest_of(plain(value))
    if isinstance(value, (str, Path)) and (files := _files(Path(value))):
        return [str(value), files]
    return value


def _files(path: Path) -> list[list[Any]]:
    """Return what tells the file there, or those in the folder there, from others, if any.

    Name, bytes, time, and a digest of samples: another file may have equal size and time. Neither
    inode nor time of the status: copies of one model on several machines are one arm.
    """
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [_state(file) for file in files if file.is_file()]
    except OSError:  # not to be read, or no path at all
        return []


def _state(path: Path) -> list[Any]:
    """Return a file's name, bytes, time, and the sha256 of blocks at equal distances.

    The blocks are all of a small file. Weights that were made again differ in all of them; what
    stays unnoticed is a change between the blocks that leaves size and time as they were.
    """
    status, digest = path.stat(), hashlib.sha256()
    last = max(0, status.st_size - _BLOCK)
    with path.open("rb") as file:
        for start in sorted({last * number // (_BLOCKS - 1) for number in range(_BLOCKS)}):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return [path.name, status.st_size, status.st_mtime_ns, digest.hexdigest()]


# ---------------------------------------------------------------------- HFLM
def attention_of(model: Any) -> str | None:
    """Return which attention a model of transformers computes with; ``None`` where it is untold."""
    name: str | None = getattr(model.config, "_attn_implementation", None)
    return name


def set_attention(model: Any, name: str | None) -> None:
    """Have a model of transformers compute with another attention, without transformers' checks.

    These look for a package that supplies it, and the name may be one of ours.
    """
    model.config._attn_implementation = name


def model_parts(model: Any, tokenizer: Any, device: Any) -> dict[str, Any]:
    """Return what the answers of a model of transformers depend on, settings aside.

    :param device: ``torch.device``, or its name.
    """
    # GPT-QModel's own loader wraps the module.
    module = model if callable(getattr(model, "named_modules", None)) else model.model
    config = without_names(plain(model.config))
    adapters = getattr(model, "peft_config", None)
    computing = [
        "torch",
        "transformers",
        *quantizers(module.modules()),
        *(["peft"] * bool(adapters)),
    ]
    return {
        "weights": weights_digest(module),
        "quantization": config.pop("quantization_config", None),
        "config": config,
        "kernels": {f"{type(at).__module__}.{type(at).__qualname__}" for at in module.modules()},
        "hooks": [token(hook) for hook in _foreign_hooks(module)],
        "adapters": adapters and [without_names(plain(adapters)), _adapters_in_use(module)],
        "dtype": getattr(model, "dtype", None),
        "device": getattr(device, "type", device),
        "attention": attention_of(model),
        "generation": without_names(plain(getattr(model, "generation_config", None))),
        "tokenizer": _tokenizer(tokenizer),
        "chat_template": getattr(tokenizer, "chat_template", None),
        "versions": {name: importlib.metadata.version(name) for name in computing},
    }


def _read(lm: Any) -> dict[str, Any]:
    """Return the parts of a model with those of the ``LM`` that asks it, before the versions."""
    parts = (
        dict(lm.engine_identity())
        if hasattr(lm, "engine_identity")
        else model_parts(lm.model, lm.tokenizer, lm.device)
    )
    versions = parts.pop("versions", {})
    if "tokenizer" not in parts:
        parts["tokenizer"] = _tokenizer(lm.tokenizer)
        parts["chat_template"] = getattr(lm.tokenizer, "chat_template", None)
    return {
        **parts,
        "settings": {name: getattr(lm, name, None) for name in _SETTINGS},
        "decoding": lm.decoding.as_dict() if hasattr(lm, "decoding") else None,
        "versions": versions,
    }


def _of_subclass(lm: Any, created_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a class derived from ``HFLM`` by others was told, or keeps."""
    given = {
        name: value
        for name, value in vars(lm).items()
        if not name.startswith("_") and isinstance(value, (str, int, float))
    }
    return {
        name: value
        for name, value in _arguments({**given, **created_with}).items()
        if name not in _NAMES
    }


def without_names(value: Any) -> Any:
    """Return settings, a JSON value, without paths, names and what wrote them."""
    if isinstance(value, Mapping):
        return {key: without_names(item) for key, item in value.items() if key not in _NAMES}
    return value


def _adapters_in_use(module: Any) -> list[list[Any]]:
    """Return what PEFT's layers do with their adapters, which no weight tells."""
    states = ("active_adapters", "merged_adapters", "disable_adapters", "scaling")
    return [
        [name, *(getattr(layer, state, None) for state in states)]
        for name, layer in module.named_modules()
        if hasattr(layer, "merged_adapters")
    ]


def _foreign_hooks(module: Any) -> Iterator[Any]:
    """Find what alters a layer's results and shows nothing of how."""
    known = ("torch", "transformers", "accelerate", "peft", "optimum", *packages())
    for layer in module.modules():
        for hook in (*layer._forward_pre_hooks.values(), *layer._forward_hooks.values()):
            defined = getattr(hook, "__module__", None) or type(hook).__module__
            if defined.partition(".")[0] not in known:
                yield hook


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = json.loads(backend.to_str())
        for left_behind_by_the_last_call in ("padding", "truncation"):
            content.pop(left_behind_by_the_last_call, None)
    else:
        pieces = getattr(tokenizer, "sp_model", None)
        content = {
            "vocabulary": tokenizer.get_vocab(),
            "merges": {str(pair): n for pair, n in getattr(tokenizer, "bpe_ranks", {}).items()},
            "pieces": pieces and plain(pieces.serialized_model_proto()),
        }
    flags = ("padding_side", "truncation_side", "add_bos_token", "add_eos_token")
    return {
        "class": type(tokenizer).__qualname__,
        "content": digest_of(content),
        "special": {name: str(value) for name, value in tokenizer.special_tokens_map.items()},
        "flags": {name: getattr(tokenizer, name, None) for name in flags},
    }
