"""``--model hf``: loading in 4 and 8 bits, and likelihoods."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from qrag_tasks.errors import ModelError
from qrag_tasks.upstream.signatures import expect


def repair_hflm(module: ModuleType) -> None:
    """``HFLM``: load in 4 and 8 bits under transformers 5."""
    model = module.HFLM
    create = model._create_model
    expect(create, "pretrained", "dtype", "quantization_config")

    @functools.wraps(create)
    def create_model(self: Any, *args: Any, **kwargs: Any) -> None:
        from qrag_tasks.arms import loading, switches
        from qrag_tasks.arms.arguments import asked_dtype
        from qrag_tasks.arms.formats.bitsandbytes import bitsandbytes_config, unpack_for_every_pass

        # torch_dtype is its older name, which transformers passes over beside the newer one.
        kwargs["dtype"] = asked_dtype(kwargs)
        kwargs.pop("torch_dtype", None)
        arguments = switches.take_bitsandbytes_arguments(kwargs)
        if kwargs.get("autogptq"):
            loading.refuse_autogptq()
        if not arguments or kwargs.get("gptqmodel"):
            create(self, *args, **kwargs)
            return
        if (existing := kwargs.get("quantization_config")) is not None:
            raise ModelError(
                f"{kwargs.get('pretrained')} is quantized already "
                f"({getattr(existing, 'quant_method', existing)}): drop load_in_4bit/load_in_8bit"
            )
        dtype = loading.computing_dtype(kwargs["dtype"], self.config, self.device)
        config = bitsandbytes_config(arguments, dtype)
        create(self, *args, **{**kwargs, "dtype": dtype, "quantization_config": config})
        unpack_for_every_pass(self.model)
        switches.check_quantized(self.model, config)

    model._create_model = create_model


def measure_behind_the_prompt(module: ModuleType) -> None:
    """``HFLM``: measure likelihoods after the prompt as it was asked; one pass for all answers."""
    model = module.HFLM
    measure = model.loglikelihood
    expect(measure, "requests")
    expect(model._loglikelihood_tokens, "requests")

    @functools.wraps(measure)
    def loglikelihood(self: Any, requests: Any, *args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.harness import answer_likelihoods

        return answer_likelihoods.measure(
            self, requests, lambda others: measure(self, others, *args, **kwargs)
        )

    model.loglikelihood = loglikelihood
