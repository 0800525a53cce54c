"""The arguments of ``--model_args``: which there are, and which cannot be meant together.

lm_eval hands what its ``HFLM`` does not know to transformers, which hands it to the model; some are
dropped on the way without a word. Here every argument is known to somebody, or a mistake that names
it. Nothing is loaded, and transformers only imported where an argument is known to nobody but,
perhaps, the model's configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qrag_tasks.arms import argument_names
from qrag_tasks.arms.argument_names import (
    BITSANDBYTES,
    SWITCHES,
    Mistake,
    unknown_name,
    unknown_names,
    unknown_to_server,
)
from qrag_tasks.arms.batching_arguments import batching_mistakes
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.places import check_additions, local_folder
from qrag_tasks.arms.precisions import format_of, formats
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import SettingsError

logger = logging.getLogger("lm_eval.qrag_tasks")

HF_MODELS = ("hf", "hf-auto", "huggingface")
"""lm_eval's names of its ``HFLM``."""

_DTYPES = {
    **{name: name for name in ("auto", "float16", "bfloat16", "float32", "float64")},
    "half": "float16",
    "float": "float32",
    "double": "float64",
}
_OF_DTYPE = ("dtype", "torch_dtype", "softmax_dtype", "mixed_precision_dtype")
_COUNTS = ("max_length", "max_batch_size", "max_batch_tokens")
# Argument, or how it begins -> the arguments one of which it needs in order to have an effect.
_NEEDS_SWITCH: Mapping[str, tuple[str, ...]] = {
    "bnb_4bit_": ("load_in_4bit",),
    "llm_int8_threshold": ("load_in_8bit",),
    "llm_int8_has_fp16_weight": ("load_in_8bit",),
    "llm_int8_": SWITCHES,
}
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "max_memory_per_gpu": ("parallelize",),
    "max_cpu_memory": ("parallelize",),
    "offload_folder": ("parallelize",),
    "device_map": ("parallelize", "tp_plan"),
    "enable_thinking": ("think_end_token",),
}
_ON = (*SWITCHES, "parallelize")
_EXCLUSIVE = (SWITCHES, ("peft", "delta"), ("parallelize", "tp_plan"))

# Argument of --model qrag -> (the values that are refused, why).
_REPLACED: Mapping[str, str] = {
    "load_in_4bit": "precision=int4-nf4",
    "load_in_8bit": "precision=int8",
    "gptqmodel": "precision=int4-gptq or int4-awq",
    "autogptq": "precision=int4-gptq",
}
_REFUSED_BY_QRAG: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{name: (bool, f"with --model qrag, give {given}") for name, given in _REPLACED.items()},
    "truncation": (bool, "a cut prompt is not the prompt that other arms get; leave it out"),
    "logits_cache": (
        lambda value: not value,
        "continuations of one context always share its pass here; leave it out",
    ),
    "backend": (
        lambda value: value == "seq2seq",
        "--model qrag runs decoder-only models, --model hf runs this one",
    ),
    "gguf_file": (
        bool,
        "transformers unpacks GGUF weights on loading, so the arm would not have the precision of "
        "the file; give engine=llama_cpp and pretrained=FOLDER/FILE.gguf, which runs the file in "
        "llama.cpp itself, or take --model hf for the unpacked weights",
    ),
}


