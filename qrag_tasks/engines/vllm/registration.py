"""Announces the engine; imports neither vLLM nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.engines.base import Engine, EngineFactory
from qrag_tasks.engines.vllm.abilities import ABILITIES, NAME
from qrag_tasks.hookspecs import RegisterEngine, hookimpl
from qrag_tasks.metering.meter import Meter


def _check(arguments: Mapping[str, Any]) -> None:
    from qrag_tasks.engines.vllm.arguments import asked

    asked(arguments)


def _load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    from qrag_tasks.engines.vllm.starting import start

    return start(arguments, meter)


@hookimpl
def qrag_register_engines(register: RegisterEngine) -> None:
    """Supply the engine that runs models through vLLM."""
    register(NAME, EngineFactory(ABILITIES, _load, _check))
