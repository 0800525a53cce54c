"""Registers the engine; imports nothing that asks a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.engines.base import Engine, EngineFactory
from qrag_tasks.engines.server.abilities import ABILITIES, NAME
from qrag_tasks.engines.server.arguments import read_arguments
from qrag_tasks.hookspecs import RegisterEngine, hookimpl
from qrag_tasks.metering.meter import Meter


def _check(arguments: Mapping[str, Any]) -> None:
    read_arguments(arguments)


def _load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    from qrag_tasks.engines.server.loading import load

    return load(read_arguments(arguments), arguments, meter)


@hookimpl
def qrag_register_engines(register: RegisterEngine) -> None:
    """Supply the engine that asks a server."""
    register(NAME, EngineFactory(ABILITIES, _load, _check))
