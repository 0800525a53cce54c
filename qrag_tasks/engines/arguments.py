"""What the model arguments of every engine have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qrag_tasks.errors import SettingsError, did_you_mean

OF_TEXT = (
    *("add_bos_token", "prefix_token_id", "think_end_token"),
    *("enable_thinking", "chat_template_args"),
)
"""Arguments of every engine: how text is read and written, which is no engine's own affair."""


def refuse_unknown(engine: str, arguments: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse the model arguments that an engine does not know: dropped, they would mislead.

    :param engine: its name, as users write it.
    :param arguments: as ``--model_args`` gives them; ``None`` is an argument that was not given.
    :param known: the names that the engine takes, except ``engine`` itself.
    :raises SettingsError: with all of them, a line each.
    """
    unknown = [
        f"{name}={value}: unknown to engine={engine} (known: {', '.join(sorted(known))})."
        f"{did_you_mean(name, known)}"
        for name, value in arguments.items()
        if value is not None and name not in known and name != "engine"
    ]
    if unknown:
        raise SettingsError("\n".join(unknown))


def switched_on(arguments: Mapping[str, Any], name: str) -> bool:
    """Return the value of an argument that is on or off; off where it was not given.

    :raises SettingsError: when it is neither ``True`` nor ``False``.
    """
    value = arguments.get(name)
    if value is not None and not isinstance(value, bool):
        raise SettingsError(f"{name}={value}: give True or False")
    return bool(value)
