"""Prompts as messages: what lm_eval gives a chat server, where it gives other models text."""

from __future__ import annotations

import json
import sys
from typing import Any

from qrag_tasks.engines.tokenizers import chat_template_of
from qrag_tasks.errors import SettingsError


def as_text(prompt: Any, tokenizer: Any) -> str:
    """Return what a model reads: of messages, what the tokenizer's own chat template makes.

    The server puts them into the template of its model, which nobody here sees.

    :param prompt: text, or messages as lm_eval's classes hand them on: a list, or one in JSON
        (``JsonChatStr``).
    :param tokenizer: one of transformers', of the server's model.
    :raises SettingsError: when it has no chat template.
    """
    if isinstance(prompt, str):
        return prompt
    messages = json.loads(prompt.prompt) if hasattr(prompt, "prompt") else prompt
    return chat_template_of(tokenizer, True, {})(messages)


def check_form(name: str, lm: Any, chat_template: bool) -> None:
    """Check that a model which takes nothing but messages is given messages.

    :param name: of the task.
    :param lm: lm_eval's ``LM``.
    :param chat_template: whether the run applies one: then lm_eval makes messages.
    :raises SettingsError: when it would be given text.
    """
    servers = sys.modules.get("lm_eval.models.openai_completions")
    if servers and isinstance(lm, servers.LocalChatCompletion) and not chat_template:
        raise SettingsError(
            f"{name}: a chat server takes messages, which lm_eval makes under "
            f"--apply_chat_template: give it, too"
        )


def refuse_messages(name: str, prompt: Any) -> None:
    """Refuse to measure likelihoods behind messages: chat servers give none.

    :param name: of the task.
    :param prompt: as the model is given it.
    :raises SettingsError: when it is messages.
    """
    if not isinstance(prompt, str):
        raise SettingsError(
            f"{name}: answer 'likelihood' cannot be had from a chat server, which gives no "
            f"likelihoods of given texts: have the answers generated, or ask its server for "
            f"completions (--model local-completions)"
        )
