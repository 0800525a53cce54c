"""The engine: prompts to a server, answers back, as many at once as it is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrag_tasks.engines.base import (
    Answered,
    Engine,
    Generated,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.engines.ordering import by_shared_prefix
from qrag_tasks.engines.server.abilities import ABILITIES
from qrag_tasks.engines.server.arguments import ServerArguments
from qrag_tasks.engines.server.completions import (
    Completion,
    Form,
    body_of,
    check_prompt,
    read_completion,
)
from qrag_tasks.engines.server.connection import Connection, UnreachableError
from qrag_tasks.engines.server.facts import ServerFacts
from qrag_tasks.engines.server.prompts import text_of
from qrag_tasks.engines.server.workers import Workers
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Elsewhere, Meter


class ServerEngine(Engine):
    """A model that a server runs.

    :param form: in which the server is asked.
    :param facts: what it told of itself and of the model.
    """

    abilities = ABILITIES

    def __init__(
        self,
        arguments: ServerArguments,
        tokenizer: Any,
        decoding: Decoding,
        connection: Connection,
        form: Form,
        facts: ServerFacts,
        meter: Meter,
    ) -> None:
        self.tokenizer = tokenizer
        self.window = arguments.window
        self.decoding = decoding
        self.precision = arguments.precision
        self.computing = arguments.precision.dtype or "unknown"
        self.device = Elsewhere(f"{facts.software} at {arguments.base_url}")
        self.limit = BatchLimit()
        self.form = form
        self.facts = facts
        self._arguments = arguments
        self._connection = connection
        self._meter = meter
        meter.device = self.device
        self.arm: Mapping[str, Any] = {
            "precision": self.precision.name,
            "weights": {"bytes": facts.weight_bytes},
            "server": {**facts.as_dict(), **form.as_dict()},
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """What was stated and told, and the address.

        No weight is seen, so two servers that tell the same cannot be told apart but by where they
        are; their answers must not be taken for each other's.
        """
        return {
            "server": self._arguments.base_url,
            "precision": self.precision.name,
            "told": self.facts.as_dict(),
            "form": self.form.as_dict(),
        }

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    # ------------------------------------------------------------------ answers
    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Generated]
    ) -> None:
        """Ask for all, those with shared prefixes one after the other."""
        bodies = [self._body(request) for request in requests]

        def ask(place: int) -> Completion:
            return self.complete(requests[place], bodies[place])

        most = min(self._arguments.concurrency, self.limit.rows or self._arguments.concurrency)
        order = by_shared_prefix([request.prompt for request in requests])
        metered, count = self._meter.side_by_side(), 0
        try:
            for place, completion in Workers(ask, most, self._connection.ending).run(order):
                generated, length = self._generated(completion, requests[place])
                cost = metered.answered(len(requests[place].prompt), length, completion.cached)
                answered({place: generated}, cost)
                count += 1
        except UnreachableError as error:
            raise ModelError(
                f"{error} {count} of {len(requests)} requests were answered before. What `qrag "
                f"run` or --use_cache keeps of them is kept: start the server again, and run the "
                f"same command to go on"
            ) from error

    def complete(self, request: GenerationRequest, body: Mapping[str, Any]) -> Completion:
        """Ask the server for one completion, and check it.

        :raises ModelError: when it cannot be had, or is not what was asked for.
        """
        try:
            said = self._connection.ask("POST", f"{self._arguments.base_url}/completions", body)
        except UnreachableError as error:
            raise UnreachableError(f"{request.name}: {error}", error.status) from error
        except ModelError as error:
            raise ModelError(f"{request.name}: {error}") from error
        completion = read_completion(said, request, self.facts.model)
        check_prompt(completion, request)
        return completion

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        prompt: Sequence[int] | str = request.prompt
        if not self.form.token_ids:
            prompt = text_of(request.name, request.prompt, self.tokenizer, self.form.adds_bos)
        return body_of(request, prompt, self.facts.model, self.form, self.decoding)

    def _generated(
        self, completion: Completion, request: GenerationRequest
    ) -> tuple[Generated, int]:
        """Return an answer, and how many tokens it has."""
        if completion.tokens is not None:
            tokens = self.decoding.up_to_end(completion.tokens)
            return tokens, len(tokens)
        text = completion.text
        # A server whose list of end tokens lacks one goes on, and may write it out.
        for token in self.decoding.end_tokens:
            text = text.partition(self.tokenizer.decode([token]))[0]
        return text, completion.generated

    def score(
        self, requests: Sequence[LikelihoodRequest], answered: Answered[Sequence[Likelihood]]
    ) -> None:
        """Never called: the abilities say so."""
        raise NotImplementedError
