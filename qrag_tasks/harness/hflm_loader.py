"""Loads a model of transformers with lm_eval's own ``HFLM``, for the engine that runs it.

``HFLM`` knows the ranks of ``accelerate``, models that are spread over GPUs, adapters, delta
weights and the options of tokenizers, all by the arguments that users of ``--model hf`` write. What
it loads is handed to the engine; it answers nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lm_eval.models.huggingface import HFLM

from qrag_tasks.arms import embedded, loading
from qrag_tasks.arms.arguments import asked_dtype, settings_of_config
from qrag_tasks.arms.batching_arguments import CONTINUOUS
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.engine_choice import TRANSFORMERS
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.kv_caches import asked_cache
from qrag_tasks.arms.precisions import format_of
from qrag_tasks.arms.verification import verify
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.transformers.engine import TransformersEngine
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.metering.usage import spread_over
from qrag_tasks.upstream.name_checks import require

logger = logging.getLogger("lm_eval.qrag_tasks")

_OURS = (
    *("engine", "precision", "group_size", "kernel", "max_batch_size", "max_batch_tokens"),
    *("deterministic", "batching", "kv_cache"),
)
"""Arguments that ``HFLM`` does not get."""


class HFLMLoader(HFLM):  # type: ignore[misc]
    """``HFLM`` that loads the weights as a precision wants them.

    :param settings: those of the arguments that are settings of the model's configuration.
    :param arguments: of ``HFLM``.
    """

    def __init__(
        self,
        precision: Precision,
        kernel: str | None,
        settings: Mapping[str, Any],
        arguments: Mapping[str, Any],
    ) -> None:
        self._precision = precision
        self._kernel = kernel
        self._dtype = arguments["dtype"]
        self._config_settings = settings
        format_of(precision).prepare()
        super().__init__(**arguments)
        accelerator = getattr(self, "accelerator", None)
        if accelerator is not None and accelerator.num_processes > 1:
            # HFLM knows data-parallel runs on GPUs only.
            self._rank = accelerator.process_index
            self._world_size = accelerator.num_processes

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        self.computing_dtype = loading.computing_dtype(
            self._dtype, self.config, self.device, self._precision
        )
        arguments = loading.loading_arguments(
            self._precision,
            self.config,
            self.computing_dtype,
            self._kernel,
            self._config_settings,
        )
        if "config" in arguments:
            kwargs = {k: v for k, v in kwargs.items() if k not in self._config_settings}
        super()._create_model(*args, **{**kwargs, "dtype": self.computing_dtype, **arguments})
        if "config" in arguments:
            loading.cast_unquantized(self._model, self.config.dtype, self.computing_dtype)
        format_of(self._precision).settle(self._model)


def load(arguments: Mapping[str, Any], meter: Meter) -> TransformersEngine:
    """Load a model, verify that it is the arm that was asked for, and return its engine.

    :param arguments: of ``--model qrag``, where they were given.
    :raises ModelError: when the arm cannot be had, or is not what it claims.
    :raises SettingsError: for an impossible argument.
    """
    require("harness.hflm_loader")
    if "pretrained" not in arguments:
        arguments = {**arguments, "pretrained": embedded.instead_of_none()}
    checkpoint, precision = loading.asked_arm(arguments)
    dtype = asked_dtype(arguments)
    given = {name: arguments[name] for name in arguments if name not in (*_OURS, "torch_dtype")}
    settings = settings_of_config(given)
    device = checked_device(arguments.get("device"))
    limit = BatchLimit.of(
        arguments.get("batch_size", "auto"),
        arguments.get("max_batch_size"),
        arguments.get("max_batch_tokens"),
        device,
    )
    of_hflm = {
        **given,
        "dtype": dtype,
        "device": str(device),
        "batch_size": limit.rows or 1,
    }
    with meter.loading():
        loader = HFLMLoader(precision, arguments.get("kernel"), settings, of_hflm)
    if loader.backend != "causal":
        raise ModelError(
            f"pretrained={arguments['pretrained']} is an encoder-decoder: --model qrag runs "
            f"decoder-only models, --model hf runs it"
        )
    # A rank's own, where accelerate chose it.
    meter.device = loader.device
    devices = {tensor.device for tensor in loader.model.parameters()}
    if len(gpus := sorted((each for each in devices if each.type == "cuda"), key=str)) > 1:
        meter.usages = spread_over(gpus)
    arm = verify(
        loader.model,
        precision,
        group_size=arguments.get("group_size"),
        declared=checkpoint.declared.unquantized,
    )
    return TransformersEngine(
        loader.model,
        loader.tokenizer,
        precision=precision,
        arm=arm,
        checkpoint=checkpoint,
        window=loader.max_length,
        longest_answer=loader.max_gen_toks,
        dtype=loader.computing_dtype,
        device=loader.device,
        limit=limit,
        meter=meter,
        continuous=arguments.get("batching") == CONTINUOUS,
        batch_invariant=bool(arguments.get("deterministic")),
        kv_cache=asked_cache(arguments, TransformersEngine.abilities.kv_caches, TRANSFORMERS),
        mixed_precision=loader.mixed_precision_dtype,
        ranks=loader,
        describe=loader.get_model_info,
    )
