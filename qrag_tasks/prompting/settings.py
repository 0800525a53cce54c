"""The run-time choices that travel in lm_eval's ``--metadata``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.prompting.protocols import (
    CHOICES,
    DEFAULT_PROTOCOL,
    PROTOCOLS,
    Answer,
    Oversized,
    Protocol,
    protocol,
)
from qrag_tasks.tasks.former_names import now_called

KNOWN: Mapping[str, str] = {
    "data": "folder of the data: LaMP's files, or `corpus.toml` of your own; or `mini`, the "
    "embedded sample",
    "split": "which questions: `dev`, `train`, or `test`, whose golds are not published",
    "protocol": "whose choices: `qrag`, `lamp` or `yazan2024`; each can then be made otherwise",
    "retriever": "who ranks the profile: a name, or `name:option=value,...`",
    "prompt": "prompt style: how documents and question become one prompt",
    "filter": "what is left out: `none`, or what `yazan2024` left out",
    "index": "text of a document that is searched: `lamp`, or as `yazan2024`, the long field alone",
    "order": "documents in the prompt: `best-first`, `reversed` or `shuffled`; or, as the paper, "
    "`reversed-before-filling` or `shuffled-before-filling`",
    "fill": "whole documents while they fit, `exact` or as `yazan2024` counts; or all, `trimmed`",
    "oversized": "documents longer than the budget alone: `skip` or `trim`",
    "context_tokens": "tokens for prompt and answer together",
    "answer": "`generate` it, or measure the `likelihood` of every possible one",
}
"""Metadata key -> what it is for."""

_NOT_OURS = {
    # Put there by lm_eval itself, or by our task files.
    *("version", "config", "config_source", "_metadata"),
    # What prompts are counted with, where the model arguments do not tell it.
    *("pretrained", "tokenizer", "max_length", "max_model_len", "add_bos_token"),
    *("revision", "subfolder", "trust_remote_code", "gguf_file"),
}
_OF_PROTOCOL = ("retriever", "prompt", "filter", "index", "order", "fill")


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do.

    :ivar data: a data root, ``"mini"``, or ``None`` for the default root.
    :ivar protocol: with every choice that was made otherwise put in.
    :ivar context_tokens: ``None`` for the model's own window.
    """

    data: str | None = None
    split: str = "dev"
    protocol: Protocol = PROTOCOLS[DEFAULT_PROTOCOL]
    oversized: Oversized = "skip"
    context_tokens: int | None = None
    answer: Answer = "generate"

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], model_args: Collection[str] | None = None
    ) -> Settings:
        """Read the choices out of a task's metadata.

        :param metadata: the task file's own metadata, the model arguments and ``--metadata``, as
            lm_eval merges them.
        :param model_args: the names of the model arguments, where they are known: then every
            other key must be ours. Where they are not, a key can be told from a model argument
            only by its likeness to one of ours.
        :raises SettingsError: for an unknown key or an impossible value.
        """
        for key in metadata:
            if key in KNOWN or key in _NOT_OURS or (model_args and key in model_args):
                continue
            hint = did_you_mean(key, KNOWN, likeness=0.8 if model_args is None else 0.6)
            if key == "k":
                raise SettingsError(
                    "metadata key 'k': k is fixed by the task's name; ask for another task, "
                    "such as lamp3u_rag_k3"
                )
            if model_args is not None or hint:
                raise SettingsError(
                    f"unknown metadata key {key!r} (known: {', '.join(KNOWN)}).{hint}"
                )
        named = protocol(_text(metadata, "protocol") or DEFAULT_PROTOCOL)
        chosen = {key: value for key in _OF_PROTOCOL if (value := _text(metadata, key))}
        context_tokens = _positive(metadata, "context_tokens")
        if context_tokens is None and chosen.get("fill") == "trimmed":
            raise SettingsError("fill 'trimmed' needs context_tokens: how long a prompt may be")
        if context_tokens is None and named.fill == "trimmed":
            chosen.setdefault("fill", "exact")
        return cls(
            data=_text(metadata, "data"),
            split=_text(metadata, "split") or "dev",
            protocol=replace(named, **cast("dict[str, Any]", chosen)),
            oversized=cast("Oversized", _text(metadata, "oversized") or "skip"),
            context_tokens=context_tokens,
            answer=cast("Answer", _text(metadata, "answer") or "generate"),
        )


def _text(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"metadata key {key!r}: {value!r} is not a text ({KNOWN[key]})")
    if (now := now_called(key, value)) != value:
        raise SettingsError(f"{key} {value!r} is now called {now!r}")
    if key in CHOICES and value not in CHOICES[key]:
        known = CHOICES[key]
        raise SettingsError(
            f"metadata key {key!r}: unknown value {value!r} (known: {', '.join(known)})."
            + did_you_mean(value, known)
        )
    return value


def _positive(metadata: Mapping[str, Any], key: str) -> int | None:
    value = metadata.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"metadata key {key!r}: {value!r} is not a positive whole number")
    return value
