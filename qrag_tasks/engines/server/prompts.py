"""Prompts as text, for servers that take no token ids: only where text means the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qrag_tasks.errors import ModelError


def text_of(name: str, prompt: Sequence[int], tokenizer: Any, adds_bos: bool) -> str:
    """Return the text of a prompt, which the served model's tokenizer turns into the same tokens.

    :param name: of the request, for an error.
    :param adds_bos: whether the server puts the BOS token before every text.
    :raises ModelError: where there is no such text.
    """
    ids = list(prompt)
    if adds_bos:
        if tokenizer.bos_token_id is None or ids[:1] != [tokenizer.bos_token_id]:
            raise ModelError(
                f"{name}: the server puts a BOS token before every prompt, and this prompt has "
                f"none. Give add_bos_token=True, if the model is to have one; else have the server "
                f"add none"
            )
        ids = ids[1:]
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    again = tokenizer(text, add_special_tokens=False)["input_ids"]
    if list(again) != ids:
        raise ModelError(
            f"{name}: the server takes text alone, and the text of this prompt ({len(ids)} tokens) "
            f"would be read as {len(again)} other tokens. Take a server that takes token ids, such "
            f"as vllm serve or llama-server"
        )
    return str(text)