def argument_mistakes(
    model: str, arguments: Mapping[str, Any], *, offline: bool = False
) -> list[Mistake]:
    """Find all that is wrong with the arguments of a model.

    Whether the checkpoint can be had, and become the arm, is
    :func:`~qrag_tasks.arms.loading.asked_arm`'s to say.

    :param model: lm_eval's name of the model class. Of others than ``hf``, ``qrag`` and those for
        servers nothing is known, and nothing is wrong.
    :param arguments: as ``--model_args`` gives them, ``pretrained`` among them. ``None`` is an
        argument that was not given.
    :param offline: whether to ask only for a configuration that is on this machine. Where there is
        none, a name that nobody knows is a mistake only where it is much like a known one.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if model not in (*HF_MODELS, "qrag"):
        return [*unknown_to_server(model, given)]
    return _mistakes(model, given, offline)


def check_arguments(model: str, arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a model; see :func:`argument_mistakes`.

    :raises SettingsError: with all that is wrong, a line each.
    :raises ModelError: when ``--model hf`` is given a folder that cannot be one of a model, or
        either of them an adapter that cannot be had.
    """
    _refuse(argument_mistakes(model, arguments))
    if model in (*HF_MODELS, "qrag"):
        check_additions(arguments)
    if model in HF_MODELS and isinstance(arguments.get("pretrained"), str):
        subfolder, gguf_file = arguments.get("subfolder") or "", arguments.get("gguf_file")
        local_folder(arguments["pretrained"], subfolder, gguf_file)
        if gguf_file:
            logger.warning(
                "gguf_file=%s: transformers unpacks the weights of a GGUF file, so that this is "
                "not how llama.cpp computes; --model qrag "
                "--model_args pretrained=%s/%s,engine=llama_cpp runs the file itself",
                gguf_file,
                arguments["pretrained"],
                gguf_file,
            )


def check_qrag_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of ``--model qrag``, where the engine is transformers'.

    :raises SettingsError: with all that is wrong, a line each.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    _refuse(_mistakes("qrag", given, offline=False))


def check_against(precision: Precision, arguments: Mapping[str, Any]) -> None:
    """Check the arguments of an arm against its precision.

    :raises SettingsError: with all that is wrong, a line each.
    """
    _refuse(_against(precision, {k: v for k, v in arguments.items() if v is not None}))


def check_bitsandbytes(arguments: Mapping[str, Any]) -> None:
    """Check the arguments that ``--model hf`` hands to bitsandbytes.

    :raises SettingsError: for one that it would not look at.
    """
    given = {
        name: value
        for name, value in arguments.items()
        if value is not None and name.startswith((*SWITCHES, *BITSANDBYTES))
    }
    known = argument_names.of_bitsandbytes()
    unknown = [
        mistake
        for name, value in given.items()
        if name not in known
        for mistake in unknown_name("hf", name, value, known)
    ]
    _refuse([*unknown, *_without_effect(given, _NEEDS_SWITCH), *_impossible_together(given)])


def asked_dtype(arguments: Mapping[str, Any]) -> Any:
    """Return what ``dtype``, or ``torch_dtype``, its older name, asks for; else ``"auto"``.

    :raises SettingsError: when both are given, and differ.
    """
    _refuse(_two_dtypes(arguments))
    dtypes = (arguments.get(name) for name in ("dtype", "torch_dtype"))
    return next((value for value in dtypes if value not in (None, "auto")), "auto")


