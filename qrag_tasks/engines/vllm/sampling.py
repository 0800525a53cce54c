"""How a request is answered, in vLLM's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.errors import SettingsError, did_you_mean

# transformers' name -> vLLM's, and transformers' default where tokens are drawn.
_DRAWING: Mapping[str, tuple[str, Any]] = {
    "temperature": ("temperature", 1.0),
    "top_p": ("top_p", 1.0),
    "top_k": ("top_k", 50),
    "min_p": ("min_p", 0.0),
}
_ALWAYS: Mapping[str, str] = {
    "repetition_penalty": "repetition_penalty",
    "min_new_tokens": "min_tokens",
}
_KNOWN = frozenset({"do_sample", *_DRAWING, *_ALWAYS})

MOST_LOGPROBS = 128
"""The most tokens of one request whose log-probabilities vLLM returns."""


def generation_params(request: GenerationRequest, decoding: Decoding) -> Any:
    """Return vLLM's ``SamplingParams`` of a request.

    The end tokens are those of ``decoding`` and no others. An answer's first token is chosen as by
    transformers, and where tokens are drawn, what is left open is as there, too.

    :raises SettingsError: for a generation argument that vLLM does not have, or a value that it
        does not take.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    settings = dict(request.settings)
    for name in settings:
        if name not in _KNOWN:
            raise SettingsError(
                f"generation argument {name}={settings[name]}: unknown to engine=vllm (known: "
                f"{', '.join(sorted(_KNOWN))}).{did_you_mean(name, _KNOWN)}"
            )
    given = {theirs: settings[ours] for ours, theirs in _ALWAYS.items() if ours in settings}
    if settings.get("do_sample"):
        given |= {
            theirs: default if settings.get(ours) is None else settings[ours]
            for ours, (theirs, default) in _DRAWING.items()
        }
        if not given["temperature"] > 0:
            raise SettingsError(
                f"generation argument temperature={given['temperature']}: tokens are drawn "
                f"(do_sample=True), which needs one above 0; leave do_sample out"
            )
    else:
        given["temperature"] = 0.0
    try:
        return SamplingParams(
            max_tokens=request.max_new_tokens,
            ignore_eos=True,
            stop_token_ids=list(decoding.end_tokens),
            stop=list(request.stops),
            # Text is only made where somebody waits for a text.
            detokenize=bool(request.stops),
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            # Of the chosen tokens alone: one that is not a number shows that the logits are none.
            logprobs=0,
            flat_logprobs=True,
            **given,
        )
    except Exception as error:  # of a kind that differs from release to release
        written = ", ".join(f"{name}={value}" for name, value in settings.items())
        raise SettingsError(f"generation arguments {written}: vLLM refuses them: {error}") from None


def next_token_params(wanted: Sequence[int]) -> Any:
    """Return vLLM's ``SamplingParams`` to have the likeliest next token, and what others have.

    :param wanted: at most :data:`MOST_LOGPROBS` token ids, whose log-probabilities are returned,
        in the model's own distribution.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        logprob_token_ids=list(wanted),
    )


def likeliest_params(count: int) -> Any:
    """Return vLLM's ``SamplingParams`` to have the likeliest next tokens.

    :param count: of them, at most :data:`MOST_LOGPROBS`; their log-probabilities are in the
        model's own distribution.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        logprobs=count,
    )
