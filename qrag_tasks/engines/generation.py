"""Requests for answers: grouped by how they are to be generated, and read off the tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from lm_eval.models.utils_hf import stop_sequences_criteria

from qrag_tasks.errors import SettingsError


@dataclass(frozen=True)
class Group:
    """Requests that are generated alike.

    :ivar indices: of the requests, in the run's order.
    :ivar stops: texts before which an answer ends, beside the end tokens.
    :ivar max_new_tokens: the longest answer.
    :ivar settings: the other generation arguments, as ``transformers`` names them.
    """

    indices: Sequence[int]
    stops: Sequence[str]
    max_new_tokens: int
    settings: Mapping[str, Any]

    def criteria(
        self, tokenizer: Any, shape: Sequence[int], first_token: Callable[..., Any]
    ) -> list[Any]:
        """Return what looks at a batch after every token.

        :param shape: (sequences, tokens of a padded prompt).
        :param first_token: is told of each token, and never stops.
        """
        rows, width = shape
        return [first_token, *stop_sequences_criteria(tokenizer, list(self.stops), width, rows)]


def groups_of(requests: Sequence[Any], default_length: int) -> list[Group]:
    """Group lm_eval's ``generate_until`` requests by their generation arguments.

    :param default_length: the longest answer, in tokens, where a request names none.
    :raises SettingsError: for ``max_length``, which cannot hold for prompts of any length.
    """
    indices: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        indices.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(index)
    groups = []
    for key, members in indices.items():
        asked = normalize_gen_kwargs(json.loads(key), default_length)
        if "max_length" in asked:
            raise SettingsError(
                f"generation argument max_length={asked['max_length']}: it counts the prompt, too; "
                f"give max_gen_toks, the longest answer"
            )
        stops = asked.pop("until", None) or []
        groups.append(
            Group(
                members,
                [stops] if isinstance(stops, str) else list(stops),
                int(asked.pop("max_gen_toks")),
                asked,
            )
        )
    return groups


def up_to_end(tokens: Sequence[int], end_tokens: Sequence[int]) -> Sequence[int]:
    """Return the generated tokens of one sequence up to its end token, without what pads it."""
    ends = (i for i, token in enumerate(tokens) if token in end_tokens)
    return tokens[: next(ends, len(tokens)) + 1]


def read_answer(tokens: Sequence[int], stops: Sequence[str], model: Any) -> str:
    """Return the answer that generated tokens hold.

    :param stops: texts before which it ends.
    :param model: lm_eval's ``HFLM``, for its tokenizer and its end of thinking.
    """
    thought = model.think_end_token
    if isinstance(thought, int) and thought in tokens:
        tokens = tokens[len(tokens) - list(reversed(tokens)).index(thought) :]
    text = str(model.tok_decode(tokens))
    if isinstance(thought, int):
        text = text.lstrip()
    end = thought if isinstance(thought, str) else None
    return str(postprocess_generated_text(text, list(stops), end))
