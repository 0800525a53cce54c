"""The engine: a decoder-only model of transformers that is loaded, and how it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import LogitsProcessorList

from qrag_tasks.arms.checkpoints import Checkpoint
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.identity import model_parts
from qrag_tasks.arms.kv_caches import KvCache
from qrag_tasks.arms.smoke import smoke_check
from qrag_tasks.arms.verification import VerifiedArm
from qrag_tasks.engines.base import (
    Answered,
    Engine,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
    Ranks,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.readings import Reading, ReadingRequest, of_distributions
from qrag_tasks.engines.transformers import likelihoods, shared_rows
from qrag_tasks.engines.transformers.abilities import ABILITIES
from qrag_tasks.engines.transformers.batches import Batches, Footprint, OutOfMemory
from qrag_tasks.engines.transformers.generation import (
    FirstToken,
    StopText,
    generation_config,
    groups_of,
)
from qrag_tasks.engines.transformers.kv_cache import KvCaches
from qrag_tasks.engines.transformers.not_a_number import Watch
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter

if TYPE_CHECKING:
    from qrag_tasks.engines.transformers.continuous import ContinuousBatches

logger = logging.getLogger("lm_eval.qrag_tasks")


class TransformersEngine(Engine):
    """A model of transformers.

    :param model: decoder-only, verified to be in ``precision``.
    :param tokenizer: with a pad token.
    :param arm: what its layers are.
    :param checkpoint: that the model was loaded from.
    :param window: tokens that prompt and answer may have together.
    :param longest_answer: in tokens, where nobody says; a part of the arm's identity.
    :param dtype: ``torch.dtype`` that the arm computes in.
    :param continuous: whether transformers' continuous batching answers what it can.
    :param batch_invariant: whether every prompt is to be alone in its batch, whatever the limit.
    :param kv_cache: how keys and values are to be kept; ``None`` for the model's own way.
    :param mixed_precision: ``torch.dtype`` of autocast; ``None`` for none.
    :param describe: returns what lm_eval's results say of the model.
    """

    abilities = ABILITIES

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        precision: Precision,
        arm: VerifiedArm,
        checkpoint: Checkpoint,
        window: int,
        longest_answer: int,
        dtype: torch.dtype,
        device: torch.device,
        limit: BatchLimit,
        meter: Meter,
        continuous: bool = False,
        batch_invariant: bool = False,
        kv_cache: KvCache | None = None,
        mixed_precision: torch.dtype | None = None,
        ranks: Ranks | None = None,
        describe: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = model.config
        self.precision = precision
        self.arm = arm.as_dict()
        self._summary = arm.summary()
        self._checkpoint = checkpoint
        self.window = window
        self.device = device
        self.computing = str(dtype).removeprefix("torch.")
        self.mixed_precision_dtype = mixed_precision
        self.ranks = ranks or Ranks()
        self._describe = describe
        self._meter = meter
        self.batch_invariant = batch_invariant
        limit = BatchLimit(rows=1) if batch_invariant else limit
        self._caches = KvCaches(model, kv_cache)
        self._batches = Batches(
            limit, Footprint.of(self.config, dtype.itemsize, self._caches.item_size), device, meter
        )
        self.decoding = decide(tokenizer, self.config, getattr(model, "generation_config", None))
        # transformers fills what a request leaves open from here.
        model.generation_config = generation_config(self.decoding, {}, longest_answer)
        self._continuous = self._continuous_batches() if continuous else None
        # Whether answers to one prompt share a row; None before there were two to try.
        self._sharing: bool | None = None

    @property
    def limit(self) -> BatchLimit:
        """How large a batch may be."""
        return self._batches.limit

    @limit.setter
    def limit(self, limit: BatchLimit) -> None:
        # Kernels choose the order of their sums by the shape of a batch, and so does padding.
        self._batches.limit = BatchLimit(rows=1) if self.batch_invariant else limit

    @property
    def identity(self) -> Mapping[str, Any]:
        """The weights as they lie in memory, and all else that computes."""
        parts = model_parts(self.model, self.tokenizer, self.device)
        if self._continuous is not None:
            parts["batching"] = {"kind": "continuous", "attention": self._continuous.attention}
        if (cache := self._caches.identity) is not None:
            parts["kv_cache"] = cache
        return parts

    def smoke(self) -> Mapping[str, Any] | None:
        """Run the smallest quantized layer, and compare with its dequantized weights.

        The cache of keys and values is filled, looked at and, where one was asked for, compared
        with a plain one.
        """
        result = smoke_check(self.model, self._checkpoint) if self.precision.quantized else None
        with self._autocast():
            self.kv_cache, check = self._caches.check(self.device)
        logger.info("%s: %s", self.precision.name, self._summary)
        return {
            **(result.as_dict() if result else {}),
            **({"kv_cache": asdict(check)} if check else {}),
        } or None

    def model_info(self) -> dict[str, Any]:
        """Return what whoever loaded the model says of it."""
        return self._describe()

    def _continuous_batches(self) -> ContinuousBatches:
        try:
            from qrag_tasks.engines.transformers.continuous import ContinuousBatches
        except ImportError as error:
            raise ModelError(
                f"batching=continuous: transformers {transformers.__version__} does not have it as "
                f"5.17 and later do ({error}): upgrade transformers, or leave batching out"
            ) from error
        return ContinuousBatches(self, self.model, self._meter)

    # ------------------------------------------------------------------ answers
    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Sequence[int]]
    ) -> None:
        """Answer continuously what can be, and the rest in padded batches."""
        left = dict(enumerate(requests))
        if self._continuous is not None:
            left = self._generate_continuously(self._continuous, left, answered)
        self._generate_padded(left, answered)

    def _generate_continuously(
        self,
        batches: ContinuousBatches,
        requests: Mapping[int, GenerationRequest],
        answered: Answered[Sequence[int]],
    ) -> dict[int, GenerationRequest]:
        """Answer what can be; return what is left."""
        left = dict(requests)
        taken = {place: request for place, request in left.items() if batches.takes(request)}
        if refused := len(left) - len(taken):
            logger.warning(
                "batching=continuous takes the likeliest token and no other generation argument: "
                "%d of %d requests are answered in padded batches",
                refused,
                len(left),
            )

        def keep(answers: Mapping[int, Sequence[int]], cost: Mapping[str, float]) -> None:
            answered(answers, cost)
            for place in answers:
                del left[place]

        try:
            if taken:
                batches.run(taken, keep)
        except OutOfMemory as error:
            logger.warning(
                "batching=continuous ran out of memory (%s): the %d requests that are left are "
                "answered in padded batches",
                error,
                len(left),
            )
        return left

    def _generate_padded(
        self, requests: Mapping[int, GenerationRequest], answered: Answered[Sequence[int]]
    ) -> None:
        """Answer in batches of like length, those with the same generation arguments together."""

        def run(batch: Sequence[int]) -> None:
            places = [group[i] for i in batch]
            tokens, cost = self._generate([requests[place] for place in places])
            answered(dict(zip(places, tokens, strict=True)), cost)

        given = list(requests)
        for indices in groups_of(list(requests.values())):
            group = [given[index] for index in indices]
            members = [requests[place] for place in group]
            widths = [len(request.prompt) + request.max_new_tokens for request in members]
            self._batches.run(widths, 1, [request.name for request in members], run)

    def _generate(
        self, requests: Sequence[GenerationRequest]
    ) -> tuple[list[Sequence[int]], Mapping[str, float]]:
        """Run one batch; return its answers and what it cost."""
        (first, *_), rows = requests, len(requests)
        lengths = [len(request.prompt) for request in requests]
        width = max(lengths)
        drawn = bool(first.settings.get("do_sample"))
        watch = Watch([request.name for request in requests], self, drawn)
        with self._meter.batch(lengths, rows * width, "generate") as measured:
            ids, mask = likelihoods.left_padded(
                [request.prompt for request in requests], self.decoding.pad_token, self.device
            )
            stops = [StopText(text, self.tokenizer, rows, width) for text in first.stops]
            with self._autocast():
                out = self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    **self._caches.new(),
                    generation_config=generation_config(
                        self.decoding, first.settings, first.max_new_tokens
                    ),
                    stopping_criteria=[FirstToken(measured), *stops],
                    logits_processor=LogitsProcessorList([watch]),
                )
            tokens = [self.decoding.up_to_end(row) for row in out[:, width:].tolist()]
            measured.generated([len(row) for row in tokens])
        watch.check()
        return tokens, measured.cost

    # ------------------------------------------------------------------ likelihoods
    def score(
        self,
        requests: Sequence[LikelihoodRequest],
        answered: Answered[Sequence[Likelihood]],
    ) -> None:
        """Measure in batches of like length."""

        def run(batch: Sequence[int]) -> None:
            members = [requests[place] for place in batch]
            lengths = [len(request.tokens) for request in members]
            with self._meter.batch(lengths, len(batch) * max(lengths), "likelihood") as measured:
                logprobs = self._log_probabilities(
                    [request.tokens for request in members],
                    max(map(_kept, members)),
                    getattr(torch, members[0].softmax_dtype),
                )
                answers = {
                    place: [
                        likelihoods.of_continuation(row, continuation)
                        for continuation in request.continuations
                    ]
                    for place, request, row in zip(batch, members, logprobs, strict=True)
                }
            answered(answers, measured.cost)

        widths = [len(request.tokens) for request in requests]
        most = max(map(_kept, requests), default=1)
        self._batches.run(widths, most, [request.name for request in requests], run)

    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        """Read in batches of like length; log-probabilities are taken in 32 bits.

        Answers to one prompt share its pass, where the model computes the same so.
        """
        rows = shared_rows.rows_of(requests, self._shares_rows(requests))

        def run(batch: Sequence[int]) -> None:
            members = [rows[number] for number in batch]
            lengths = [len(row.tokens) for row in members]
            with self._meter.batch(lengths, len(batch) * max(lengths), "likelihood") as measured:
                readings = {
                    place: of_distributions(logprobs, requests[place])
                    for row, answers in zip(members, self._read(members), strict=True)
                    for place, logprobs in zip(row.places, answers, strict=True)
                }
            answered(readings, measured.cost)

        most = max((row.kept for row in rows), default=1)
        names = [requests[row.places[0]].name for row in rows]
        self._batches.run([len(row.tokens) for row in rows], most, names, run)

    def _read(self, rows: Sequence[shared_rows.Row]) -> Sequence[Sequence[torch.Tensor]]:
        """Return the log-probabilities at each place of every row's answers."""
        if any(len(row.answers) > 1 for row in rows):
            with torch.no_grad(), self._autocast():
                return shared_rows.log_probabilities(self.model, rows, self.decoding.pad_token)
        most = max(row.kept for row in rows)
        logprobs = self._log_probabilities([row.tokens for row in rows], most, torch.float32)
        return [[each[-row.kept :]] for row, each in zip(rows, logprobs, strict=True)]

    def _shares_rows(self, requests: Sequence[ReadingRequest]) -> bool:
        """Tell whether answers to one prompt share a row."""
        if self._sharing is None:
            able = not (self.batch_invariant or self._caches.new())
            able = able and shared_rows.takes_masks(self.config)
            self._sharing = shared_rows.tried(requests, self._read) if able else False
        return bool(self._sharing)

    def _log_probabilities(
        self, rows: Sequence[Sequence[int]], kept: int, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return log-probabilities after the last tokens: shape (rows, kept, vocabulary)."""
        # As in generate(): under inference_mode(), some tensors that wrap others have no views.
        with torch.no_grad(), self._autocast():
            logprobs: torch.Tensor = likelihoods.last_log_probabilities(
                self.model, rows, kept, self.decoding.pad_token, dtype, self._caches.new()
            )
        return logprobs

    def _autocast(self) -> Any:
        return torch.autocast(
            device_type=self.device.type,
            dtype=self.mixed_precision_dtype,
            enabled=self.mixed_precision_dtype is not None,
        )


def _kept(request: LikelihoodRequest) -> int:
    """Return of how many positions the logits are needed."""
    return max(len(continuation) for continuation in request.continuations)
