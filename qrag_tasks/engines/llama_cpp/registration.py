"""How the engine is chosen; it imports neither llama.cpp nor torch until it is asked to load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.engines.base import Engine, EngineFactory
from qrag_tasks.engines.llama_cpp.abilities import ABILITIES, NAME
from qrag_tasks.hookspecs import RegisterEngine, hookimpl
from qrag_tasks.metering.meter import Meter


def _check(arguments: Mapping[str, Any]) -> None:
    from qrag_tasks.engines.llama_cpp.arguments import asked_file

    asked_file(arguments)


def _load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    from qrag_tasks.engines.llama_cpp.engine import load

    return load(arguments, meter)


@hookimpl
def qrag_register_engines(register: RegisterEngine) -> None:
    """Supply the engine that runs GGUF files in llama.cpp."""
    register(NAME, EngineFactory(ABILITIES, _load, _check))
