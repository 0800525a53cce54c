"""The model arguments of ``engine=server``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.engines.arguments import OF_TEXT, refuse_unknown, switched_on
from qrag_tasks.errors import SettingsError

KEY = "OPENAI_API_KEY"
"""Environment variable with the key that the server wants, if it wants one."""

CONCURRENCY = 16
"""Requests at once. A server that batches is busy with as many, and one that has fewer places keeps
the others waiting for some minutes at most, which is within :data:`TIMEOUT`."""
TIMEOUT = 600.0
"""Seconds: a CPU may take minutes for a long prompt, and has others to answer before it."""
RETRIES = 6
"""With waits that double from 1 s: a server may be gone for a minute."""

_EXAMPLE = "http://localhost:8000/v1"
_REFUSED = {
    "pretrained": "the server has loaded its model; give its name there as model=",
    "api_key": f"arguments are logged with the results; set the environment variable {KEY}",
    "kv_cache": "the server keeps keys and values as it was started; leave kv_cache out",
    "device": "the model runs where the server put it; leave device out",
    "dtype": "the server computes in its own dtype; say what it runs with precision=",
    "max_batch_size": "the server makes its own batches; give concurrency=, requests at once",
    "max_batch_tokens": "the server makes its own batches; give concurrency=, requests at once",
}
_NEEDED = {
    "base_url": f"the server's address: {_EXAMPLE}",
    "tokenizer": "the folder, or the name on the hub, of the served model's tokenizer: prompts are "
    "encoded and counted with it",
    "max_length": "tokens of the server's window, prompt and answer together (--max-model-len of "
    "vllm serve, --ctx-size for each slot of llama-server): prompts are fitted to it",
    "precision": "what the server runs, by your word: bf16, int4-awq, ...; it names the arm",
}
_OURS = (
    *("base_url", "model", "precision", "tokenizer", "max_length", "trust_remote_code"),
    *("concurrency", "requests_per_second", "timeout", "retries"),
    *("batch_size", "deterministic"),
)


@dataclass(frozen=True)
class ServerArguments:
    """What was asked for.

    :ivar base_url: without a slash at its end.
    :ivar model: as the server calls it; ``None`` for the only one that it serves.
    :ivar precision: that the server is said to run.
    :ivar window: tokens that prompt and answer may have together.
    :ivar concurrency: the most requests at once.
    :ivar interval: the least seconds from one request to the next.
    :ivar timeout: seconds within which a request must be answered.
    :ivar retries: of a request, after its first try.
    """

    base_url: str
    model: str | None
    precision: Precision
    window: int
    concurrency: int = CONCURRENCY
    interval: float = 0.0
    timeout: float = TIMEOUT
    retries: int = RETRIES

    @property
    def root(self) -> str:
        """Address of the server itself, where its own interfaces begin."""
        return self.base_url.removesuffix("/v1")


def read_arguments(arguments: Mapping[str, Any]) -> ServerArguments:
    """Read the arguments of ``--model qrag``, without asking the server.

    :raises SettingsError: for one that is unknown, missing, or cannot be.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    for name in given.keys() & _REFUSED.keys():
        if given[name] != "auto":
            value = "" if name == "api_key" else f"={given[name]}"
            raise SettingsError(f"{name}{value}: {_REFUSED[name]}")
    refuse_unknown("server", given, (*_OURS, *OF_TEXT, "dtype", "kv_cache"))
    if missing := [name for name in _NEEDED if name not in given]:
        raise SettingsError(
            "\n".join(f"engine=server needs {name}= ({_NEEDED[name]})" for name in missing)
        )
    if switched_on(given, "deterministic"):
        raise SettingsError(
            "deterministic=True: a server computes together whatever it is asked at the time, so "
            "engine=server cannot keep it. Leave it out, and have `qrag noise` measure what that "
            "changes; or run the model with engine=vllm,deterministic=True"
        )
    if (size := given.get("batch_size", "auto")) != "auto":
        raise SettingsError(
            f"batch_size={size}: the server makes its own batches; give concurrency={size}, "
            f"requests at once"
        )
    return ServerArguments(
        _base_url(str(given["base_url"])),
        None if "model" not in given else str(given["model"]),
        precision_named(given["precision"]),
        int(_number(given, "max_length", int, 0)),
        _number(given, "concurrency", int, CONCURRENCY),
        1 / _number(given, "requests_per_second", float, math.inf),
        _number(given, "timeout", float, TIMEOUT),
        _number(given, "retries", int, RETRIES, least=0),
    )


def api_key() -> str | None:
    """Return the key of the environment."""
    return os.environ.get(KEY) or None


def _number(
    given: Mapping[str, Any],
    name: str,
    kind: Callable[[Any], Any],
    default: float,
    *,
    least: float | None = None,
) -> Any:
    if name not in given:
        return default
    try:
        value = kind(str(given[name]))
        if value >= (least or 0) if least is not None else value > 0 and math.isfinite(value):
            return value
    except ValueError:
        pass
    number = "a whole number" if kind is int else "a number"
    above = "above 0" if least is None else f"of {least} or more"
    raise SettingsError(f"{name}={given[name]}: give {number} {above}")


def _base_url(given: str) -> str:
    url = given.rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise SettingsError(f"base_url={url}: give the address of a server, as {_EXAMPLE}")
    if parts.username or parts.password or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise SettingsError(
            f"base_url={shown}: it was given with a name, a password or options, and would be "
            f"logged with them. Give the address alone, and a key in {KEY}"
        )
    for ending in ("/completions", "/chat"):
        if url.endswith(ending):
            shorter = url.removesuffix("/completions").removesuffix("/chat")
            raise SettingsError(
                f"base_url={url}: give it without what is asked of the server: base_url={shorter}"
            )
    if not parts.path:
        raise SettingsError(
            f"base_url={url}: the address of its OpenAI interface is needed: base_url={url}/v1"
        )
    return url
