"""Finds out whom the arguments name, and in which form it is to be asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qrag_tasks.arms.places import whole_place
from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.decoding import Decoding, decide
from qrag_tasks.engines.server.arguments import ServerArguments
from qrag_tasks.engines.server.completions import (
    Completion,
    Form,
    body_of,
    check_prompt,
    read_completion,
)
from qrag_tasks.engines.server.connection import (
    TRIES,
    Connection,
    RefusedError,
    UnreachableError,
)
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.engines.server.facts import ServerFacts, ask_facts, check_precision, find_model
from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter

logger = logging.getLogger("lm_eval.qrag_tasks")

_PROBE = (
    "In 1998, Zoë paid 1,234.50 € for 7 books — « très bon », wrote Иван; don't x_i += 0x2F?\n\n"
    "  Two spaces."
)
"""Text that two tokenizers will hardly make equally many tokens of."""
_NOT_TAKEN = (400, 415, 422, 500)
"""How servers refuse what they do not know; the last where nobody thought of it."""


def load(arguments: ServerArguments, given: Mapping[str, Any], meter: Meter) -> ServerEngine:
    """Ask the server who it is and what it takes, and return the engine.

    :param given: the same arguments, as they were given: those of the tokenizer.
    :raises ModelError: when the server cannot be asked, or is not what the arguments say.
    """
    text = model_text(given)
    assert text is not None  # noqa: S101 - the arguments name a tokenizer
    tokenizer = text.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id or 0
    connection = Connection(arguments)
    decoding = decide(tokenizer, *_configurations(given["tokenizer"]))
    try:
        with meter.loading():
            entry = find_model(connection, arguments.base_url, arguments.model)
            form = _Probe(connection, arguments, entry["id"], tokenizer, decoding).form()
            facts = _checked_facts(connection, arguments, entry)
    except UnreachableError as error:
        raise ModelError(
            f"{error} Is the server running, and is base_url= its address? Start it, and run again."
        ) from error
    logger.info(
        "%s at %s: model %s, %s by your word; prompts go as %s, answers come as %s",
        facts.software,
        arguments.base_url,
        facts.model,
        arguments.precision.name,
        form.as_dict()["prompts"],
        form.as_dict()["answers"],
    )
    return ServerEngine(arguments, tokenizer, decoding, connection, form, facts, meter)


def _checked_facts(
    connection: Connection, arguments: ServerArguments, entry: Mapping[str, Any]
) -> ServerFacts:
    """Return what the server tells, none of which contradicts the arguments."""
    facts = ask_facts(connection, arguments.root, entry)
    if facts.window is not None and facts.window < arguments.window:
        raise ModelError(
            f"max_length={arguments.window}: the window of {facts.model} at {arguments.base_url} "
            f"has {facts.window} tokens. Give max_length={facts.window}, or start the server with "
            f"a longer one"
        )
    check_precision(arguments.precision, facts)
    return facts


class _Probe:
    """Asks for one token in one form after the other, until the server takes one."""

    def __init__(
        self,
        connection: Connection,
        arguments: ServerArguments,
        model: str,
        tokenizer: Any,
        decoding: Decoding,
    ) -> None:
        self._connection = connection
        self._url = f"{arguments.base_url}/completions"
        self._model = model
        self._tokenizer = tokenizer
        self._decoding = decoding

    def form(self) -> Form:
        """Return the form that the server takes.

        It is asked with a text first, whatever it takes: how many tokens it makes of it tells
        whether its tokenizer is the one that was named. Token ids would be taken for any other's.
        """
        form, completion = self._first_taken(Form(token_ids=False))
        ids = tuple(self._tokenizer(_PROBE, add_special_tokens=False)["input_ids"])
        bos = self._tokenizer.bos_token_id
        if bos is not None and completion.prompt_tokens == len(ids) + 1:
            form, ids = replace(form, adds_bos=True), (bos, *ids)
        check_prompt(completion, _request(ids))
        try:
            by_ids = replace(form, token_ids=True)
            completion = self._ask(by_ids, list(ids))
            check_prompt(completion, _request(ids))
        except ModelError as error:
            if isinstance(error, UnreachableError) and error.status not in _NOT_TAKEN:
                raise
            logger.debug("prompts go as text: %s", error)
        else:
            form = by_ids
        return replace(form, gives_ids=completion.tokens is not None)

    def _first_taken(self, form: Form) -> tuple[Form, Completion]:
        try:
            return form, self._ask(form, _PROBE)
        except (RefusedError, UnreachableError) as error:
            if error.status not in _NOT_TAKEN:
                raise
            # OpenAI's own servers, for one, refuse every field that they do not know.
            logger.warning(
                "%s takes no setting that OpenAI's interface does not have, so what it sets itself "
                "stays, such as a repetition penalty: its answers may not be the likeliest tokens",
                self._url,
            )
            plain = replace(form, extensions=False)
            return plain, self._ask(plain, _PROBE)

    def _ask(self, form: Form, prompt: list[int] | str) -> Completion:
        request = _request(())
        body = body_of(request, prompt, self._model, form, self._decoding)
        return read_completion(
            self._connection.ask("POST", self._url, body, TRIES, logging.DEBUG),
            request,
            self._model,
        )


def _request(prompt: tuple[int, ...]) -> GenerationRequest:
    return GenerationRequest("the first question to the server", prompt, max_new_tokens=1)


def _configurations(place: Any) -> tuple[Any, Any]:
    """Return the configurations that lie beside a tokenizer, as they name end tokens, too.

    :returns: of the model and of generation; ``None`` for what is not there.
    """
    from transformers import AutoConfig, GenerationConfig

    found = []
    for kind in (AutoConfig, GenerationConfig):
        try:
            found.append(kind.from_pretrained(whole_place(str(place))))
        except (OSError, ValueError):
            found.append(None)
    return found[0], found[1]
