"""Several models of vLLM side by side, each in a process of its own, on GPUs of its own.

``data_parallel_size=N`` of the model arguments. vLLM's own engine has no data parallelism within
one process, so each replica is an engine of ours (:mod:`~qrag_tasks.engines.vllm.replica`), and
this process shares out the requests and gathers the answers as they come.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from qrag_tasks.arms.components import canonical, plain
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import Answered, Engine, GenerationRequest, LikelihoodRequest
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.ordering import in_parts
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.engines.tokenizers import load_tokenizer
from qrag_tasks.engines.vllm.abilities import ABILITIES
from qrag_tasks.engines.vllm.arguments import Asked
from qrag_tasks.engines.vllm.environment import INVARIANT
from qrag_tasks.engines.vllm.replica import STOP, About, Begin, Call, Done, Some
from qrag_tasks.errors import ModelError, QragError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.metering.usage import Usage

logger = logging.getLogger("lm_eval.qrag_tasks")

_PATIENCE_SECONDS = 30


class Replica:
    """The process of one replica, and what it is asked.

    :param number: from 0 on.
    """

    def __init__(self, number: int, asked: Asked) -> None:
        self.number, self._of = number, asked.replicas
        arguments = {n: v for n, v in asked.arguments.items() if n != "data_parallel_size"}
        # It sets itself what holds for one process; this one may have run another arm.
        environment = {n: v for n, v in os.environ.items() if n != INVARIANT}
        processors = frozenset[int]()
        if checked_device(arguments.get("device")).type == "cuda":
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(_gpus(number, asked.workers))
        elif hasattr(os, "sched_getaffinity"):
            processors = frozenset(sorted(os.sched_getaffinity(0))[number :: asked.replicas])
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "qrag_tasks.engines.vllm.replica", str(theirs.fileno())],
                # It ends when this process does, however that ends; what it prints is no result.
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=[theirs.fileno()],
                env=environment,
                # Ctrl-C is this process's to see.
                start_new_session=True,
            )
        self.send(Begin(number, arguments, processors))

    def send(self, what: Any) -> None:
        """Send something; where nobody reads any more, :meth:`receive` says why."""
        with suppress(ConnectionError):
            self.connection.send(what)

    def receive(self) -> Any:
        """Return the next message.

        :raises ModelError: when the process has ended.
        """
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_PATIENCE_SECONDS)
            code = self.process.returncode
            how = f"signal {-code}" if code and code < 0 else f"exit code {code}"
            raise ModelError(
                f"replica {self.number + 1} of {self._of} of vLLM (process {self.process.pid}) "
                f"ended with {how}{' (killed: was memory short?)' if code == -9 else ''}. What was "
                f"answered before is kept; run again to go on."
            ) from None

    def ask(self, call: Call) -> Any:
        """Return what a call returns that has no answers."""
        self.send(call)
        return self.result(self.receive())

    @staticmethod
    def result(done: Done) -> Any:
        """Return what a call returned.

        :raises QragError: that it raised.
        """
        if done.error is not None:
            raise done.error
        return done.value

    def close(self) -> None:
        """End the process; kill it where it does not end."""
        self.connection.close()
        try:
            self.process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def _gpus(number: int, workers: int) -> Sequence[str]:
    """Return the GPUs of a replica, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES") or ""
    every = named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]
    return every[number * workers : (number + 1) * workers]


def load(asked: Asked, meter: Meter) -> ReplicatedEngine:
    """Start all replicas at once, and return the engine that they are together.

    :raises ModelError: when one cannot be had, or is not the arm that was asked for.
    """
    with meter.loading():
        replicas: list[Replica] = []
        try:
            replicas += (Replica(number, asked) for number in range(asked.replicas))
            for each in replicas:
                each.send(Call("load"))
            about = [each.result(each.receive()) for each in replicas]
            return ReplicatedEngine(replicas, about, asked, meter)
        except BaseException:
            _close(replicas)
            raise


def _close(replicas: Sequence[Replica]) -> None:
    for each in replicas:  # all at once
        each.connection.close()
    for each in replicas:
        each.close()


