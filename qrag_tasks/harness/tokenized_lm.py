"""What lm_eval asks of a model beside answers: its text as tokens, its chat template, its ranks."""

from __future__ import annotations

from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.huggingface import HFLM

from qrag_tasks.engines.base import Engine
from qrag_tasks.upstream.name_checks import require

require("harness.tokenized_lm")


class TokenizedLM(TemplateLM):  # type: ignore[misc]
    """An ``LM`` that reads and writes text as ``--model hf`` does, whatever engine answers.

    It does so by ``HFLM``'s own methods, which need a tokenizer and no model: two copies of them
    would one day read the same prompt in two ways.

    :param engine: whose tokenizer reads the text.
    :param arguments: model arguments: ``add_bos_token``, ``prefix_token_id``, ``truncation``,
        ``think_end_token``, ``enable_thinking`` and ``chat_template_args`` are looked at.
    """

    eot_token_id = HFLM.eot_token_id
    prefix_token_id = HFLM.prefix_token_id
    tokenizer_name = HFLM.tokenizer_name
    tok_encode = HFLM.tok_encode
    tok_decode = HFLM.tok_decode
    apply_chat_template = HFLM.apply_chat_template
    loglikelihood_rolling = HFLM.loglikelihood_rolling
    max_gen_toks = HFLM.max_gen_toks
    """The longest answer, in tokens, where a request names none."""

    def __init__(self, engine: Engine, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.engine = engine
        self.tokenizer = engine.tokenizer
        self._device = engine.device
        self._rank = engine.ranks.rank
        self._world_size = engine.ranks.world_size
        self.batch_sizes: dict[int, int] = {}
        self.add_bos_token = arguments.get("add_bos_token")
        self.custom_prefix_token_id = arguments.get("prefix_token_id")
        self.truncation = arguments.get("truncation", False)
        thought = arguments.get("think_end_token")
        self.think_end_token = (
            int(thought) if isinstance(thought, str) and thought.isdigit() else thought
        )
        self.enable_thinking = arguments.get("enable_thinking")
        self.chat_template_args = dict(arguments.get("chat_template_args") or {})
        if self.enable_thinking is not None:
            self.chat_template_args["enable_thinking"] = self.enable_thinking

    @property
    def max_length(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self.engine.window

    @property
    def batch_size(self) -> int:
        """Windows of a rolling likelihood that are measured together."""
        return self.engine.limit.rows or 1

    def all_gather(self, tensor: Any) -> Any:
        """Return the tensors of all ranks, one after the other."""
        return self.engine.ranks.all_gather(tensor)

    def gather_object(self, thing: Any, dst: int = 0) -> Any:
        """Return what every rank gave, on the rank ``dst``."""
        return self.engine.ranks.gather_object(thing, dst)

    def barrier(self) -> None:
        """Wait for the other ranks."""
        self.engine.ranks.barrier()
