"""How much of a prompt a model of lm_eval's takes: most of its classes cut what is longer.

They do so in silence, and from the left, where the best document and the instruction are. How
much is left is known once the model was created, which lm_eval does before it has prompts made.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lm_eval.models.utils import normalize_gen_kwargs

from qrag_tasks.arms.identity import created_with
from qrag_tasks.errors import BudgetError, SettingsError
from qrag_tasks.harness.instances import is_ours, name_of
from qrag_tasks.prompting.model_text import ModelText
from qrag_tasks.tasks.base import DEPTHS

_CUTTING_ELSEWHERE = ("truncate", "truncate_input_tokens")
"""Model arguments that have a server cut, where nobody here can see it."""


def generation_limit(generation_kwargs: Mapping[str, Any]) -> int:
    """Return the most tokens that an answer may have, under whichever name it was given."""
    return int(normalize_gen_kwargs(dict(generation_kwargs))["max_gen_toks"])


def window_of(lm: Any) -> int | None:
    """Return the tokens that ``lm`` takes as prompt and answer; ``None`` where it does not say.

    It is what lm_eval's classes call ``max_length``: the model argument of that name, or what the
    class has where it is not given: the model's own window, or 2,048 tokens with most servers.

    :param lm: lm_eval's ``LM``.
    :raises SettingsError: when its arguments have prompts cut by a server.
    """
    arguments = created_with(lm) or {}
    for name in _CUTTING_ELSEWHERE:
        if arguments.get(name):
            raise SettingsError(
                f"model argument {name}={arguments[name]} has prompts cut, so that it is not known "
                f"what the model is asked: leave it out"
            )
    try:
        window = lm.max_length
    except (AttributeError, NotImplementedError):
        return None
    if getattr(lm, "truncation", False):  # by the tokenizer, at a length of its own
        window = min(window, getattr(lm.tokenizer, "model_max_length", window))
    return window if isinstance(window, int) else None


def kept_back(lm: Any) -> int:
    """Return how many tokens of ``max_length`` lm_eval's class keeps for itself."""
    module = sys.modules.get("lm_eval.models.api_models")
    return int(module is not None and isinstance(lm, module.TemplateAPI))


def text_as_taken(text: ModelText | None, lm: Any) -> ModelText | None:
    """Return how ``lm`` reads text, and how much of it.

    :param text: what the model arguments say; ``None`` where they name no tokenizer: then that of
        ``lm`` is taken, where it is one of transformers'.
    :param lm: ``None`` before it was created.
    """
    if lm is None:
        return text
    window = window_of(lm)
    if text is None:
        transformers = sys.modules.get("transformers")
        if window is None or transformers is None:
            return None
        tokenizer = getattr(lm, "tokenizer", None)
        if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
            return None
        text = ModelText(tokenizer, window, getattr(lm, "add_bos_token", None), _answer_apart(lm))
    if window is not None and window < text.window:
        text = replace(text, window=window)
    return replace(text, kept_back=kept_back(lm))


def _answer_apart(lm: Any) -> bool:
    return getattr(lm, "backend", "causal") != "causal"


def check_nothing_is_cut(lm: Any, requests: Sequence[Any]) -> None:
    """Check that the model takes every prompt of ours whole.

    The prompts were fitted already; this catches a model whose tokenizer is not the one they were
    fitted for.

    :param lm: lm_eval's ``LM``.
    :param requests: for answers, or for the likelihood of given ones.
    :raises BudgetError: naming the first prompt that would be cut.
    """
    window = window_of(lm)
    if window is None:
        return
    for request in filter(is_ours, requests):
        answer = request.args[1]
        tokens = _tokens_taken(lm, request)
        if tokens is None:
            continue
        longest = 1 if isinstance(answer, str) else generation_limit(answer)
        check_not_cut(request, tokens, 0 if _answer_apart(lm) else longest, window)


def _tokens_taken(lm: Any, request: Any) -> int | None:
    """Return the tokens that ``lm`` makes of a prompt; ``None`` where it makes none itself."""
    prompt, answer = request.args[:2]
    likelihood = isinstance(answer, str)
    sent_whole = not likelihood and not getattr(lm, "tokenized_requests", True)
    if sent_whole or not isinstance(prompt, str):
        return None
    try:
        tokens = lm.tok_encode(prompt + answer if likelihood else prompt)
    except (AttributeError, NotImplementedError):
        return None
    if not all(isinstance(token, int) for token in tokens[:1]):
        return None
    # Of an answer whose likelihood is asked for, the last token is not fed.
    return len(tokens) - likelihood


def check_not_cut(request: Any, tokens: int, answer: int, window: int) -> None:
    """Check that a prompt and its longest answer fit the model's window.

    :param tokens: of the prompt.
    :param answer: tokens that the answer may have.
    :raises BudgetError: when the prompt would be cut.
    """
    if tokens + answer <= window:
        return
    remedy = "Leave the task out, or take a model with a longer window."
    fixed = tuple(f"_k{depth}" for depth in DEPTHS if depth.window)
    if is_ours(request) and not name_of(request).partition(",")[0].endswith(fixed):
        remedy = f"Set context_tokens to {window} or less in --metadata" + (
            "." if request.doc.get("prompt_tokens") else ", and name the model's tokenizer there."
        )
    raise BudgetError(
        f"{name_of(request)}: the prompt is {tokens} tokens and the answer may be {answer}, but "
        f"the model's window is {window}: it would be cut. {remedy}"
    )
