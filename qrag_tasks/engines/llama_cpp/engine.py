"""The engine: a GGUF file that llama.cpp has loaded, and how it answers."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import llama_cpp
import numpy as np
import torch

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.formats.gguf import FLOATS, MIXTURES
from qrag_tasks.arms.gguf_files import GgufFile
from qrag_tasks.engines.base import (
    Answered,
    Engine,
    Generated,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.llama_cpp import evidence
from qrag_tasks.engines.llama_cpp.abilities import ABILITIES, NAME
from qrag_tasks.engines.llama_cpp.arguments import Settings, asked_file, window_of
from qrag_tasks.engines.llama_cpp.head_check import check_head
from qrag_tasks.engines.llama_cpp.kv_cache import read_cache
from qrag_tasks.engines.llama_cpp.native import Native, OutOfMemoryError
from qrag_tasks.engines.llama_cpp.vocabulary import tokenizer_of
from qrag_tasks.engines.not_a_number import not_a_number
from qrag_tasks.engines.ordering import by_shared_prefix, shared_prefix
from qrag_tasks.engines.readings import Reading, ReadingRequest, of_distributions
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter

logger = logging.getLogger("lm_eval.qrag_tasks")

_GREEDY = ("do_sample", "temperature")
"""What lm_eval says of an answer of likeliest tokens; with ``do_sample=False`` it has no effect."""


def load(arguments: Mapping[str, Any], meter: Meter) -> LlamaCppEngine:
    """Load a GGUF file in llama.cpp, its tokenizer in transformers, and return the engine.

    :param arguments: of ``--model qrag``, where they were given.
    :raises ModelError: when the file cannot be had, or is not what it claims.
    :raises SettingsError: for an impossible argument.
    """
    settings, file, row = asked_file(arguments)
    cache = "f32" if row.quant_type == "f32" else "f16"
    threads = settings.n_threads or torch.get_num_threads()
    settings = replace(
        settings,
        n_threads=threads,
        n_threads_batch=settings.n_threads_batch or threads,
        type_k=settings.type_k or cache,
        type_v=settings.type_v or cache,
    )
    on_gpu = settings.n_gpu_layers != 0 and llama_cpp.llama_supports_gpu_offload()
    if settings.n_gpu_layers and not on_gpu:
        raise SettingsError(
            f"n_gpu_layers={settings.n_gpu_layers}: this llama.cpp was built without a GPU; leave "
            f"n_gpu_layers out, or build llama-cpp-python for it (CMAKE_ARGS=-DGGML_CUDA=on)"
        )
    if not on_gpu:
        meter.device = torch.device("cpu")
        meter.threads = settings.n_threads_batch
    with meter.loading():
        tokenizer = tokenizer_of(arguments)
        native = Native(file, settings)
    return LlamaCppEngine(file, native, tokenizer, row, settings, meter)


class LlamaCppEngine(Engine):
    """A GGUF file in llama.cpp, a prompt at a time.

    What the cache holds of a prompt is used again by the next one that begins alike.

    :param settings: with all that is left open filled in.
    """

    abilities = ABILITIES

    def __init__(
        self,
        file: GgufFile,
        native: Native,
        tokenizer: Any,
        row: Precision,
        settings: Settings,
        meter: Meter,
    ) -> None:
        self._file = file
        self._native = native
        self._settings = settings
        self._meter = meter
        self.tokenizer = tokenizer
        self.precision = row
        self.batch_invariant = settings.deterministic
        self.window = window_of(file, settings)
        self.device = meter.device
        self.limit = BatchLimit(rows=1)
        self.computing = _computing(row)
        self.arm = evidence.arm_of(file, row)
        self.decoding = decide(tokenizer, SimpleNamespace(eos_token_id=file.end_tokens), None)

    @cached_property
    def _weights(self) -> str:
        return self._file.digest()

    @property
    def identity(self) -> Mapping[str, Any]:
        """The file's bytes, what computes, and in which pieces a prompt runs.

        Threads are part of it with flash attention only, which shares a sum out among them; all
        else is summed by one thread, whichever.
        """
        settings = self._settings
        return {
            "weights": self._weights,
            "dtype": self.computing,
            "device": "gpu" if settings.n_gpu_layers else "cpu",
            "kernels": llama_cpp.llama_print_system_info().decode().strip(),
            "cache": [settings.type_k, settings.type_v],
            "attention": (
                ["flash", settings.n_threads, settings.n_threads_batch]
                if settings.flash_attn
                else ["plain"]
            ),
            "n_ubatch": settings.n_ubatch,
            "n_gpu_layers": settings.n_gpu_layers,
            "versions": {
                "llama-cpp-python": importlib.metadata.version("llama-cpp-python"),
            },
        }

    def smoke(self) -> Mapping[str, Any] | None:
        """Compare the kernel of the model's head with its unpacked weights; look at the cache."""
        result = check_head(self._native, self._file)
        self.kv_cache = read_cache(
            self._native, self._settings.kv_cache, evidence.cached_numbers(self._file)
        )
        logger.info("%s: %s", self.precision.name, evidence.summary(self.arm))
        return result.as_dict() if result else None

    def close(self) -> None:
        """Give the memory back."""
        self._native.close()

    # ------------------------------------------------------------------ answers
    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Generated]
    ) -> None:
        """Answer one prompt after the other, those that begin alike in turn."""
        for request in requests:
            _check_greedy(request.settings)
        self._make_room([(r.name, len(r.prompt) + r.max_new_tokens) for r in requests])
        for place in by_shared_prefix([request.prompt for request in requests]):
            tokens, cost = self._answer(requests[place])
            answered({place: tokens}, cost)

    def _answer(self, request: GenerationRequest) -> tuple[list[int], Mapping[str, float]]:
        prompt, tokens = request.prompt, []
        with (
            self._named(request.name),
            self._meter.batch([len(prompt)], len(prompt), "generate") as batch,
        ):
            kept, logits = self._run(prompt, 1)
            batch.cached(kept)
            while True:
                token = int(logits[-1].argmax())
                if np.isnan(logits[-1, token]):
                    raise not_a_number(request.name, self)
                tokens.append(token)
                batch.first_token()
                if self._is_done(tokens, request):
                    break
                logits = self._native.feed([token], 1)
            batch.generated([len(tokens)])
        return tokens, batch.cost

    def _is_done(self, tokens: Sequence[int], request: GenerationRequest) -> bool:
        if len(tokens) == request.max_new_tokens or tokens[-1] in self.decoding.end_tokens:
            return True
        if not request.stops:
            return False
        text = self.tokenizer.decode(tokens)
        return any(stop in text for stop in request.stops)

    # ------------------------------------------------------------------ likelihoods
    def score(
        self,
        requests: Sequence[LikelihoodRequest],
        answered: Answered[Sequence[Likelihood]],
    ) -> None:
        """Measure one request after the other; log-probabilities are taken in 64 bits."""
        most = max((_kept(request) for request in requests), default=1)
        self._make_room([(request.name, len(request.tokens)) for request in requests], most)
        for place in by_shared_prefix([request.tokens for request in requests]):
            request, length = requests[place], len(requests[place].tokens)
            with (
                self._named(request.name),
                self._meter.batch([length], length, "likelihood") as batch,
            ):
                kept, logits = self._run(request.tokens, _kept(request))
                batch.cached(kept)
                logprobs = _log_softmax(logits)
                likelihoods = [_likelihood(logprobs, each) for each in request.continuations]
            answered({place: likelihoods}, batch.cost)

    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        """Read one answer after the other; log-probabilities are taken in 64 bits."""
        most = max((len(request.answer) for request in requests), default=1)
        rows = [request.tokens for request in requests]
        self._make_room([(r.name, len(row)) for r, row in zip(requests, rows, strict=True)], most)
        for place in by_shared_prefix(rows):
            request, tokens = requests[place], rows[place]
            with (
                self._named(request.name),
                self._meter.batch([len(tokens)], len(tokens), "likelihood") as batch,
            ):
                kept, logits = self._run(tokens, len(request.answer))
                batch.cached(kept)
                reading = of_distributions(_log_softmax(logits), request)
            answered({place: reading}, batch.cost)

    # ------------------------------------------------------------------ the model
    def _make_room(self, needed: Sequence[tuple[str, int]], outputs: int = 1) -> None:
        for name, tokens in needed:
            if tokens > self.window:
                raise ModelError(
                    f"{name}: prompt and answer take {tokens:,} tokens, and the window has "
                    f"{self.window:,} (max_length)"
                )
        if needed:
            self._native.make_room(max(tokens for _, tokens in needed), outputs)
            # The same requests again are then run as they were before.
            self._native.keep(0)

    def _run(self, tokens: Sequence[int], wanted: int) -> tuple[int, Any]:
        """Run a prompt; return how much of it the cache held, and the logits of its last tokens.

        :param wanted: of how many of the last tokens logits are returned.
        """
        native = self._native
        usable = min(shared_prefix(native.held, tokens), len(tokens) - wanted)
        if self.batch_invariant:
            # Each piece of a prompt is then the same, whatever was run before it.
            usable = min(usable // self._settings.n_ubatch * self._settings.n_ubatch, native.whole)
        kept = native.keep(usable)
        return kept, native.feed(tokens[kept:], wanted)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except OutOfMemoryError:
            self._meter.out_of_memory(1)
            raise ModelError(
                f"{name}: memory runs out on this prompt alone: give a smaller n_ubatch, or "
                f"type_k=q8_0,type_v=q8_0,flash_attn=True"
            ) from None


def _computing(row: Precision) -> str:
    """Return the dtype in which llama.cpp sums up: that of weights in 16 bits, else float32."""
    mixture = MIXTURES.get(str(row.quant_type))
    return FLOATS.get(mixture.base, "float32") if mixture else "float32"


def _check_greedy(settings: Mapping[str, Any]) -> None:
    if settings.get("do_sample"):
        raise SettingsError(
            f"generation argument do_sample={settings['do_sample']}: engine={NAME} takes the "
            f"likeliest token only; leave it out, or take another engine"
        )
    for name, value in settings.items():
        if name not in _GREEDY:
            raise SettingsError(
                f"generation argument {name}={value}: engine={NAME} does not have it; it takes "
                f"the likeliest token. Leave it out, or take another engine"
            )


def _kept(request: LikelihoodRequest) -> int:
    """Return of how many positions the logits are needed."""
    return max(len(continuation) for continuation in request.continuations)


def _log_softmax(logits: Any) -> Any:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def _likelihood(logprobs: Any, continuation: Sequence[int]) -> Likelihood:
    """Return the log-probability of a continuation in nats, and whether it is the likeliest."""
    after = logprobs[-len(continuation) :]
    chosen = after[np.arange(len(continuation)), list(continuation)]
    return float(chosen.sum()), bool((after.argmax(axis=-1) == list(continuation)).all())
