"""Which names ``--model_args`` may hold, as those say who take them, and what is wrong with others.

The names are read from the source of the functions that take them: to import them is to import
torch, which a plan is checked without.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from qrag_tasks.errors import did_you_mean

_POPPED = re.compile(r"\bkwargs\.(?:pop|get)\(\s*['\"]([a-z]\w*)['\"]")
_HUB_NAMES = re.compile(r"hub_kwargs_names = (\[.*?\])", re.DOTALL)

# lm_eval's names of its models for servers, whose classes hand on to the first what they do not
# take themselves.
_SERVERS = {
    "local-completions": ("LocalCompletionsAPI",),
    "local-chat-completions": ("LocalCompletionsAPI", "LocalChatCompletion"),
    "openai-completions": ("LocalCompletionsAPI", "OpenAICompletionsAPI"),
    "openai-chat-completions": (
        *("LocalCompletionsAPI", "LocalChatCompletion"),
        "OpenAIChatCompletion",
    ),
}


SWITCHES = ("load_in_4bit", "load_in_8bit")
"""Arguments that have bitsandbytes quantize on loading."""

BITSANDBYTES = ("bnb_4bit_", "llm_int8_")
"""How the other arguments of bitsandbytes begin."""

_NO_LONGER = "transformers no longer uses it; leave it out"
_BY_LM_EVAL = "lm_eval sets it itself; leave it out"

# Argument -> why it would be dropped, or stumbled over, whatever its value.
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("low_cpu_mem_usage", "from_tf", "from_flax", "mirror"), _NO_LONGER),
    **dict.fromkeys(("offload_state_dict", "_fast_init"), _NO_LONGER),
    **dict.fromkeys(("output_loading_info", "state_dict", "model_args"), _BY_LM_EVAL),
    "pretrained_model_name_or_path": "lm_eval's name for it is pretrained",
    "max_memory": "lm_eval sets it itself; give max_memory_per_gpu, and parallelize=True",
    "quantization_config": "lm_eval reads it from config.json; to quantize on loading, give "
    "--model qrag and precision=",
    "config": "lm_eval reads config.json itself; give what is to differ from it by name",
}


class Mistake(NamedTuple):
    """What is wrong with an argument.

    :ivar argument: its name.
    :ivar message: names it, its value and the next step.
    """

    argument: str
    message: str


def of_hflm() -> frozenset[str]:
    """Return the arguments of lm_eval's ``HFLM``, without what it hands on to transformers."""
    return _taken_by("lm_eval", "models/huggingface.py", "HFLM", "__init__")


def of_qrag() -> frozenset[str]:
    """Return the arguments of ``--model qrag`` that ``HFLM`` does not have."""
    return _taken_by("qrag_tasks", "harness/model.py", "QragLM", "__init__") - of_hflm()


def of_transformers() -> frozenset[str]:
    """Return the arguments with which transformers loads a model; empty where it is missing."""
    model = _taken_by("transformers", "modeling_utils.py", "PreTrainedModel", "from_pretrained")
    by_name = _taken_by(
        "transformers", "models/auto/auto_factory.py", "_BaseAutoModelClass", "from_pretrained"
    )
    return model | by_name


def of_bitsandbytes() -> frozenset[str]:
    """Return the arguments with which bitsandbytes quantizes; empty without transformers."""
    file = "utils/quantization_config.py"
    return _taken_by("transformers", file, "BitsAndBytesConfig", "__init__")


def of_server(model: str) -> frozenset[str]:
    """Return the arguments of lm_eval's model of that name for a server; it drops all others.

    :returns: nothing where the name is none of such a model.
    """
    classes = _SERVERS.get(model, ())
    taken = [
        _taken_by("lm_eval", "models/openai_completions.py", name, "__init__") for name in classes
    ]
    base = _taken_by("lm_eval", "models/api_models.py", "TemplateAPI", "__init__")
    return frozenset(base).union(*taken) if all(taken) and taken else frozenset()


