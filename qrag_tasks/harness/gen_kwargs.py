"""The generation arguments that a user gives: ``--gen_kwargs``, on top of a task's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.utils import simple_parse_args_string

from qrag_tasks.arms.arguments import HF_MODELS
from qrag_tasks.errors import SettingsError, did_you_mean

LENGTH = "max_gen_toks"
"""lm_eval's name of the longest answer."""

_OF_LENGTH = (LENGTH, "max_new_tokens", "max_tokens", "max_completion_tokens")
_COUNTS = ("num_return_sequences", "n", "best_of")
_PLAIN = "it returns more than the tokens of an answer; leave it out"
# Argument -> why an answer would not be what is scored, where it is on.
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(_COUNTS, "one answer a question is scored; leave it out"),
    **dict.fromkeys(("return_dict_in_generate", "output_scores", "output_logits"), _PLAIN),
    **dict.fromkeys(("output_attentions", "output_hidden_states", "logprobs"), _PLAIN),
    "echo": "it returns the prompt with the answer; leave it out",
    "stream": "it returns the answer in parts; leave it out",
    "stop_strings": "lm_eval's name for it is until",
    "max_length": f"it counts the prompt, too; give {LENGTH}, the longest answer",
}
_SET_BY_QRAG = ("use_cache", "eos_token_id", "pad_token_id", "bos_token_id")
_OF_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff")


def check_for(model: Any, given: Mapping[str, Any] | str | None) -> None:
    """Check the generation arguments of a run, before its model is loaded.

    :param model: lm_eval's name of the model class, or an ``LM``.
    :param given: as ``--gen_kwargs`` gives them: a mapping, or text.
    :raises SettingsError: as :func:`checked`; and for one that transformers does not know, where
        it is transformers that answers.
    """
    arguments = dict(simple_parse_args_string(given) if isinstance(given, str) else given or {})
    checked(arguments)
    if not arguments or model not in (*HF_MODELS, "qrag"):
        return
    from transformers import GenerationConfig

    known = {"until", *_OF_LENGTH, *(name for name in vars(GenerationConfig()) if name[0] != "_")}
    for name, value in arguments.items():
        if model == "qrag" and name in _SET_BY_QRAG:
            raise SettingsError(
                f"generation argument {name}={value}: --model qrag sets it itself, alike in all "
                f"arms; leave it out"
            )
        if name not in known:
            raise SettingsError(
                f"generation argument {name}={value}: unknown to transformers."
                + did_you_mean(name, sorted(known))
            )


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the generation arguments of a user, with the longest answer under lm_eval's name.

    lm_eval prefers that name to all others, and so a task's own limit to a user's
    ``max_new_tokens``.

    :raises SettingsError: for one with which answers would not be what is scored, or which would
        have no effect.
    """
    for name, why in _REFUSED.items():
        off = (1,) if name in _COUNTS else ()
        if (value := given.get(name)) and value not in off:
            raise SettingsError(f"generation argument {name}={value}: {why}")
    lengths = {name: given[name] for name in _OF_LENGTH if given.get(name) is not None}
    if len({*map(str, lengths.values())}) > 1:
        written = ", ".join(f"{name}={value}" for name, value in lengths.items())
        raise SettingsError(f"generation arguments {written}: these are one; give {LENGTH}")
    for name, value in lengths.items():
        if not str(value).isdecimal() or int(value) < 1:
            raise SettingsError(f"generation argument {name}={value}: give a whole number above 0")
    if not given.get("do_sample"):
        for name in _OF_SAMPLING:
            if given.get(name):
                raise SettingsError(
                    f"generation argument {name}={given[name]} has no effect without "
                    f"do_sample=true, as our tasks are answered greedily: give it, too"
                )
    kept = {name: value for name, value in given.items() if name not in _OF_LENGTH}
    if lengths:
        kept[LENGTH] = int(next(iter(lengths.values())))
    return kept
