"""lm_eval's requests as an engine takes them, and answers as lm_eval wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text

from qrag_tasks.engines.base import Generated, GenerationRequest, LikelihoodRequest
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness.instances import name_of


def generation_request(
    request: Any, prompt: Sequence[int], default_length: int
) -> GenerationRequest:
    """Return what an engine is asked.

    :param request: lm_eval's, for ``generate_until``.
    :param prompt: its token ids.
    :param default_length: the longest answer, in tokens, where the request names none.
    :raises SettingsError: for ``max_length``, which cannot hold for prompts of any length.
    """
    settings = normalize_gen_kwargs(dict(request.args[1]), default_length)
    if "max_length" in settings:
        raise SettingsError(
            f"generation argument max_length={settings['max_length']}: it counts the prompt, too; "
            f"give max_gen_toks, the longest answer"
        )
    stops = settings.pop("until", None) or []
    return GenerationRequest(
        name_of(request),
        prompt,
        int(settings.pop("max_gen_toks")),
        (stops,) if isinstance(stops, str) else tuple(stops),
        settings,
    )


def likelihood_requests(
    requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]], softmax_dtype: str
) -> tuple[list[LikelihoodRequest], list[list[int]]]:
    """Return what an engine is asked, one request for all that share a pass; and which those are.

    :param requests: texts (``None`` for part of a longer one), token ids of the context, and of
        the continuation.
    :returns: beside each of the engine's requests the places of those that it is for.
    """
    by_tokens: dict[tuple[int, ...], list[int]] = {}
    for place, (_, context, continuation) in enumerate(requests):
        by_tokens.setdefault((*context, *continuation[:-1]), []).append(place)
    engine_requests = [
        LikelihoodRequest(
            name_of(requests[places[0]][0]),
            tokens,
            tuple(requests[place][2] for place in places),
            softmax_dtype,
        )
        for tokens, places in by_tokens.items()
    ]
    return engine_requests, list(by_tokens.values())


def read_answer(generated: Generated, stops: Sequence[str], model: Any) -> str:
    """Return the answer that generated tokens, or their text, hold.

    :param stops: texts before which it ends.
    :param model: lm_eval's ``LM``, for its tokenizer and its end of thinking.
    """
    thought = model.think_end_token
    if isinstance(generated, str):
        text = generated
        end = str(model.tokenizer.decode([thought])) if isinstance(thought, int) else thought
    else:
        text, end = _text_of(generated, model)
    return str(postprocess_generated_text(text, list(stops), end))


def _text_of(tokens: Sequence[int], model: Any) -> tuple[str, str | None]:
    """Return the text of generated tokens, and what ends the thinking in it, if anything does."""
    thought = model.think_end_token
    if not isinstance(thought, int):
        return str(model.tok_decode(tokens)), thought
    if thought in tokens:
        tokens = tokens[len(tokens) - list(reversed(tokens)).index(thought) :]
    return str(model.tok_decode(tokens)).lstrip(), None
