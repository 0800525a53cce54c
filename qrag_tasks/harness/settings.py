"""The run-time choices that travel in lm_eval's ``--metadata``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.prompt_styles import DEFAULT_PROMPT_STYLE

KNOWN: Mapping[str, str] = {
    "data": "folder with LaMP's files, or `mini`, the embedded sample",
    "retriever": "who ranks the profile: a name, or `name:option=value,...`",
    "prompt": "prompt style: how documents and question become one prompt",
    "context_tokens": "tokens for prompt and answer together; the model's window by default",
}
"""Metadata key -> what it is for."""

DEFAULT_RETRIEVER = "bm25"

# Put there by lm_eval itself, or by our task files.
_NOT_OURS = {"version", "config", "config_source", "_metadata"}


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do.

    :ivar data: a data root, ``"mini"``, or ``None`` for the default root.
    :ivar context_tokens: ``None`` for the model's own window.
    """

    data: str | None = None
    retriever: str = DEFAULT_RETRIEVER
    prompt: str = DEFAULT_PROMPT_STYLE
    context_tokens: int | None = None

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
        return cls(
            data=_text(metadata, "data"),
            retriever=_text(metadata, "retriever") or DEFAULT_RETRIEVER,
            prompt=_text(metadata, "prompt") or DEFAULT_PROMPT_STYLE,
            context_tokens=_positive(metadata, "context_tokens"),
        )


def _text(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"metadata key {key!r}: {value!r} is not a text ({KNOWN[key]})")
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