class ReplicatedEngine(Engine):
    """Models of vLLM that answer side by side, each the same arm.

    :param about: what each replica is.
    :raises ModelError: when they are not alike.
    """

    abilities = ABILITIES

    def __init__(
        self, replicas: Sequence[Replica], about: Sequence[About], asked: Asked, meter: Meter
    ) -> None:
        first = about[0]
        for other in about[1:]:
            parts = {**other.identity, "loaded": other.arm}
            for name, part in {**first.identity, "loaded": first.arm}.items():
                if canonical(plain(part)) != canonical(plain(parts.get(name))):
                    raise ModelError(
                        f"the replicas of vLLM are not alike: {name} is {part} in one and "
                        f"{parts.get(name)} in another; give each GPU a run of its own"
                    )
        given = asked.arguments
        self._replicas = replicas
        self._identity = first.identity
        self._meter = meter
        self._close = weakref.finalize(self, _close, replicas)
        self.tokenizer, self.config, _ = load_tokenizer(given)
        self.window = first.window
        self.decoding = first.decoding
        self.precision = asked.precision
        self.computing = first.computing
        self.device = meter.device = checked_device(given.get("device"))
        self.batch_invariant = asked.deterministic
        self.arm = first.arm
        self.limit = BatchLimit(rows=first.limit.rows)
        meter.usages = _Used(replicas)

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of each replica: how requests are shared out is as how they are batched."""
        return self._identity

    def smoke(self) -> None:
        """Have each replica make an answer and a likelihood, and look at its cache."""
        for each in self._replicas:
            each.send(Call("smoke"))
        # Each has checked its own; they are alike, as what they were started with is.
        self.kv_cache, *_ = [each.result(each.receive()) for each in self._replicas]

    def model_info(self) -> dict[str, Any]:
        """Return what the first replica tells, and the workers of all."""
        told = [each.ask(Call("model_info"))["vllm"] for each in self._replicas]
        return {"vllm": {**told[0], "replicas": [each["workers"] for each in told]}}

    def forget(self) -> None:
        """Have each empty its cache of prefixes."""
        for each in self._replicas:
            each.ask(Call("forget"))

    def close(self) -> None:
        """Have the processes end."""
        self._close()

    # ------------------------------------------------------------------ answers
    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Sequence[int]]
    ) -> None:
        """Answer on all replicas; prompts that begin alike on one, as far as that is even."""
        prompts = [request.prompt for request in requests]
        longest = [request.max_new_tokens for request in requests]
        self._share_out("generate", requests, in_parts(prompts, longest, len(self)), answered)

    def score(self, requests: Sequence[LikelihoodRequest], answered: Answered[Any]) -> None:
        """Measure on all replicas, shared out as by :meth:`generate`."""
        prompts = [request.tokens for request in requests]
        tokens = [sum(map(len, request.continuations)) for request in requests]
        self._share_out("score", requests, in_parts(prompts, tokens, len(self)), answered)

    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        """Read distributions on all replicas, shared out as by :meth:`generate`."""
        prompts = [request.prompt for request in requests]
        tokens = [len(request.answer) for request in requests]
        self._share_out("read", requests, in_parts(prompts, tokens, len(self)), answered)

    def __len__(self) -> int:
        return len(self._replicas)

    def _share_out(
        self,
        name: str,
        requests: Sequence[Any],
        parts: Sequence[Sequence[int]],
        answered: Answered[Any],
    ) -> None:
        asked = {
            each.connection: (each, part)
            for each, part in zip(self._replicas, parts, strict=True)
            if part
        }
        rows = self.limit.rows or 1
        metered = self._meter.side_by_side(sum(min(len(part), rows) for part in parts) or 1)
        for each, part in asked.values():
            each.send(Call(name, [requests[at] for at in part], self.limit, self.decoding))
        with closing(self._answers(asked)) as some:
            for part, batch in some:
                cost = metered.answered(
                    int(batch.cost["prompt_tokens"]),
                    int(batch.cost["generated_tokens"]),
                    int(batch.cost.get("cached_prompt_tokens", 0)),
                    answers=len(batch.answers),
                )
                answered({part[at]: answer for at, answer in batch.answers.items()}, cost)

    @staticmethod
    def _answers(
        asked: dict[Any, tuple[Replica, Sequence[int]]],
    ) -> Generator[tuple[Sequence[int], Some], None, None]:
        """Yield answers as they come, with the places of their replica's requests.

        Once a replica has failed, or nobody wants more, the others stop; what they have answered
        until then is yielded, where somebody still takes it.
        """
        failure: QragError | None = None
        try:
            while asked:
                for connection in wait(list(asked)):
                    replica, part = asked[connection]
                    try:
                        message = replica.receive()
                        if isinstance(message, Some):
                            yield part, message
                            continue
                        replica.result(message)
                    except QragError as error:
                        failure = failure or error
                        _stop(asked)
                    del asked[connection]
        finally:
            _stop(asked)
            for replica, _ in asked.values():
                with suppress(QragError):
                    while isinstance(replica.receive(), Some):
                        pass
        if failure is not None:
            raise failure


def _stop(asked: Mapping[Any, tuple[Replica, Sequence[int]]]) -> None:
    for replica, _ in asked.values():
        replica.send(STOP)


class _Used:
    """Asks the replicas what they have used; :data:`qrag_tasks.metering.usage.Usages`."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._last: list[Sequence[Usage]] = [()] * len(replicas)

    def __call__(self, begin: bool) -> Sequence[Sequence[Usage]]:
        """Return what each replica has used."""
        for number, each in enumerate(self._replicas):
            # One that has ended tells nothing any more.
            with suppress(QragError, OSError):
                self._last[number] = each.ask(Call("used", begin=begin))
        return self._last
