"""What servers tell of themselves and of their model, beside OpenAI's interface: a row a server."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.precisions import precisions
from qrag_tasks.engines.server.connection import (
    PASSING,
    TRIES,
    Connection,
    RefusedError,
    UnreachableError,
)
from qrag_tasks.errors import ModelError, SettingsError, did_you_mean

Values = Mapping[str, Any]
Ask = Callable[[str, Mapping[str, Any] | None], Mapping[str, Any]]
"""(path behind the server's root, what to post or ``None``) -> JSON object; empty where it has
none."""


@dataclass(frozen=True)
class ServerFacts:
    """What a server told.

    :ivar software: ``vllm``, ``llama-server``, ...; ``unknown`` where nothing tells.
    :ivar model: name of the model, as it is asked for.
    :ivar window: tokens of prompt and answer together; ``None`` where it does not say.
    :ivar quantization: in its words: ``Q4_K_M``, ``awq``, ``bfloat16``.
    :ivar weight_bytes: of the model.
    :ivar further: whatever else tells one model, or one version, from another.
    """

    software: str
    model: str
    window: int | None = None
    quantization: str | None = None
    weight_bytes: int | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what was told, as JSON has it."""
        told = {name: value for name, value in vars(self).items() if name != "further"}
        return {name: value for name, value in {**told, **self.further}.items() if value}


def find_model(connection: Connection, base_url: str, model: str | None) -> dict[str, Any]:
    """Return what the list of a server's models says of one; no more than ``id`` without a list.

    :param model: its name; ``None`` for the only one that is served.
    :raises SettingsError: when no such model is served, or several are and none is named.
    :raises ModelError: when the server wants a key.
    :raises UnreachableError: when there is no server.
    """
    entry = _entry(_listed(connection, base_url), base_url, model)
    return {**entry, "id": str(entry.get("id") or model)}


def ask_facts(connection: Connection, root: str, entry: Values) -> ServerFacts:
    """Ask a server for what it tells. Some tell all of a model only once it has answered.

    :param root: address of the server itself.
    :param entry: as :func:`find_model` returns it.
    :raises UnreachableError: when there is no server.
    """

    def ask(path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        method, url = "GET" if body is None else "POST", f"{root}{path}"
        try:
            said = connection.ask(method, url, body, TRIES, logging.DEBUG)
        except RefusedError:
            return {}
        except UnreachableError as error:
            # Facts are part of an arm's identity: they must not be other ones on a bad day.
            if error.status in PASSING:
                raise
            return {}
        return said if isinstance(said, dict) else {}

    name = entry["id"]
    for teller in TELLERS:
        if teller.is_it(entry, ask):
            return ServerFacts(teller.software, name, **teller.tell(entry, name, ask))
    return ServerFacts("unknown", name, further=_known(entry, "owned_by"))


def _listed(connection: Connection, base_url: str) -> list[Mapping[str, Any]]:
    """Return what the server lists at ``/models``; nothing where it has no list."""
    url = f"{base_url}/models"
    try:
        said = connection.ask("GET", url, None, TRIES, logging.DEBUG)
    except RefusedError as error:
        if error.status in (401, 403) or not error.status or 300 <= error.status < 400:
            raise
        return []
    data = said.get("data") if isinstance(said, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _entry(
    entries: Sequence[Mapping[str, Any]], base_url: str, model: str | None
) -> Mapping[str, Any]:
    names = [str(entry.get("id")) for entry in entries]
    if model is None:
        if len(entries) == 1:
            return entries[0]
        serves = f"it serves {', '.join(names)}" if names else "it does not list its models"
        raise SettingsError(
            f"base_url={base_url}: {serves}, so engine=server needs model=, the one that is meant"
        )
    for entry, name in zip(entries, names, strict=True):
        # Ollama lists a name with its tag.
        if name in (model, f"{model}:latest"):
            return {**entry, "id": model}
    if names:
        raise SettingsError(
            f"model={model}: {base_url} does not serve it (it serves: {', '.join(names)})."
            f"{did_you_mean(model, names)}"
        )
    return {}


# ---------------------------------------------------------------------- servers
@dataclass(frozen=True)
class Teller:
    """One kind of server.

    :ivar is_it: (entry of the model list, ask) -> whether it is such a server.
    :ivar tell: (entry, model, ask) -> fields of :class:`ServerFacts`.
    """

    software: str
    is_it: Callable[[Values, Ask], bool]
    tell: Callable[[Values, str, Ask], dict[str, Any]]


def _owned_by(owner: str) -> Callable[[Values, Ask], bool]:
    return lambda entry, _ask: entry.get("owned_by") == owner


def _known(values: Values, *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _file_name(path: Any) -> str | None:
    """Return the last part of a path on the server's machine, whatever system that has."""
    return PureWindowsPath(PurePosixPath(str(path)).name).name if path else None


def _vllm(entry: Values, _model: str, ask: Ask) -> dict[str, Any]:
    return {
        "window": entry.get("max_model_len"),
        "further": {
            **_known(ask("/version", None), "version"),
            **({"checkpoint": _file_name(entry["root"])} if entry.get("root") else {}),
        },
    }


def _llama_server(entry: Values, _model: str, ask: Ask) -> dict[str, Any]:
    props = ask("/props", None)
    meta = entry.get("meta") or {}
    file = _file_name(props.get("model_path"))
    slot = props.get("default_generation_settings") or {}
    return {
        "window": slot.get("n_ctx") or props.get("n_ctx"),
        "quantization": meta.get("ftype") or _gguf_type(file),
        "weight_bytes": meta.get("size"),
        "further": {
            **({"file": file} if file else {}),
            **_known(props, "build_info", "total_slots"),
            **_known(meta, "n_params", "n_ctx_train", "n_vocab"),
        },
    }


def _ollama(_entry: Values, model: str, ask: Ask) -> dict[str, Any]:
    shown = ask("/api/show", {"model": model})
    details = shown.get("details") or {}
    running = ask("/api/ps", None).get("models") or []
    here: Values = next(
        (each for each in running if each.get("name") in (model, f"{model}:latest")), {}
    )
    return {
        "window": here.get("context_length"),
        "quantization": details.get("quantization_level"),
        "further": {
            **_known(ask("/api/version", None), "version"),
            **_known(details, "format", "family", "parameter_size"),
            **_known(here, "digest"),
        },
    }


def _lm_studio(_entry: Values, model: str, ask: Ask) -> dict[str, Any]:
    listed = ask("/api/v0/models", None).get("data") or []
    here: Values = next((each for each in listed if each.get("id") == model), {})
    return {
        "window": here.get("loaded_context_length"),
        "quantization": here.get("quantization"),
        "further": _known(here, "arch", "compatibility_type", "publisher"),
    }


def _tgi(_entry: Values, _model: str, ask: Ask) -> dict[str, Any]:
    info = ask("/info", None)
    return {
        "window": info.get("max_total_tokens"),
        "quantization": info.get("quantize") or info.get("model_dtype"),
        "further": _known(info, "version", "model_id", "model_sha", "max_input_tokens"),
    }


TELLERS = (
    Teller("vllm", _owned_by("vllm"), _vllm),
    Teller("llama-server", _owned_by("llamacpp"), _llama_server),
    Teller("ollama", _owned_by("library"), _ollama),
    Teller("lm-studio", _owned_by("organization_owner"), _lm_studio),
    Teller("tgi", lambda _entry, ask: "max_total_tokens" in ask("/info", None), _tgi),
)
"""What each kind of server tells, and how it is known. The last asks, and so comes last."""


# ---------------------------------------------------------------------- precision
_GGUF_TYPE = re.compile(r"(?:^|[-._])(I?Q\d\w*|F16|F32|BF16)(?=[-.]|$)", re.IGNORECASE)
_SIZES = re.compile(r" - (?=[sml])(\w)\w*")
"""What llama.cpp writes out: ``Q4_K - Medium``."""
_DTYPES = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
    "f16": "fp16",
    "bf16": "bf16",
    "f32": "fp32",
}


def _gguf_type(file: str | None) -> str | None:
    """Return what the name of a GGUF file says of its tensors: ``Q4_K_M``; ``None`` for nothing."""
    found = _GGUF_TYPE.findall((file or "").removesuffix(".gguf"))
    return found[-1].upper() if found else None


def check_precision(stated: Precision, facts: ServerFacts) -> None:
    """Check what a user states against what the server tells, where the two can be compared.

    :raises ModelError: when they contradict each other.
    """
    if facts.quantization is None:
        return
    word = _SIZES.sub(r"_\1", facts.quantization.lower()).removeprefix("all ").partition(" ")[0]
    names = (f"gguf-{word}", _DTYPES.get(word), word, f"int4-{word}")
    told = {
        # llama-server may say Q4_K of Q4_K_M.
        name
        for name in precisions()
        if name in names or name.startswith(f"gguf-{word}_")
    }
    if told and stated.name not in told:
        raise ModelError(
            f"precision={stated.name}: the server says that model {facts.model} is in "
            f"{facts.quantization}. Give precision={' or '.join(sorted(told))}, or the model that "
            f"is meant"
        )
