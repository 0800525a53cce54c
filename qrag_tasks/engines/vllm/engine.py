"""The engine: vLLM in this process, and how it answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

from qrag_tasks.arms.components import digest_of, plain
from qrag_tasks.arms.identity import without_names
from qrag_tasks.arms.kv_caches import CacheFacts
from qrag_tasks.engines.base import (
    Answered,
    Engine,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.not_a_number import not_a_number
from qrag_tasks.engines.ordering import by_shared_prefix
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.engines.vllm import environment, failures, running
from qrag_tasks.engines.vllm.abilities import ABILITIES
from qrag_tasks.engines.vllm.answer_reading import AnswerReading
from qrag_tasks.engines.vllm.arguments import MEMORY, Asked
from qrag_tasks.engines.vllm.evidence import stored_digest, verify
from qrag_tasks.engines.vllm.kv_cache import facts_of, pages_of, read_cache
from qrag_tasks.engines.vllm.layers import read
from qrag_tasks.engines.vllm.positions import Place, Prompt, likelihoods_of, places_of
from qrag_tasks.engines.vllm.sampling import MOST_LOGPROBS, generation_params, next_token_params
from qrag_tasks.engines.vllm.workers import WorkersUsage
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter, SideBySide

logger = logging.getLogger("lm_eval.qrag_tasks")

_A_STEP = 256
"""The most requests that are handed over before a step: the first need not wait for all of them,
and the next ones are handed over while a step computes."""
_Tag = TypeVar("_Tag")


class VllmEngine(Engine):
    """A model that vLLM runs.

    :param llm: ``vllm.LLM``, whose core is in this process.
    :param tokenizer: with a pad token.
    :param config: the checkpoint's configuration, of transformers.
    :param generation_config: the checkpoint's own, or ``None``.
    :param asked: what was asked for.
    :param own: arguments of vLLM's own that it was given.
    :param window: tokens that prompt and answer may have together.
    :param computing: name of the dtype that the arm computes in.
    :param device: ``torch.device``.
    :raises ModelError: when what vLLM has loaded is not the arm that was asked for.
    """

    abilities = ABILITIES

    def __init__(
        self,
        llm: Any,
        tokenizer: Any,
        *,
        config: Any,
        generation_config: Any,
        asked: Asked,
        own: Mapping[str, Any],
        window: int,
        computing: str,
        device: Any,
        meter: Meter,
    ) -> None:
        self._llm = llm
        self._stop = running.keep(self, llm)
        self._core = llm.llm_engine
        self._asked = asked
        self._own = own
        self._meter = meter
        self._requests = 0
        self.tokenizer = tokenizer
        self.config = config
        self.window = window
        self.precision = asked.precision
        self.computing = computing
        self.device = device
        self.batch_invariant = asked.deterministic
        self._loaded = list(llm.apply_model(read))
        if len(self._loaded) > 1:
            meter.usages = WorkersUsage(llm)
        arm = verify(
            self._loaded,
            asked.precision,
            group_size=asked.arguments.get("group_size"),
            declared=asked.checkpoint.declared.unquantized,
        )
        self.arm = arm.as_dict()
        self._summary = arm.summary()
        self.decoding = decide(tokenizer, config, generation_config)
        self._at_once = int(self._core.vllm_config.scheduler_config.max_num_seqs)
        self.limit = BatchLimit(rows=self._at_once)

    @cached_property
    def _weights(self) -> Any:
        """A digest of the loaded weights or, where they cannot be read, of the checkpoint's."""
        digests = [loaded.digest for loaded in self._loaded]
        if None not in digests:
            return {"loaded": digest_of(digests)}
        return {"stored": stored_digest(self._asked.checkpoint.folder)}

    @property
    def identity(self) -> Mapping[str, Any]:
        """The weights as vLLM has loaded them, and all else that computes."""
        config = without_names(plain(self.config))
        name, version = environment.version()
        import torch

        return {
            "weights": self._weights,
            "quantization": config.pop("quantization_config", None),
            "config": config,
            "kernels": sorted({each for loaded in self._loaded for each in loaded.classes}),
            "attention": sorted({each for loaded in self._loaded for each in loaded.attention}),
            "dtype": self.computing,
            "device": self.device.type,
            "workers": len(self._loaded),
            "arguments": {n: plain(v) for n, v in self._own.items() if n not in MEMORY},
            "versions": {name: version, "torch": torch.__version__},
        }

    def smoke(self) -> None:
        """Have an answer and a likelihood made.

        What the kernels cannot compute shows here, and those that are compiled at their first use
        are compiled before a run is timed. The cache of keys and values is looked at.
        """
        answer = generation_params(GenerationRequest("smoke", [0], 2), self.decoding)
        both = (("answer", [0], answer), ("likelihood", [0], next_token_params([0])))
        with failures.at_start(self._asked.arguments["pretrained"], self.precision.name):
            for _ in self._run(iter(both), lambda what: f"a first {what}"):
                pass
        self.kv_cache = self._read_cache()
        logger.info("%s: %s", self.precision.name, self._summary)

    def _read_cache(self) -> CacheFacts | None:
        workers = list(self._llm.apply_model(read_cache))
        return facts_of(workers, *pages_of(self._core), self._asked.kv_cache)

    def model_info(self) -> dict[str, Any]:
        """Return what vLLM has made of its arguments."""
        config = self._core.vllm_config
        blocks = config.cache_config.num_gpu_blocks
        size = config.cache_config.block_size
        return {
            "vllm": {
                "version": environment.version()[1],
                "block_size": size,
                "kv_cache_tokens": blocks * size if blocks and size else None,
                "max_num_seqs": self._at_once,
                "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
                "prefix_caching": bool(config.cache_config.enable_prefix_caching),
                "workers": [
                    {"linear_layers": len(one.layers), "weight_bytes": one.weights.total}
                    for one in self._loaded
                ],
                "attention": sorted({each for one in self._loaded for each in one.attention}),
                "arguments": {name: plain(value) for name, value in self._own.items()},
            }
        }

    def forget(self) -> None:
        """Empty the cache of prefixes.

        :raises ModelError: when vLLM does not do so.
        """
        if not self._llm.reset_prefix_cache():
            raise ModelError(
                f"vLLM {environment.version()[1]} did not empty its cache of prefixes: give "
                f"enable_prefix_caching=False"
            )

    def close(self) -> None:
        """Have vLLM give its memory and its processes back, once it runs no other model here."""
        self._stop()

    # ------------------------------------------------------------------ answers
    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Sequence[int]]
    ) -> None:
        """Answer all in one continuous batch, prompts that begin alike one after the other."""
        params = [generation_params(request, self.decoding) for request in requests]
        order = by_shared_prefix([request.prompt for request in requests])
        waiting = ((place, requests[place].prompt, params[place]) for place in order)
        metered = self._metered(len(requests))
        with closing(self._run(waiting, lambda place: requests[place].name)) as steps:
            for finished in steps:
                answers: dict[int, Sequence[int]] = {}
                for place, output in finished.items():
                    (answer,) = output.outputs
                    if math.isnan(answer.cumulative_logprob):
                        raise not_a_number(requests[place].name, self)
                    answers[place] = list(answer.token_ids)
                cost = metered.answered(
                    sum(len(requests[place].prompt) for place in finished),
                    sum(map(len, answers.values())),
                    sum(output.num_cached_tokens or 0 for output in finished.values()),
                    answers=len(answers),
                )
                answered(answers, cost)

    # ------------------------------------------------------------------ likelihoods
    def score(
        self,
        requests: Sequence[LikelihoodRequest],
        answered: Answered[Sequence[Likelihood]],
    ) -> None:
        """Ask for the next token at every place of the continuations; shared places once."""
        places = places_of(requests)
        missing = [0] * len(requests)
        for place in places.values():
            for number in place.requests:
                missing[number] += 1
        prompts = list(places)
        waiting = (
            ((prompts[index], number), prompts[index], next_token_params(chunk))
            for index in by_shared_prefix(prompts)
            for number, chunk in enumerate(_chunks(list(places[prompts[index]].wanted)))
        )
        read = cached = 0
        metered = self._metered(len(prompts))

        def name_of(tag: tuple[Prompt, int]) -> str:
            return requests[min(places[tag[0]].requests)].name

        with closing(self._run(waiting, name_of)) as steps:
            for finished in steps:
                whole: list[int] = []
                for (prompt, _), output in finished.items():
                    read += len(prompt)
                    cached += output.num_cached_tokens or 0
                    place = places[prompt]
                    _take(place, output)
                    if place.known:
                        for number in place.requests:
                            missing[number] -= 1
                            whole += [number] * (not missing[number])
                if whole:
                    answers = {n: likelihoods_of(requests[n], places) for n in whole}
                    answered(answers, metered.answered(read, 0, cached))
                    read = cached = 0

    # ------------------------------------------------------------------ readings
    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        """Ask for the next token at every place of the answers."""
        readings = [AnswerReading(request) for request in requests]
        order = by_shared_prefix([request.tokens for request in requests])
        # The longest first: what is before it is then in the cache.
        left = [(n, p) for n in order for p in reversed(range(len(requests[n].answer)))]
        metered = self._metered(len(left))
        read = cached = 0
        while left:
            again: list[tuple[int, int]] = []
            waiting = (
                ((number, place), readings[number].prompt(place), readings[number].params(place))
                for number, place in left
            )
            with closing(self._run(waiting, lambda tag: requests[tag[0]].name)) as steps:
                for finished in steps:
                    whole: dict[int, Reading] = {}
                    for (number, place), output in finished.items():
                        read += len(requests[number].prompt) + place
                        cached += output.num_cached_tokens or 0
                        if not readings[number].take(place, output):
                            again.append((number, place))
                        elif readings[number].done:
                            whole[number] = readings[number].reading()
                    if whole:
                        answered(whole, metered.answered(read, 0, cached))
                        read = cached = 0
            left = again

    # ------------------------------------------------------------------ one batch
    def _metered(self, requests: int) -> SideBySide:
        return self._meter.side_by_side(
            min(requests, self._at_once, self.limit.rows or self._at_once)
        )

    def _run(
        self,
        waiting: Iterator[tuple[_Tag, Sequence[int], Any]],
        name_of: Callable[[_Tag], str],
    ) -> Generator[dict[_Tag, Any], None, None]:
        """Run requests, and yield those that are finished, after each of vLLM's steps.

        :param waiting: tag, prompt and ``SamplingParams`` of each, in the order in which they
            start.
        :param name_of: returns what an error calls a request, by its tag.
        """
        from vllm.inputs import tokens_input

        tags: dict[str, _Tag] = {}
        rows = self.limit.rows or self._at_once
        most = rows if rows < self._at_once else 2 * self._at_once
        try:
            while True:
                for tag, prompt, params in islice(waiting, min(_A_STEP, most - len(tags))):
                    self._requests += 1
                    number = str(self._requests)
                    with failures.while_answering(f"{name_of(tag)}: {len(prompt)} tokens"):
                        self._core.add_request(number, tokens_input(list(prompt)), params)
                    tags[number] = tag
                if not tags:
                    return
                with failures.while_answering(f"{len(tags)} requests"):
                    outputs = [each for each in self._core.step() if each.finished]
                if outputs:
                    yield {tags.pop(each.request_id): each for each in outputs}
        finally:
            if tags:
                self._core.abort_request(list(tags))


def _chunks(wanted: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(wanted), MOST_LOGPROBS):
        yield wanted[start : start + MOST_LOGPROBS]


def _take(place: Place, output: Any) -> None:
    """Take what a request for the next token returned."""
    (answer,) = output.outputs
    (logprobs,) = answer.logprobs
    place.likeliest = int(answer.token_ids[0])
    place.logprobs |= {int(token): float(each.logprob) for token, each in logprobs.items()}