def left_by_config(
    config: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return which settings a model's configuration does not take, and the names of its own.

    :param config: what config.json holds.
    :param settings: name -> value.
    :raises Exception: of many kinds, for a value that it does not take.
    """
    from transformers import CONFIG_MAPPING, PretrainedConfig

    try:
        kind = CONFIG_MAPPING[config.get("model_type")]  # its get() does not load the class
    except KeyError:
        kind = PretrainedConfig
    made, left = kind.from_dict(dict(config), return_unused_kwargs=True, **settings)
    return frozenset(left), frozenset(name for name in vars(made) if not name.startswith("_"))


def unknown_names(model: str, given: Mapping[str, Any], offline: bool) -> Iterator[Mistake]:
    """Find the arguments of a model of transformers that would be dropped, or are known to nobody.

    :param model: lm_eval's name of the model class.
    :param given: name -> value, ``pretrained`` among them.
    :param offline: whether to ask only for a configuration that is on this machine.
    """
    for name in given:
        if name in REFUSED:
            yield Mistake(name, f"{name}={given[name]}: {REFUSED[name]}")
    # GPT-QModel has its own loader, and code of the checkpoint's own may take anything.
    if given.get("trust_remote_code") or given.get("gptqmodel") or given.get("autogptq"):
        return
    known = {*of_hflm(), *of_qrag(), *SWITCHES, *REFUSED}
    if not {*given} - known:
        return
    known |= of_transformers() | of_bitsandbytes()
    others = {name: given[name] for name in given if name not in known}
    if not others or not of_transformers():
        return
    config = _config(given, offline)
    for name, value in others.items():
        settings: frozenset[str] = frozenset()
        if config is not None:
            try:
                left, settings = left_by_config(config, {name: value})
            except Exception as error:  # each configuration checks its values in its own way
                *_, reason = str(error).strip().splitlines() or [type(error).__name__]
                text = f"{name}={value}: the model's configuration does not take it"
                yield Mistake(name, f"{text}: {reason.strip()}")
                continue
            if not left:
                continue
        yield from unknown_name(model, name, value, known | settings, sure=config is not None)


def unknown_name(
    model: str, name: str, value: Any, known: Collection[str], *, sure: bool = True
) -> Iterator[Mistake]:
    """Say that nobody knows an argument, and which one like it somebody does.

    :param known: the names that somebody knows.
    :param sure: whether these are all; else only a name much like one of them is a mistake.
    """
    if not sure and not _hint(name, known, likeness=0.8):
        return
    hint = _hint(name, sorted({*known} - {*REFUSED}))
    if model != "qrag" and any(repr(own) in hint for own in of_qrag()):
        hint += " --model qrag takes that."
    yield Mistake(
        name,
        f"{name}={value}: unknown to --model {model}, to transformers and to the model's "
        f"configuration.{hint}",
    )


def unknown_to_server(model: str, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find the arguments that lm_eval's model of that name for a server would drop."""
    known = of_server(model)
    for name in given:
        if known and name not in known:
            hint = _hint(name, known)
            if name in ("enable_thinking", "chat_template_args"):
                hint = " Servers that know it take it as chat_template_kwargs in --gen_kwargs."
            yield Mistake(name, f"{name}={given[name]}: --model {model} does not take it.{hint}")


def _hint(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    return did_you_mean(name, known, likeness)


def _config(given: Mapping[str, Any], offline: bool) -> Mapping[str, Any] | None:
    """Return config.json; ``None`` where it cannot be had: whoever loads the model says why."""
    pretrained = given.get("pretrained")
    if not isinstance(pretrained, str) or given.get("gguf_file"):
        return None
    from transformers import PretrainedConfig

    where = {name: given[name] for name in ("revision", "subfolder") if name in given}
    try:
        config, _ = PretrainedConfig.get_config_dict(pretrained, local_files_only=offline, **where)
    except (OSError, ValueError):
        return None
    return config or None


@cache
def _taken_by(package: str, file: str, *path: str) -> frozenset[str]:
    """Return what a method takes by name, or out of its ``kwargs``; nothing where it is not there.

    :param file: of the package's folder.
    :param path: the names of the class and of the method.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return frozenset()
    text = (Path(spec.origin).parent / file).read_text(encoding="utf-8")
    node: Any = ast.parse(text)
    for name in path:
        node = next((each for each in node.body if getattr(each, "name", None) == name), None)
        if node is None:
            return frozenset()
    body = str(ast.get_source_segment(text, node))
    named = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
    hub = {name for listed in _HUB_NAMES.findall(body) for name in ast.literal_eval(listed)}
    return frozenset(named | hub | set(_POPPED.findall(body))) - {"self", "cls"}
