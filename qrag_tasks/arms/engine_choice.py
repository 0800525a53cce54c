"""Which engine model arguments choose, and whether it can have them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qrag_tasks.arms.argument_names import Mistake
from qrag_tasks.arms.arguments import argument_mistakes, check_arguments
from qrag_tasks.arms.kv_caches import asked_cache
from qrag_tasks.errors import QragError, SettingsError
from qrag_tasks.registry import ENGINES, Supplied

if TYPE_CHECKING:
    from qrag_tasks.engines.base import Abilities, EngineFactory

TRANSFORMERS = "transformers"
"""The engine that answers where no other is named."""


def engine_name(model: str, arguments: Mapping[str, Any]) -> str:
    """Return which engine answers; empty where it is none of ours.

    :param model: lm_eval's name of the model class.
    """
    return str(arguments.get("engine") or TRANSFORMERS) if model == "qrag" else ""


def chosen_engine(arguments: Mapping[str, Any]) -> Supplied[EngineFactory]:
    """Return the engine that ``engine=`` names.

    :param arguments: of ``--model qrag``.
    :raises SettingsError: when there is none of that name, or it cannot load the precision, or does
        not keep keys and values as ``kv_cache=`` says, or this is one of several processes that it
        does not share a run with.
    """
    supplied = ENGINES.get(engine_name("qrag", arguments))
    _check_ranks(supplied)
    able = supplied.value.abilities.precisions
    precision = arguments.get("precision")
    if precision is not None and able is not None and precision not in able:
        raise SettingsError(
            f"precision={precision}: engine={supplied.name} cannot load it (it loads: "
            f"{', '.join(sorted(able))})"
        )
    asked_cache(arguments, supplied.value.abilities.kv_caches, supplied.name)
    return supplied


def _check_ranks(engine: Supplied[EngineFactory]) -> None:
    """Check that an engine shares its requests with the other processes of a launcher.

    :raises SettingsError: where each of them would answer all requests.
    """
    abilities = engine.value.abilities
    # As torchrun sets them, and accelerate's launcher through it.
    processes = os.environ.get("WORLD_SIZE", "1") if "RANK" in os.environ else "1"
    if abilities.shares_ranks or not processes.isdecimal() or int(processes) < 2:
        return
    instead = f"; {abilities.side_by_side}" if abilities.side_by_side else ""
    raise SettingsError(
        f"engine={engine.name}: accelerate launch (or torchrun) has started {processes} processes, "
        f"and each of them would answer every request. Start lm_eval without it, once{instead}"
    )


def abilities_of(arguments: Mapping[str, Any]) -> Abilities | None:
    """Return what the engine that ``engine=`` names can do; ``None`` where there is none.

    :param arguments: of ``--model qrag``.
    """
    supplied = ENGINES.all().get(engine_name("qrag", arguments))
    return None if supplied is None else supplied.value.abilities


def loads_checkpoint(arguments: Mapping[str, Any]) -> bool:
    """Tell whether the model is loaded from a checkpoint, or is somewhere else, as on a server.

    :param arguments: of ``--model qrag``. An engine that is not known is taken to load one.
    """
    abilities = abilities_of(arguments)
    return abilities is None or abilities.loads_checkpoint


def model_mistakes(
    model: str, arguments: Mapping[str, Any], *, offline: bool = False
) -> list[Mistake]:
    """Find all that is wrong with the arguments of a model, whichever engine runs it.

    As :func:`~qrag_tasks.arms.arguments.argument_mistakes`; an engine of a plugin's has its own
    say, and the first that is wrong.
    """
    if engine_name(model, arguments) in ("", TRANSFORMERS):
        return [
            *argument_mistakes(model, arguments, offline=offline),
            *_cache_mistakes(model, arguments),
        ]
    try:
        check_engine(arguments)
    except QragError as error:
        return [Mistake("engine", str(error))]
    return []


def check_model(model: str, arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a model, whichever engine runs it.

    :raises SettingsError: for an argument that cannot be.
    :raises ModelError: when it is plain that the model cannot be had.
    """
    if engine_name(model, arguments) in ("", TRANSFORMERS):
        check_arguments(model, arguments)
        for mistake in _cache_mistakes(model, arguments):
            raise SettingsError(mistake.message)
    else:
        check_engine(arguments)


def _cache_mistakes(model: str, arguments: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find what is wrong with the cache of keys and values that is asked of transformers."""
    if model == "qrag":
        try:
            chosen_engine(arguments)
        except SettingsError as error:
            yield Mistake("kv_cache", str(error))


def check_engine(arguments: Mapping[str, Any]) -> None:
    """Check what ``--model qrag`` is given, by the engine that is to answer.

    :raises SettingsError: for an argument that cannot be.
    :raises ModelError: when the arm cannot be had.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    chosen_engine(given).value.check(given)
