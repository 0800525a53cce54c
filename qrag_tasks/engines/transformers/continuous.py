"""Answers by transformers' own continuous batching: whoever is done makes room for the next.

Prompts are packed without padding, and what prompts have in common is computed once where the
pages of one are done before another begins. It takes the likeliest token, stops at end tokens
alone and measures no likelihoods; :class:`ContinuousBatches` says which requests it can take.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation import ContinuousBatchingConfig
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from qrag_tasks.arms.identity import attention_of, set_attention
from qrag_tasks.engines.base import Answered, Engine, GenerationRequest
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.not_a_number import not_a_number
from qrag_tasks.engines.ordering import in_rounds
from qrag_tasks.engines.transformers import packed_attention
from qrag_tasks.engines.transformers.batches import OutOfMemory, free_bytes, out_of_memory
from qrag_tasks.engines.transformers.generation import generation_config, up_to_stop
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter

logger = logging.getLogger("lm_eval.qrag_tasks")

PAGE = 256
"""Tokens of a page of the cache, as transformers has it and flash kernels want it. Prompts share
whole pages."""

_TOKENS = 8192
"""The most tokens of a pass, as transformers has it: of a larger one more prompts would begin
together, and share nothing."""

_REQUESTS = 256
"""The most requests under way at once, where the batch limit counts tokens. Each holds its pages:
of very many the last would be begun again and again for want of room."""

_APART = 8 * _TOKENS
"""Tokens between two prompts that begin alike: a few passes, the first of which are done then."""

_SHARE_OF_FREE = 0.8
"""Of the memory that is free on a GPU, for the cache of keys and values and what passes through."""

_SECONDS = 1.0
"""How long an answer is waited for before it is asked whether the manager still lives."""

_TOO_LITTLE = ("Memory footprint", "no requests can be offloaded")
"""In what the manager says where its cache does not fit, or a request not into its cache."""


class ContinuousBatches:
    """Has transformers answer many requests at once.

    :param engine: that holds the model.
    """

    def __init__(self, engine: Engine, model: Any, meter: Meter) -> None:
        self._engine, self._model, self._meter = engine, model, meter
        self._packed = None if _flash_is_installed() else packed_attention.name_for(model)
        with self._manager(GenerationConfig(eos_token_id=-1), ContinuousBatchingConfig()):
            self.attention = attention_of(model)

    def takes(self, request: GenerationRequest) -> bool:
        """Tell whether a request can be answered: the likeliest token is all it may ask for."""
        settings = {"do_sample": False, "num_beams": 1, **request.settings}
        settings.pop("temperature", None)  # without effect where no token is drawn
        return settings == {"do_sample": False, "num_beams": 1}

    def run(
        self,
        requests: Mapping[int, GenerationRequest],
        answered: Answered[Sequence[int]],
    ) -> None:
        """Answer requests, each as soon as it is done.

        :param requests: place -> a request that it takes; at least one.
        :raises OutOfMemory: when memory ran out.
        :raises ModelError: when a request or the whole manager fails, or logits are not numbers.
        """
        decoding, tokenizer = self._engine.decoding, self._engine.tokenizer
        places = list(requests)
        longest = max(request.max_new_tokens for request in requests.values())
        config = generation_config(decoding, {}, longest)
        settings = self._settings(list(requests.values()), self._engine.limit)
        with self._manager(config, settings) as manager:
            if self._model.device.type == "cuda":
                manager.warmup()
            metered = self._meter.side_by_side()
            manager.start()
            waiting: dict[str, int] = {}
            for index in in_rounds([requests[place].prompt for place in places], PAGE, _APART):
                request = requests[places[index]]
                name = manager.add_request(
                    list(request.prompt),
                    max_new_tokens=request.max_new_tokens,
                    eos_token_id=list(decoding.end_tokens) or -1,
                )
                waiting[name] = places[index]
            for output in self._outputs(manager, waiting):
                place = waiting.pop(output.request_id)
                request = requests[place]
                if output.error is not None:
                    raise self._failure(output.error, request.name)
                if any(map(math.isnan, output.logprobs)):
                    raise not_a_number(request.name, self._engine)
                generated = decoding.up_to_end(output.generated_tokens)
                cost = metered.answered(len(request.prompt), len(generated))
                answered({place: up_to_stop(generated, request.stops, tokenizer)}, cost)

    def _settings(
        self, requests: Sequence[GenerationRequest], limit: BatchLimit
    ) -> ContinuousBatchingConfig:
        """Return how large passes and cache may be."""
        whole = [len(request.prompt) + request.max_new_tokens for request in requests]
        pages = sum(math.ceil(tokens / PAGE) for tokens in whole)
        tokens = min(limit.tokens or _TOKENS, _TOKENS, PAGE * pages)
        config = self._model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        each = 2 * config.num_hidden_layers * heads * size * self._model.dtype.itemsize
        fits = pages * PAGE * each < free_bytes(self._model.device) / 2
        on_gpu = self._model.device.type == "cuda"
        return ContinuousBatchingConfig(
            # All of them at once where that is little; as many as fit where not.
            num_blocks=pages if fits else None,
            max_batch_tokens=tokens,
            max_requests_per_batch=limit.rows or _REQUESTS,
            max_memory_percent=_SHARE_OF_FREE,
            # Whatever is prefilled decodes with all that follows, in larger batches.
            scheduler_type="prefill_first",
            # They show whether the logits were numbers.
            return_logprobs=True,
            # Graphs are for passes of decoding, of which there are few sizes: a graph of each
            # size of prefill takes passes of its own, and as many tokens as are padded.
            use_cuda_graph=(False, on_gpu),
            # Transformers asks whether the machine has a GPU, not whether the model is on it.
            use_async_batching=None if on_gpu else False,
        )

    @contextmanager
    def _manager(
        self, config: GenerationConfig, settings: ContinuousBatchingConfig
    ) -> Iterator[Any]:
        """Have the model pass through paged attention, and as before after it."""
        before = attention_of(self._model)
        if self._packed is not None:
            set_attention(self._model, self._packed)
        manager = self._model.init_continuous_batching(
            generation_config=config, continuous_batching_config=settings
        )
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        try:
            # It seeds torch, though it draws nothing.
            with torch.random.fork_rng(devices):
                yield manager
        finally:
            if manager.is_running():
                # Not to the end of what is still asked for.
                manager.stop(block=True, hard_stop=True)
            manager.destroy()
            if attention_of(self._model) != before:
                set_attention(self._model, before)

    def _outputs(self, manager: Any, waiting: Mapping[str, int]) -> Iterator[Any]:
        """Yield what is done, until nothing waits."""
        while waiting:
            output = manager.get_result(timeout=_SECONDS)
            if output is not None and output.request_id in waiting:
                yield output
            elif output is None and not manager.is_running():
                raise ModelError(
                    f"transformers' continuous batching ended early, and {len(waiting)} requests "
                    f"were not answered: the log says why. Without batching=continuous they are "
                    f"answered in padded batches"
                )

    def _failure(self, error: str, name: str) -> Exception:
        if out_of_memory(RuntimeError(error)) or any(text in error for text in _TOO_LITTLE):
            return OutOfMemory(error)
        return ModelError(
            f"{name}: transformers' continuous batching failed: {error}. Without "
            f"batching=continuous it is answered in padded batches"
        )


def _flash_is_installed() -> bool:
    """Tell whether transformers finds a flash kernel, of a package or of ``kernels``."""
    return bool(
        is_flash_attn_3_available(kernels_fallback_ok=True)
        or is_flash_attn_2_available(kernels_fallback_ok=True)
    )
