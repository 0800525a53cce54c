"""The process of one replica: an engine that answers what another process asks of it.

Started by :mod:`~qrag_tasks.engines.vllm.replicas`; it ends when that process does, since its
standard input then ends.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from qrag_tasks.arms.kv_caches import CacheFacts
from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.child_process import end_with_the_parent
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.errors import ModelError, QragError

logger = logging.getLogger("lm_eval.qrag_tasks")

STOP = "stop"
"""Is sent while a call is answered: no further answer is wanted."""


@dataclass(frozen=True)
class Begin:
    """What a replica is told first.

    :ivar number: of the replica, from 0 on.
    :ivar arguments: of its model.
    :ivar processors: that it may compute on; none for any.
    """

    number: int
    arguments: Mapping[str, Any]
    processors: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Call:
    """What is asked of a replica.

    :ivar name: of a method of the engine, or of what this module adds to them.
    :ivar requests: of ``generate``, ``score`` and ``read``.
    :ivar limit: how much runs at once.
    :ivar decoding: what ends an answer.
    :ivar begin: of ``used``: whether peaks of memory begin again.
    """

    name: str
    requests: Sequence[Any] = ()
    limit: BatchLimit | None = None
    decoding: Decoding | None = None
    begin: bool = False


@dataclass(frozen=True)
class Some:
    """Answers to some of a call's requests, by their places, and what they cost."""

    answers: Mapping[int, Any]
    cost: Mapping[str, float]


@dataclass(frozen=True)
class Done:
    """The end of a call: what it returned, or the error that it raised."""

    value: Any = None
    error: QragError | None = None


@dataclass(frozen=True)
class About:
    """What a replica is, once it is loaded: as :class:`~qrag_tasks.engines.base.Engine` has it."""

    arm: Mapping[str, Any]
    identity: Mapping[str, Any]
    computing: str
    window: int
    decoding: Decoding
    limit: BatchLimit


class _Stopped(Exception):  # noqa: N818 - no error
    pass


def main(file: int) -> None:
    """Load an engine, and answer calls until there are no more."""
    end_with_the_parent()
    connection = Connection(file)
    begun: Begin = connection.recv()
    if begun.processors:
        os.sched_setaffinity(0, begun.processors)
    if begun.number:
        # What a checkpoint is warned of, the first replica says for all.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
    arguments = begun.arguments
    engine: Engine | None = None
    methods: dict[str, Callable[[Call], Any]] = {}

    def load(_call: Call) -> About:
        nonlocal engine
        from qrag_tasks.arms.components import plain
        from qrag_tasks.arms.devices import checked_device
        from qrag_tasks.engines.vllm.arguments import asked
        from qrag_tasks.engines.vllm.loading import load as load_engine
        from qrag_tasks.metering.meter import Meter
        from qrag_tasks.metering.usage import usage_of

        meter = Meter(checked_device(arguments.get("device")))
        loaded = engine = load_engine(asked(arguments), meter)

        def used(call: Call) -> Any:
            alone = [[usage_of(loaded.device, call.begin)]]
            return meter.usages(call.begin)[0] if meter.usages else alone[0]

        def smoke(_call: Call) -> CacheFacts | None:
            loaded.smoke()
            return loaded.kv_cache

        methods["used"] = used
        methods["smoke"] = smoke
        methods["model_info"] = lambda _: loaded.model_info()
        methods["forget"] = lambda _: loaded.forget()
        methods["generate"] = lambda call: _answer(connection, loaded, loaded.generate, call)
        methods["read"] = lambda call: _answer(connection, loaded, loaded.read, call)
        methods["score"] = lambda call: _answer(connection, loaded, loaded.score, call)
        return About(
            arm=loaded.arm,
            identity=plain(loaded.identity),
            computing=loaded.computing,
            window=loaded.window,
            decoding=loaded.decoding,
            limit=loaded.limit,
        )

    methods["load"] = load
    try:
        while True:
            call = connection.recv()
            if call != STOP:  # one that came too late
                connection.send(_done(methods, call))
    except EOFError:
        pass
    finally:
        if engine is not None:
            engine.close()


def _done(methods: Mapping[str, Callable[[Call], Any]], call: Call) -> Done:
    try:
        return Done(methods[call.name](call))
    except _Stopped:
        return Done()
    except QragError as error:
        return Done(error=error)
    except (EOFError, BrokenPipeError):
        raise EOFError from None
    except Exception as error:
        logger.exception("%s failed", call.name)
        return Done(error=ModelError(f"{type(error).__name__}: {error}"))


def _answer(
    connection: Connection, engine: Engine, method: Callable[..., None], call: Call
) -> None:
    def answered(answers: Mapping[int, Any], cost: Mapping[str, float]) -> None:
        connection.send(Some(answers, cost))
        if connection.poll():
            connection.recv()
            raise _Stopped

    engine.limit = call.limit or engine.limit
    engine.decoding = call.decoding or engine.decoding
    method(call.requests, answered)


if __name__ == "__main__":
    # The classes that are sent are those of the module, not of this script.
    from qrag_tasks.engines.vllm import replica

    replica.main(int(sys.argv[1]))
