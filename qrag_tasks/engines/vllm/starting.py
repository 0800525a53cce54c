"""Whether one model answers or several replicas of it, and the engine of either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.arms import embedded
from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.vllm import loading, replicas
from qrag_tasks.engines.vllm.arguments import asked
from qrag_tasks.metering.meter import Meter


def start(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    """Start vLLM, verify that it runs the arm that was asked for, and return its engine.

    :param arguments: of ``--model qrag``, where they were given.
    :raises ModelError: when the arm cannot be had, or is not what it claims.
    :raises SettingsError: for an impossible argument.
    """
    if arguments.get("pretrained") is None:
        arguments = {**arguments, "pretrained": embedded.instead_of_none()}
    wanted = asked(arguments)
    if wanted.replicas > 1:
        return replicas.load(wanted, meter)
    return loading.load(wanted, meter)