def settings_of_config(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are settings of the model's configuration."""
    known = argument_names.of_hflm() | argument_names.of_transformers()
    return {name: value for name, value in arguments.items() if name not in known}


def _mistakes(model: str, given: Mapping[str, Any], offline: bool) -> list[Mistake]:
    return [
        *unknown_names(model, given, offline),
        *_wrong_values(given),
        *_impossible_together(given),
        *(_not_for_qrag(given) if model == "qrag" else _not_for_hf(given)),
    ]


def _refuse(mistakes: Any) -> None:
    if messages := "\n".join(mistake.message for mistake in mistakes):
        raise SettingsError(messages)


# ---------------------------------------------------------------------- values
def _wrong_values(given: Mapping[str, Any]) -> Iterator[Mistake]:
    for name in _OF_DTYPE:
        if name in given and _dtype(given[name]) is None:
            yield Mistake(
                name,
                f"{name}={given[name]}: torch has no such dtype, or none that a model computes "
                f"in; give float16, bfloat16 or float32",
            )
    for name in _COUNTS:
        if name in given and not (str(given[name]).isdecimal() and int(given[name]) > 0):
            yield Mistake(name, f"{name}={given[name]}: give a whole number above 0")


def _dtype(value: Any) -> str | None:
    return _DTYPES.get(str(value).removeprefix("torch."))


def _impossible_together(given: Mapping[str, Any]) -> Iterator[Mistake]:
    yield from _two_dtypes(given)
    for one, other in _EXCLUSIVE:
        if given.get(one) and given.get(other):
            yield Mistake(other, f"{one} and {other} exclude each other: give one")
    yield from _without_effect(given, _NEEDS)


def _without_effect(
    given: Mapping[str, Any], needs: Mapping[str, tuple[str, ...]]
) -> Iterator[Mistake]:
    for name, value in given.items():
        needed = next((needs[key] for key in needs if name.startswith(key)), ())
        if needed and value is not False and not any(given.get(other) for other in needed):
            written = " or ".join(f"{each}=True" if each in _ON else each for each in needed)
            yield Mistake(name, f"{name}={value} has no effect without {written}: give it, too")


def _two_dtypes(given: Mapping[str, Any]) -> Iterator[Mistake]:
    new, old = given.get("dtype"), given.get("torch_dtype")
    if {new, old} & {None, "auto"} or _dtype(new) == _dtype(old):
        return
    yield Mistake(
        "torch_dtype",
        f"dtype={new} and torch_dtype={old}: these are two names of one argument; give dtype",
    )


# ---------------------------------------------------------------------- model classes
def _not_for_hf(given: Mapping[str, Any]) -> Iterator[Mistake]:
    yield from _without_effect(given, _NEEDS_SWITCH)
    for name in given:
        if name in argument_names.of_qrag():
            yield Mistake(name, f"{name}={given[name]}: --model qrag takes it, --model hf does not")


def _not_for_qrag(given: Mapping[str, Any]) -> Iterator[Mistake]:
    pretrained = given.get("pretrained", "")
    if not isinstance(pretrained, str):
        yield Mistake(
            "pretrained",
            f"pretrained is a {type(pretrained).__name__}: --model qrag loads and verifies the "
            f"model itself, so give a folder or a name; HFLM (--model hf) takes loaded models",
        )
    for name, value in given.items():
        refused, why = _REFUSED_BY_QRAG.get(name, (None, ""))
        if refused is not None and refused(value):
            yield Mistake(name, f"{name}={value}: {why}")
        if name.startswith(BITSANDBYTES):
            yield Mistake(
                name,
                f"{name}={value}: a named precision fixes it; --model hf takes it, with "
                f"load_in_4bit=True or load_in_8bit=True",
            )
    yield from batching_mistakes(given)
    size = given.get("group_size")
    if size is not None and not (isinstance(size, int) and (size > 0 or size == -1)):
        yield Mistake(
            "group_size",
            f"group_size={size}: give the number of weights that share a scale, or -1 for a whole "
            f"row",
        )
    if "precision" in given:
        try:
            row = precision_named(given["precision"])
        except SettingsError as error:
            yield Mistake("precision", str(error))
        else:
            yield from _of_another_engine(row, format_of(row).engine)
            yield from _against(row, given)


def _of_another_engine(row: Precision, engine: str) -> Iterator[Mistake]:
    if engine:
        place = "" if row.made_on_loading else ", and as pretrained what that engine runs"
        yield Mistake(
            "precision",
            f"precision={row.name}: transformers cannot load it; give engine={engine}, too{place}",
        )


def _against(row: Precision, given: Mapping[str, Any]) -> Iterator[Mistake]:
    for name in ("dtype", "torch_dtype"):
        if row.dtype and _dtype(given.get(name, "auto")) not in (None, "auto", row.dtype):
            yield Mistake(
                name,
                f"precision={row.name} is {row.dtype}, but {name}={given[name]} was given, too: "
                f"leave {name} out",
            )
    if "kernel" in given and not format_of(row).has_kernels:
        choosing = (one for one in formats().values() if one.has_kernels)
        *others, last = [each.name for one in choosing for each in one.precisions]
        yield Mistake(
            "kernel",
            f"kernel={given['kernel']}: only {', '.join(others)} and {last} have kernels to choose "
            f"from, not {row.name}",
        )
    if given.get("delta") and row.quantized:
        yield Mistake(
            "delta",
            f"delta={given['delta']}: it is added to plain weights, and {row.name} has packed "
            f"ones; add it to a 16-bit checkpoint beforehand",
        )
