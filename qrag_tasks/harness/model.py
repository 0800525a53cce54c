"""``--model qrag``: an engine in lm_eval, with precision arms, a journal, and cost."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.dtypes import named_dtype
from qrag_tasks.arms.engine_choice import TRANSFORMERS, chosen_engine
from qrag_tasks.arms.identity import arm_identity, remember_creation
from qrag_tasks.arms.places import with_whole_places
from qrag_tasks.engines.base import Generated, Likelihood
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.journal import Journal, request_keys
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.engines.session import Session
from qrag_tasks.harness import answer_likelihoods
from qrag_tasks.harness.engine_requests import generation_request, likelihood_requests, read_answer
from qrag_tasks.harness.tokenized_lm import TokenizedLM
from qrag_tasks.harness.windows import check_not_cut, check_nothing_is_cut
from qrag_tasks.logs.schema import BLOCK, LoggedArm
from qrag_tasks.metering.cost import Cost
from qrag_tasks.metering.meter import Meter
from qrag_tasks.prompting.model_text import ModelText
from qrag_tasks.upstream.name_checks import require

require("harness.model")


@register_model("qrag")
class QragLM(TokenizedLM):
    """A decoder-only model in one precision.

    Beside lm_eval's own arguments of ``HFLM``:

    :param pretrained: folder or hub name of a checkpoint; the embedded model where none is named.
    :param precision: one of :data:`~qrag_tasks.arms.precisions.precisions`; the
        checkpoint's own where none is given.
    :param group_size: weights that share a scale: where it is given it is checked, not chosen.
    :param kernel: of GPT-QModel, for ``int4-gptq`` and ``int4-awq``; its own choice by default.
    :param dtype: in which a quantized arm computes; ``"auto"`` for the checkpoint's own.
    :param device: as torch names it; a GPU where there is one by default, else the CPU.
    :param batch_size: sequences a batch; ``"auto"`` for as many as fit.
    :param max_batch_size: with ``batch_size="auto"``: the most sequences a batch.
    :param max_batch_tokens: with ``batch_size="auto"``: the most tokens a batch, answers and
        padding included; default :data:`~qrag_tasks.engines.batch_limit.TOKENS_PER_BATCH`.
    :param engine: that runs the model: ``transformers``, or one that a plugin supplies; its
        arguments are then its own.
    :param batching: ``"padded"``, prompts of like length together; or ``"continuous"``,
        transformers' own, which packs them and begins the next where one is done.
    :param deterministic: whether an answer must not depend on what else is in its batch; then
        two arms differ by their weights alone.
    :param kv_cache: how keys and values are kept: one of the engine's ways, such as ``fp8``;
        ``"auto"`` for the dtype that the arm computes in.
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
        engine: str = TRANSFORMERS,
        batching: str | None = None,
        deterministic: bool | None = None,
        kv_cache: str | None = None,
        **arguments: Any,
    ) -> None:
        named = {
            "pretrained": pretrained,
            "precision": precision,
            "group_size": group_size,
            "kernel": kernel,
            "dtype": dtype,
            "device": device,
            "batch_size": batch_size,
            "max_batch_size": max_batch_size,
            "max_batch_tokens": max_batch_tokens,
            "engine": engine,
            "batching": batching,
            "deterministic": deterministic,
            "kv_cache": kv_cache,
        }
        arguments |= {name: value for name, value in named.items() if value is not None}
        arguments = with_whole_places(arguments)
        self._chosen = chosen_engine(arguments)
        self._meter = Meter(checked_device(device))
        self._costs: list[Cost] = []
        super().__init__(self._chosen.value.load(arguments, self._meter), arguments)
        # Or tasks would not know the arguments of its engine from misspelt choices of theirs.
        remember_creation(self, arguments)
        self.softmax_dtype, self.mixed_precision_dtype = (
            named_dtype(name, arguments.get(name))
            for name in ("softmax_dtype", "mixed_precision_dtype")
        )
        weakref.finalize(self, self.engine.close)
        self.decoding = self.engine.decoding
        # Before any pass through the model: bitsandbytes packs its weights again at the first.
        self.identity = arm_identity(self)
        self.smoke = self.engine.smoke()
        if (cache := self.engine.kv_cache) is not None:
            self._meter.cache_bytes_per_token = cache.bytes_per_token
        self._session = Session(self.engine, self._meter, self._chosen.name)
        self._text = ModelText(self.tokenizer, self.max_length, self.add_bos_token)

    # ------------------------------------------------------------------ answers
    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Answer every request.

        :raises BudgetError: when a prompt would be cut.
        :raises ModelError: when memory runs out on a single prompt, or logits are not numbers.
        """
        prompts = self.encode_prompts([request.args[0] for request in requests])
        engine_requests = [
            generation_request(request, prompt, self.max_gen_toks)
            for request, prompt in zip(requests, prompts, strict=True)
        ]
        for request, asked_request in zip(requests, engine_requests, strict=True):
            tokens = len(asked_request.prompt)
            check_not_cut(request, tokens, asked_request.max_new_tokens, self.max_length)

        def read(place: int, generated: Generated) -> str:
            return read_answer(generated, engine_requests[place].stops, self)

        def tell(place: int, answer: str) -> None:
            self.cache_hook.add_partial("generate_until", requests[place].args, answer)
            bar.update()

        bar = self._bar("generate_until", len(requests), disable_tqdm)
        with bar, self._meter.answering():
            keys = request_keys(request.args for request in requests)
            return self._session.generate(engine_requests, keys, read, tell)

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Measure the likelihood of every request's continuation.

        :raises ModelError: when memory runs out on a single one, or logits are not numbers.
        """
        check_nothing_is_cut(self, requests)
        with self._meter.answering():
            return answer_likelihoods.measure(self, requests, self._as_lm_eval_does)

    def _as_lm_eval_does(self, requests: Sequence[Any]) -> list[Likelihood]:
        if self.enable_thinking:
            names = ", ".join(sorted({str(request.task_name) for request in requests}))
            raise ValueError(
                f"enable_thinking=True is not compatible with loglikelihood tasks. Triggered by "
                f"task(s): {names}"
            )
        measured: list[Likelihood] = TemplateLM.loglikelihood(self, requests)
        return measured

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[Likelihood]:
        """Measure continuations; those of one context share its pass through the model."""
        softmax_dtype = str(self.softmax_dtype or torch.float32).removeprefix("torch.")
        engine_requests, members = likelihood_requests(requests, softmax_dtype)
        measured: dict[int, Likelihood] = {}

        def tell(place: int, likelihoods: Sequence[Likelihood]) -> None:
            for index, (logprob, likeliest) in zip(members[place], likelihoods, strict=True):
                measured[index] = (logprob, likeliest)
                if (texts := requests[index][0]) is not None:
                    self.cache_hook.add_partial("loglikelihood", texts, measured[index])
                bar.update()

        keys = request_keys([each.tokens, each.continuations] for each in engine_requests)
        with self._bar("loglikelihood", len(requests), disable_tqdm) as bar:
            self._session.score(engine_requests, keys, tell)
        return [measured[index] for index in range(len(requests))]

    def read_answers(self, requests: Sequence[ReadingRequest]) -> list[Reading]:
        """Return what the model makes of given answers, token by token.

        They are kept in the journal, where there is one (:meth:`keep_answers`).

        :raises ModelError: when memory runs out on a single one, logits are not numbers, or the
            engine tells no distributions.
        """
        wanted = ([r.tokens, r.answer[-1:], r.top, r.wanted] for r in requests)
        with self._bar("read_answers", len(requests), False) as bar, self._meter.answering():
            return self._session.read(requests, request_keys(wanted), lambda *_: bar.update())

    def encode_prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of prompts, as requests are encoded."""
        return self._text.encode_all(prompts)

    def _bar(self, what: str, total: int, disabled: bool) -> Any:
        off = disabled or self.rank != 0
        return tqdm(total=total, disable=off, desc=f"Running {what} requests")

    # ------------------------------------------------------------------ how it answers
    def keep_answers(self, journal: Journal | None) -> None:
        """Take answers from a journal from now on; see :meth:`Session.keep_answers`.

        :param journal: opened for this arm (:attr:`identity`).
        """
        self._session.keep_answers(journal)

    def batching(self) -> str:
        """Say how sequences are batched now."""
        return str(self.engine.limit)

    def batch_otherwise(self, batch_size: int | str) -> None:
        """Batch from now on by another ``batch_size``."""
        self.engine.limit = BatchLimit.of(batch_size, None, None, self.device)

    # ------------------------------------------------------------------ what the results say
    def engine_identity(self) -> Mapping[str, Any]:
        """Return what answers depend on of the engine: :func:`arm_identity` has the rest."""
        deterministic = {"deterministic": True} if self.engine.batch_invariant else {}
        return {**self.engine.identity, **deterministic, **self._engine_row()}

    def _engine_row(self) -> dict[str, Any]:
        """Return which engine answers; nothing for transformers, as before there were others."""
        if self._chosen.name == TRANSFORMERS:
            return {}
        origin = self._chosen.origin
        row = {
            "name": self._chosen.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "evidence": self.engine.abilities.evidence,
        }
        return {"engine": row}

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
        arm = LoggedArm(
            precision=self.engine.precision.name,
            arm=dict(self.engine.arm),
            identity=self.identity.digest,
            identity_parts=dict(self.identity.parts),
            decoding={**self.decoding.as_dict(), "set_aside": dict(self.decoding.set_aside)},
            smoke_check=self.smoke,
            cost=self.cost.as_dict(),
            deterministic=self.engine.batch_invariant,
            kv_cache=None if self.engine.kv_cache is None else self.engine.kv_cache.as_dict(),
            **self._engine_row(),
        )
        return {**self.engine.model_info(), BLOCK: arm.as_dict()}
