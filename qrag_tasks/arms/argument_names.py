"""Which names ``--model_args`` may hold, as those say who take them.

The names are read from the source of the functions that take them: to import them is to import
torch, which a plan is checked without.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

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
    hub = {name for found in _HUB_NAMES.findall(body) for name in ast.literal_eval(found)}
    return frozenset(named | hub | set(_POPPED.findall(body))) - {"self", "cls"}
