"""How every arm of a model decodes: decided here, once, so that arms cannot differ by accident.

Checkpoints of one model disagree about this more often than about anything else. A quantized one
may have lost its generation config and with it an end token, and then runs on after its answer
(this alone lowered the "INT4" ROUGE of a model in arXiv 2406.10251), or it may keep a repetition
penalty that the other lacks. So the end tokens are gathered from everything that knows one, and
the checkpoint's own sampling settings are set aside; a run sets its own with ``--gen_kwargs``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger("lm_eval.qrag_tasks")

_PROBE = "zyx"
# Settings of a generation config that change what is reported of the tokens, not the tokens.
_REPORTS = ("transformers_version", "_", "use_cache", "output_", "return_dict")


@dataclass(frozen=True)
class Decoding:
    """What ends an answer, and which settings of the checkpoint's own are not used.

    :ivar end_tokens: token ids, ascending, each of which ends an answer.
    :ivar sources: who named them: ``tokenizer``, ``config``, ``generation_config``,
        ``chat_template`` -> token ids.
    :ivar pad_token: token id that fills the left of shorter prompts; never attended to.
    :ivar set_aside: the checkpoint's own generation settings that are not used.
    """

    end_tokens: tuple[int, ...]
    sources: Mapping[str, tuple[int, ...]]
    pad_token: int
    set_aside: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what makes two arms decode alike or not, as JSON has it."""
        return {"end_tokens": list(self.end_tokens), "pad_token": self.pad_token}

    def up_to_end(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the generated tokens of one answer up to its end token, without what pads it."""
        ends = (i for i, token in enumerate(tokens) if token in self.end_tokens)
        return tokens[: next(ends, len(tokens)) + 1]


def decide(tokenizer: Any, config: Any, generation_config: Any) -> Decoding:
    """Return how a model decodes.

    :param tokenizer: with a pad token.
    :param config: the model's configuration.
    :param generation_config: the checkpoint's own, or ``None``.
    """
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    sources = {
        "tokenizer": _ids(tokenizer.eos_token_id),
        "config": _ids(getattr(text_config, "eos_token_id", None)),
        "generation_config": _ids(getattr(generation_config, "eos_token_id", None)),
        "chat_template": _ends_of_turn(tokenizer),
    }
    decoding = Decoding(
        end_tokens=tuple(sorted({token for tokens in sources.values() for token in tokens})),
        sources={source: tokens for source, tokens in sources.items() if tokens},
        pad_token=int(tokenizer.pad_token_id),
        set_aside=_set_aside(generation_config),
    )
    names = ", ".join(repr(tokenizer.decode([token])) for token in decoding.end_tokens)
    logger.info("an answer ends at %s", names or "its length: no end token is known")
    if decoding.set_aside:
        logger.warning(
            "not used, so that all arms decode alike: the checkpoint's own %s "
            "(--gen_kwargs sets them for a run)",
            ", ".join(f"{name}={value}" for name, value in decoding.set_aside.items()),
        )
    return decoding


def _ids(tokens: int | Iterable[int] | None) -> tuple[int, ...]:
    if tokens is None:
        return ()
    return tuple(int(t) for t in ([tokens] if isinstance(tokens, int) else tokens))


def _ends_of_turn(tokenizer: Any) -> tuple[int, ...]:
    """Return the special token that the chat template puts after an assistant's answer."""
    if not getattr(tokenizer, "chat_template", None):
        return ()
    messages = [
        {"role": "user", "content": _PROBE},
        {"role": "assistant", "content": _PROBE},
    ]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:
        # Templates are programs of their authors'; one that wants other messages ends no turn here.
        logger.debug("the chat template tells no end of turn: %s", error)
        return ()
    rest = str(text).rpartition(_PROBE)[2].lstrip()
    first = tokenizer(rest, add_special_tokens=False)["input_ids"][:1] if rest else []
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
    return tuple(token for token in first if token in special)


def _set_aside(generation_config: Any) -> dict[str, Any]:
    """Return the settings of a checkpoint's generation config that change which token is chosen."""
    if generation_config is None:
        return {}
    given = generation_config.to_diff_dict()
    return {
        name: value
        for name, value in given.items()
        if not name.endswith("_token_id") and not name.startswith(_REPORTS) and value is not None
    }
