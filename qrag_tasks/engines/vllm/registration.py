"""Announces the engine; imports neither vLLM nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.engines.base import Abilities, Engine, EngineFactory
from qrag_tasks.hookspecs import RegisterEngine, hookimpl
from qrag_tasks.metering.meter import Meter

NAME = "vllm"
ABILITIES = Abilities(
    evidence="layers",
    precisions=frozenset(
        {"fp32", "fp16", "bf16", "fp8", "int4-nf4", "int4-gptq", "int4-awq"},
    ),
)


def _check(arguments: Mapping[str, Any]) -> None:
    from qrag_tasks.engines.vllm.arguments import asked

    asked(arguments)


def _load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    from qrag_tasks.engines.vllm.loading import load

    return load(arguments, meter)


@hookimpl
def qrag_register_engines(register: RegisterEngine) -> None:
    """Supply the engine that runs models through vLLM."""
    register(NAME, EngineFactory(ABILITIES, _load, _check))
