"""What every engine's answers go through: taken from the journal, or asked for, kept, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from qrag_tasks.engines.base import (
    Answered,
    Engine,
    Generated,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.journal import Journal
from qrag_tasks.engines.not_a_number import not_a_number
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Request = TypeVar("_Request", bound=_Named)

Tell = Callable[[int, Any], None]
"""Is given each answer as it comes: the place of its request, and the answer."""


class Session:
    """An engine that answers, and what it has answered.

    :param meter: counts what the engine's batches cost.
    :param name: of the engine, as users write it.
    """

    def __init__(self, engine: Engine, meter: Meter, name: str) -> None:
        self._engine = engine
        self._name = name
        self._meter = meter
        self._journal: Journal | None = None
        self._first_limit = (engine.limit.rows, engine.limit.tokens)

    def keep_answers(self, journal: Journal | None) -> None:
        """Take answers from a journal from now on, and put there what is answered.

        Batches and cost begin again, with what the journal holds of them, so that neither depends
        on what this process answered before.

        :param journal: opened for this arm; ``None`` to keep answers no more.
        """
        self._journal = journal
        limit = journal.limit if journal is not None and journal.limit else self._first_limit
        self._engine.limit = BatchLimit(*limit)
        self._meter.restart(journal.costs if journal is not None else ())

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        keys: Sequence[str],
        read: Callable[[int, Generated], str],
        tell: Tell,
    ) -> list[str]:
        """Return the answers, in the order of the requests.

        :param keys: of the requests in the journal.
        :param read: (place of a request, what was generated) -> its answer.
        :raises SettingsError: as :meth:`Engine.generate`; and for ``do_sample`` where the engine
            draws no tokens.
        :raises ModelError: as :meth:`Engine.generate`; and where the engine breaks its contract.
        """
        if not self._engine.abilities.sampling:
            for request in requests:
                if request.settings.get("do_sample"):
                    raise SettingsError(
                        f"generation argument do_sample=True: engine={self._name} takes the "
                        f"likeliest token only; leave it out, or take another engine"
                    )
        return self._answers(requests, keys, self._engine.generate, read, tell)

    def score(
        self, requests: Sequence[LikelihoodRequest], keys: Sequence[str], tell: Tell
    ) -> list[list[Likelihood]]:
        """Return the likelihoods of each request's continuations, in their order.

        :param keys: of the requests in the journal.
        :raises ModelError: as :meth:`Engine.score`; where a likelihood is not a number, and where
            the engine breaks its contract, or measures no likelihoods.
        """
        if not self._engine.abilities.likelihoods:
            raise ModelError(
                f"engine={self._name} measures no likelihoods: take another engine, or tasks whose "
                f"answers are generated"
            )

        def read(place: int, likelihoods: Sequence[Likelihood]) -> list[Likelihood]:
            request = requests[place]
            if len(likelihoods) != len(request.continuations):
                raise self._broken(
                    f"measured {len(likelihoods)} of {len(request.continuations)} continuations of "
                    f"{request.name}"
                )
            if any(math.isnan(logprob) for logprob, _ in likelihoods):
                raise not_a_number(request.name, self._engine)
            return list(likelihoods)

        return self._answers(requests, keys, self._engine.score, read, tell)

    def read(
        self, requests: Sequence[ReadingRequest], keys: Sequence[str], tell: Tell
    ) -> list[Reading]:
        """Return what the model makes of each request's answer, in their order.

        :param keys: of the requests in the journal.
        :raises ModelError: as :meth:`Engine.read`; where a logit is not a number, and where the
            engine breaks its contract, or tells no distributions.
        """
        if not self._engine.abilities.readings:
            raise ModelError(
                f"engine={self._name} tells no distributions: take another engine to read answers "
                f"token by token"
            )

        def read(place: int, reading: Reading) -> Mapping[str, Any]:
            request = requests[place]
            if len(reading) != len(request.answer):
                raise self._broken(
                    f"read {len(reading)} of {len(request.answer)} tokens of {request.name}"
                )
            if not reading.is_number:
                raise not_a_number(request.name, self._engine)
            return reading.as_dict()

        read_all = self._answers(requests, keys, self._engine.read, read, tell)
        return [Reading.from_dict(values) for values in read_all]

    def _answers(
        self,
        requests: Sequence[_Request],
        keys: Sequence[str],
        ask: Callable[[Sequence[_Request], Answered[Any]], None],
        read: Callable[[int, Any], Any],
        tell: Tell,
    ) -> list[Any]:
        answers: dict[int, Any] = {}
        for place, key in enumerate(keys):
            if self._journal is not None and key in self._journal:
                answers[place] = self._journal[key]
                tell(place, answers[place])
        waiting = [place for place in range(len(requests)) if place not in answers]

        def answered(answers_of_batch: Mapping[int, Any], cost: Mapping[str, float]) -> None:
            places = self._places(answers_of_batch, waiting, answers)
            batch = {place: read(place, answers_of_batch[i]) for i, place in places.items()}
            if self._journal is not None:
                limit = self._engine.limit
                self._journal.append(
                    {keys[place]: answer for place, answer in batch.items()},
                    cost,
                    (limit.rows, limit.tokens, limit.room),
                )
            answers.update(batch)
            for place, answer in batch.items():
                tell(place, answer)

        if waiting:
            ask([requests[place] for place in waiting], answered)
        for place in waiting:
            if place not in answers:
                raise self._broken(f"gave no answer to {requests[place].name}")
        return [answers[place] for place in range(len(requests))]

    def _places(
        self, batch: Mapping[int, Any], waiting: Sequence[int], answers: Mapping[int, Any]
    ) -> dict[int, int]:
        """Return, by its place among those that were asked, the place of each answered request."""
        if strange := [i for i in batch if not 0 <= i < len(waiting)]:
            raise self._broken(f"answered request {strange[0]} of {len(waiting)}")
        places = {i: waiting[i] for i in batch}
        if twice := [i for i, place in places.items() if place in answers]:
            raise self._broken(f"answered request {twice[0]} twice")
        return places

    def _broken(self, what: str) -> ModelError:
        return ModelError(
            f"engine={self._name} {what}: this is a fault of the engine. The answers that are in "
            f"the journal are kept; repair the engine, or take another one, and run again."
        )
