"""How a model reads text: as tokens, of which its window holds so many."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

_PART = 32
"""Texts that a thread encodes in one call: some 30,000 tokens, so some 30 ms."""
_THREADS = 16

# What a chat template writes around turns, where it is no token of its own: [INST], <<SYS>>.
_TEMPLATE_MARKER = re.compile(r"\[/?[A-Z_]{2,}\]|<</?\w+>>|</?\|?\w+\|?>")


@dataclass(frozen=True)
class ModelText:
    """How a model reads text.

    :ivar window: tokens that prompt and answer may have together.
    :ivar add_bos_token: lm_eval's model argument of that name.
    :ivar answer_apart: whether the answer takes no room of the prompt's, as with an
        encoder-decoder.
    :ivar kept_back: tokens of the model argument ``max_length`` that the model's class in lm_eval
        keeps for itself: they are not part of ``window``.
    """

    tokenizer: Any
    window: int
    add_bos_token: bool | None = None
    answer_apart: bool = False
    kept_back: int = 0

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text`` as lm_eval's HFLM encodes a generation request."""
        return list(self.tokenizer(text, **self._options(text))["input_ids"])

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return what :meth:`encode` returns of each text; fast tokenizers use several cores.

        They do so by threads of ours, as lm_eval turns their own off. None of these calls changes
        the tokenizer, so that they may run side by side.
        """
        distinct = list(dict.fromkeys(texts))
        parts = [distinct[start : start + _PART] for start in range(0, len(distinct), _PART)]
        if len(parts) < 2 or not getattr(self.tokenizer, "is_fast", False):
            encoded = [self._encode_part(part) for part in parts]
        else:
            # The first alone: it takes back what an earlier call has left in the tokenizer.
            first = self._encode_part(parts[0])
            with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
                encoded = [first, *pool.map(self._encode_part, parts[1:])]
        ids = dict(zip(distinct, chain.from_iterable(encoded), strict=True))
        return [ids[text] for text in texts]

    def _encode_part(self, texts: Sequence[str]) -> list[list[int]]:
        encoded: dict[str, list[int]] = {}
        for begins in (True, False):
            alike = [text for text in texts if self._begins(text) is begins]
            if alike:
                ids = self.tokenizer(alike, return_attention_mask=False, **self._options(alike[0]))
                encoded |= dict(zip(alike, map(list, ids["input_ids"]), strict=True))
        return [encoded[text] for text in texts]

    def _begins(self, text: str) -> bool:
        """Tell whether a text begins with the BOS token already."""
        begins = getattr(self.tokenizer, "bos_token", None)
        return begins is not None and text.startswith(begins)

    def _options(self, text: str) -> dict[str, bool]:
        if self._begins(text):
            return {"add_special_tokens": False}
        if self.add_bos_token is not None:
            return {"add_special_tokens": self.add_bos_token}
        return {}

    def count(self, text: str) -> int:
        """Return how many tokens a generation request has."""
        return len(self.encode(text))

    def count_answer(self, text: str) -> int:
        """Return the tokens of a generated text, encoded again."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @cached_property
    def markers(self) -> frozenset[str]:
        """What closes or opens a turn for this model: special tokens, and its template's marks."""
        tokenizer = self.tokenizer
        template = getattr(tokenizer, "chat_template", None) or ""
        template = " ".join(template.values()) if isinstance(template, Mapping) else str(template)
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        return frozenset(
            {
                *getattr(tokenizer, "all_special_tokens", ()),
                *(str(t) for t in added if getattr(t, "special", False) or str(t) in template),
                *_TEMPLATE_MARKER.findall(template),
            }
        )

    def first_pieces(self, before: str, texts: Sequence[str]) -> tuple[str, ...] | None:
        """Return the part of each text that is its first token, where it stands behind ``before``.

        ``None`` where that cannot be told, or two texts begin with the same token.
        """
        pieces = []
        for text in texts:
            whole = before + text
            try:
                encoding = self.tokenizer(
                    whole, add_special_tokens=False, return_offsets_mapping=True
                )
            except NotImplementedError:  # a tokenizer written in Python
                return None
            end = next((end for _, end in encoding["offset_mapping"] if end > len(before)), 0)
            piece = whole[len(before) : end]
            alone = len(self.tokenizer(before, add_special_tokens=False)["input_ids"])
            if len(self.tokenizer(before + piece, add_special_tokens=False)["input_ids"]) != (
                alone + 1
            ):
                return None
            pieces.append(piece)
        return tuple(pieces) if len(set(pieces)) == len(pieces) else None


@dataclass(frozen=True)
class PlainTokens:
    """A tokenizer as LaMP's code calls it; see :class:`~qrag_tasks.tasks.prompt.Tokens`."""

    tokenizer: Any

    def count(self, text: str) -> int:
        """Return the tokens of ``text``, with the special tokens that the tokenizer adds."""
        return len(self.tokenizer(text)["input_ids"])

    def cut(self, text: str, limit: int) -> tuple[str, int]:
        """Return what the first ``limit`` tokens of ``text`` say, and how many there were."""
        ids = self.tokenizer(text)["input_ids"]
        length = min(len(ids), limit)
        if length < len(ids):
            room = limit - self.tokenizer.num_special_tokens_to_add()
            if room < 0:
                raise ValueError(f"{limit} tokens leave no room for the special ones")
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"][:room]
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)), length
