"""The engine that is built in, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.arms.engine_choice import TRANSFORMERS
from qrag_tasks.engines.base import Engine, EngineFactory
from qrag_tasks.engines.transformers.abilities import ABILITIES
from qrag_tasks.hookspecs import RegisterEngine, hookimpl
from qrag_tasks.metering.meter import Meter


def _check(arguments: Mapping[str, Any]) -> None:
    from qrag_tasks.arms.loading import asked_arm

    asked_arm(arguments)


def _load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    from qrag_tasks.harness.hflm_loader import load

    return load(arguments, meter)


@hookimpl
def qrag_register_engines(register: RegisterEngine) -> None:
    """Supply the engine that runs models through transformers."""
    register(TRANSFORMERS, EngineFactory(ABILITIES, _load, _check))
