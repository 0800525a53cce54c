"""``--model qrag``: lm_eval's ``HFLM`` with precision arms, batches by tokens, and cost."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from tqdm import tqdm
from transformers import LogitsProcessorList

from qrag_tasks.arms import embedded, loading
from qrag_tasks.arms.arguments import asked_dtype, settings_of_config
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.identity import arm_identity
from qrag_tasks.arms.places import with_whole_places
from qrag_tasks.arms.smoke import smoke_check
from qrag_tasks.arms.verification import verify
from qrag_tasks.engines import decoding, generation, likelihoods, not_a_number
from qrag_tasks.engines.batches import Batches, BatchLimit, Footprint
from qrag_tasks.engines.journal import Journal, request_keys
from qrag_tasks.errors import ModelError
from qrag_tasks.harness.inner_names import require
from qrag_tasks.harness.windows import check_not_cut, check_nothing_is_cut
from qrag_tasks.metering.cost import Cost
from qrag_tasks.metering.meter import Meter
from qrag_tasks.prompting.model_text import ModelText

logger = logging.getLogger("lm_eval.qrag_tasks")


@register_model("qrag")
class QragLM(HFLM):  # type: ignore[misc]
    """A decoder-only model in one precision.

    Beside HFLM's own arguments:

    :param pretrained: folder or hub name of a checkpoint; the embedded model where none is named.
    :param precision: one of :data:`~qrag_tasks.arms.precisions.PRECISIONS`; the
        checkpoint's own where none is given.
    :param group_size: weights that share a scale: where it is given it is checked, not chosen.
    :param kernel: of GPT-QModel, for ``int4-gptq`` and ``int4-awq``; its own choice by default.
    :param dtype: in which a quantized arm computes; ``"auto"`` for the checkpoint's own.
    :param device: as torch names it; a GPU where there is one by default, else the CPU.
    :param batch_size: sequences a batch; ``"auto"`` for as many as fit.
    :param max_batch_size: with ``batch_size="auto"``: the most sequences a batch.
    :param max_batch_tokens: with ``batch_size="auto"``: the most tokens a batch, answers and
        padding included; default :data:`~qrag_tasks.engines.batches.TOKENS_PER_BATCH`.
    :raises ModelError: when the arm cannot be had, or is not what it claims.
    :raises SettingsError: for an impossible argument.
    """

    refuses_long_prompts = True

    def __init__(
        self,
        pretrained: str | None = None,
        precision: str | None = None,
        group_size: int | None = None,
        kernel: str | None = None,
        dtype: str | torch.dtype = "auto",
        device: str | None = None,
        batch_size: int | str = "auto",
        max_batch_size: int | None = None,
        max_batch_tokens: int | None = None,
        revision: str = "main",
        subfolder: str = "",
        **arguments: Any,
    ) -> None:
        require("harness.model")
        if pretrained is None:
            pretrained = embedded.instead_of_none()
        arguments = with_whole_places({**arguments, "pretrained": pretrained})
        pretrained = arguments.pop("pretrained")
        checkpoint, row = loading.asked_arm(
            {
                **arguments,
                "pretrained": pretrained,
                "precision": precision,
                "group_size": group_size,
                "kernel": kernel,
                "dtype": dtype,
                "batch_size": batch_size,
                "max_batch_size": max_batch_size,
                "max_batch_tokens": max_batch_tokens,
                "revision": revision,
                "subfolder": subfolder,
            },
        )
        dtype = asked_dtype({"dtype": dtype, "torch_dtype": arguments.pop("torch_dtype", None)})
        device = str(checked_device(device))
        self.precision = row
        self._asked_dtype = dtype
        self._asked_kernel = kernel
        self._config_settings = settings_of_config(arguments)
        limit = BatchLimit.of(batch_size, max_batch_size, max_batch_tokens, torch.device(device))
        self._asked_limit = (limit.rows, limit.tokens)
        self._journal: Journal | None = None
        self._meter = Meter(torch.device(device))
        self._costs: list[Cost] = []
        with self._meter.loading():
            super().__init__(
                pretrained,
                device=device,
                dtype=dtype,
                batch_size=limit.rows or 1,
                revision=revision,
                subfolder=subfolder,
                **arguments,
            )
        if self.backend != "causal":
            raise ModelError(
                f"pretrained={pretrained} is an encoder-decoder: --model qrag runs decoder-only "
                f"models, --model hf runs it"
            )
        # A rank's own, where accelerate chose it.
        self._meter.device = self.device
        self._join_other_ranks()
        self.arm = verify(
            self.model, row, group_size=group_size, declared=checkpoint.declared_unquantized
        )
        self.decoding = decoding.decide(
            self.tokenizer, self.model.config, getattr(self.model, "generation_config", None)
        )
        # transformers fills what a request leaves open from here.
        self.model.generation_config = self.decoding.settings({}, self.max_gen_toks)
        # Before any pass through the model: bitsandbytes packs its weights again at the first.
        self.identity = arm_identity(self)
        self.smoke = smoke_check(self.model, checkpoint.folder) if row.quantized else None
        footprint = Footprint.of(self.config, self.computing_dtype.itemsize)
        self._batches = Batches(limit, footprint, self.device, self._meter)
        self._text = ModelText(self.tokenizer, self.max_length, self.add_bos_token)
        logger.info("%s: %s", row.name, self.arm.summary())

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the weights as the precision wants them."""
        self.computing_dtype = loading.computing_dtype(
            self._asked_dtype, self.config, self.device, self.precision
        )
        arguments = loading.loading_arguments(
            self.precision,
            self.config,
            self.computing_dtype,
            self._asked_kernel,
            self._config_settings,
        )
        if "config" in arguments:
            kwargs = {k: v for k, v in kwargs.items() if k not in self._config_settings}
        super()._create_model(*args, **{**kwargs, "dtype": self.computing_dtype, **arguments})
        if "config" in arguments:
            loading.cast_unquantized(self._model, self.config.dtype, self.computing_dtype)

    def _join_other_ranks(self) -> None:
        """Take part in a data-parallel run on any device: HFLM knows them on GPUs only."""
        accelerator = getattr(self, "accelerator", None)
        if accelerator is not None and accelerator.num_processes > 1:
            self._rank = accelerator.process_index
            self._world_size = accelerator.num_processes

    # ------------------------------------------------------------------ answers
    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Answer every request, in batches of like length.

        :raises BudgetError: when a prompt would be cut.
        :raises ModelError: when memory runs out on a single prompt, or logits are not numbers.
        """
        prompts = [self._text.encode(request.args[0]) for request in requests]
        groups = generation.groups_of(requests, self.max_gen_toks)
        for group in groups:
            for i in group.indices:
                check_not_cut(requests[i], len(prompts[i]), group.max_new_tokens, self.max_length)
        keys = request_keys(request.args for request in requests)
        answers: list[str | None] = [self._kept(key) for key in keys]
        bar = self._bar("generate_until", len(requests), disable_tqdm)
        bar.update(sum(answer is not None for answer in answers))
        with self._meter.answering():
            for group in groups:
                self._generate_group(group, requests, prompts, keys, answers, bar)
        bar.close()
        return [str(answer) for answer in answers]

    def _generate_group(
        self,
        group: generation.Group,
        requests: Sequence[Any],
        prompts: Sequence[Sequence[int]],
        keys: Sequence[str],
        answers: list[str | None],
        bar: Any,
    ) -> None:
        def run(batch: Sequence[int]) -> None:
            members = [waiting[i] for i in batch]
            found, cost = self._generate(
                group, [prompts[i] for i in members], [requests[i] for i in members]
            )
            self._keep({keys[i]: answer for i, answer in zip(members, found, strict=True)}, cost)
            for i, answer in zip(members, found, strict=True):
                answers[i] = answer
                self.cache_hook.add_partial("generate_until", requests[i].args, answer)
            bar.update(len(batch))

        waiting = [i for i in group.indices if answers[i] is None]
        widths = [len(prompts[i]) + group.max_new_tokens for i in waiting]
        self._batches.run(widths, 1, [requests[i] for i in waiting], run)

    def _generate(
        self, group: generation.Group, prompts: Sequence[Sequence[int]], asked: Sequence[Any]
    ) -> tuple[list[str], Mapping[str, float]]:
        """Run one batch; return its answers and what it cost."""
        lengths = [len(prompt) for prompt in prompts]
        padded = len(prompts) * max(lengths)
        watch = not_a_number.Watch(asked, self, drawn=bool(group.settings.get("do_sample")))
        with self._meter.batch(prompt_tokens=lengths, padded=padded, kind="generate") as measured:
            ids, mask = likelihoods.left_padded(prompts, self.decoding.pad_token, self.device)
            with self._autocast():
                out = self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=self.decoding.settings(group.settings, group.max_new_tokens),
                    stopping_criteria=group.criteria(
                        self.tokenizer, ids.shape, measured.first_token
                    ),
                    logits_processor=LogitsProcessorList([watch]),
                )
            new = out[:, ids.shape[1] :].tolist()
            ends = self.decoding.end_tokens
            new = [generation.up_to_end(tokens, ends) for tokens in new]
            measured.generated([len(tokens) for tokens in new])
        watch.check()
        answers = [generation.read_answer(tokens, group.stops, self) for tokens in new]
        return answers, measured.cost

    # ------------------------------------------------------------------ likelihoods
    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Measure the likelihood of every request's continuation.

        :raises ModelError: when memory runs out on a single one, or logits are not numbers.
        """
        check_nothing_is_cut(self, requests)
        with self._meter.answering():
            return likelihoods.measure(
                self, requests, lambda others: super(QragLM, self).loglikelihood(others)
            )

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """Measure continuations; those of one context share its pass through the model."""
        by_input: dict[tuple[int, ...], list[int]] = {}
        for index, (_, context, continuation) in enumerate(requests):
            by_input.setdefault((*context, *continuation[:-1]), []).append(index)
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        bar = self._bar("loglikelihood", len(requests), disable_tqdm)
        keys = request_keys(
            [row, [requests[index][2] for index in members]] for row, members in by_input.items()
        )
        journal_keys = dict(zip(by_input, keys, strict=True))

        def answer(row: tuple[int, ...], measured: Sequence[tuple[float, bool]]) -> None:
            for index, (logprob, likeliest) in zip(by_input[row], measured, strict=True):
                found[index] = (logprob, likeliest)
                if requests[index][0] is not None:
                    self.cache_hook.add_partial("loglikelihood", requests[index][0], found[index])
                bar.update()

        def run(batch: Sequence[int]) -> None:
            rows = [inputs[i] for i in batch]
            lengths = [len(row) for row in rows]
            padded = len(rows) * max(lengths)
            with self._meter.batch(lengths, padded, "likelihood") as metered:
                logprobs = self._last_log_probabilities(rows, max(kept[row] for row in rows))
                measured = {
                    row: [
                        likelihoods.of_continuation(logprobs[i], requests[index][2])
                        for index in by_input[row]
                    ]
                    for i, row in enumerate(rows)
                }
            for row, pairs in measured.items():
                not_a_number.check_log_probabilities(pairs, requests[by_input[row][0]][0], self)
            self._keep({journal_keys[row]: pairs for row, pairs in measured.items()}, metered.cost)
            for row, values in measured.items():
                answer(row, values)

        for row in by_input:
            if (before := self._kept(journal_keys[row])) is not None:
                answer(row, before)
        inputs = [row for row in by_input if self._kept(journal_keys[row]) is None]
        kept = {row: max(len(requests[i][2]) for i in indices) for row, indices in by_input.items()}
        firsts = [requests[by_input[row][0]][0] for row in inputs]
        most = max(kept.values(), default=1)
        self._batches.run([len(row) for row in inputs], most, firsts, run)
        bar.close()
        return found

    def _last_log_probabilities(self, rows: Sequence[Sequence[int]], kept: int) -> Any:
        with torch.inference_mode(), self._autocast():
            return likelihoods.last_log_probabilities(
                self.model, rows, kept, self.decoding.pad_token, self.softmax_dtype or torch.float32
            )

    # ------------------------------------------------------------------ answers on disk
    def keep_answers(self, journal: Journal | None) -> None:
        """Take answers from a journal from now on, and put there what is answered.

        Batches and cost begin again, with what the journal holds of them, so that neither depends
        on what this process answered before.

        :param journal: opened for this arm (:attr:`identity`); ``None`` to keep answers no more.
        """
        self._journal = journal
        limit = journal.limit if journal is not None and journal.limit else self._asked_limit
        self._batches.limit = BatchLimit(*limit)
        self._meter.restart(journal.costs if journal is not None else ())

    def _kept(self, key: str) -> Any:
        return self._journal[key] if self._journal is not None and key in self._journal else None

    def _keep(self, answers: Mapping[str, Any], cost: Mapping[str, float]) -> None:
        if self._journal is not None:
            limit = self._batches.limit
            self._journal.append(answers, cost, (limit.rows, limit.tokens, limit.room))

    # ------------------------------------------------------------------ batches
    def batching(self) -> str:
        """Say how sequences are batched now."""
        return str(self._batches.limit)

    def batch_otherwise(self, batch_size: int | str) -> None:
        """Batch from now on by another ``batch_size``."""
        self._batches.limit = BatchLimit.of(batch_size, None, None, self.device)

    def _autocast(self) -> Any:
        return torch.autocast(
            device_type=self.device.type,
            dtype=self.mixed_precision_dtype,
            enabled=self.mixed_precision_dtype is not None,
        )

    def _bar(self, what: str, total: int, disabled: bool) -> Any:
        off = disabled or self.rank != 0
        return tqdm(total=total, disable=off, desc=f"Running {what} requests")

    # ------------------------------------------------------------------ what the results say
    def barrier(self) -> None:
        """Wait for the other ranks, and bring their costs to the first.

        lm_eval calls this on every rank alike; the methods that answer it calls only on those
        whose answers are not all kept by ``--use_cache``.
        """
        super().barrier()
        self._costs = self.gather_object(self._meter.cost()) or []

    @property
    def cost(self) -> Cost:
        """What the run has cost so far, over all ranks."""
        return Cost.together(self._costs or [self._meter.cost()])

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm_eval puts into the results beside the model's arguments."""
        return {
            **super().get_model_info(),
            "qrag": {
                "precision": self.precision.name,
                "arm": self.arm.as_dict(),
                "identity": self.identity.digest,
                "identity_parts": dict(self.identity.parts),
                "decoding": {**self.decoding.as_dict(), "set_aside": dict(self.decoding.set_aside)},
                "smoke_check": self.smoke.as_dict() if self.smoke else None,
                "cost": self.cost.as_dict(),
            },
        }
