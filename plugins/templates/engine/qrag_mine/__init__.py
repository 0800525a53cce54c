"""The engine ``mine``: a model of transformers, a prompt and a token at a time.

Listing the plugins imports this module, so torch is imported where a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qrag_tasks import hookimpl
from qrag_tasks.engines.base import Abilities, EngineFactory
from qrag_tasks.errors import SettingsError

if TYPE_CHECKING:
    from qrag_tasks.engines.base import Engine
    from qrag_tasks.metering.meter import Meter

ABILITIES = Abilities(evidence="layers", sampling=False, precisions=frozenset({"fp32", "bf16"}))
KNOWN = ("engine", "pretrained", "precision", "dtype", "device", "batch_size")


def check(arguments: Mapping[str, Any]) -> None:
    """Look at the model arguments, and load nothing.

    :raises SettingsError: for one that is unknown.
    """
    for name in arguments:
        if name not in KNOWN:
            raise SettingsError(
                f"{name}={arguments[name]}: unknown to engine=mine (known: {', '.join(KNOWN)})"
            )


def load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    """Load the model; without ``pretrained``, the small one that is part of qrag-tasks."""
    from qrag_mine.engine import MineEngine

    check(arguments)
    return MineEngine(arguments, meter)


@hookimpl
def qrag_register_engines(register: Callable[[str, EngineFactory], None]) -> None:
    """Register ``mine``."""
    register("mine", EngineFactory(ABILITIES, load, check))
