"""What is wrong with a field of a plan, in words, with the right form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from qrag_tasks.errors import did_you_mean
from qrag_tasks.experiment.plan.grid import Model, Plan

# Field -> a right form of it; with one of its members, where it is a list of texts.
_FORMS: Mapping[str, str] = {
    "name": "my-grid",
    "data": "./lamp",
    "models": "[{name: qwen, pretrained: ./models/Qwen2.5-0.5B-Instruct}]",
    "precisions": "[bf16, int4-nf4]",
    "retrievers": '[bm25, "bm25:k1=0.9,b=0.4"]',
    "tasks": "[lamp3u, lamp5u]",
    "k": "[0, 5]",
    "orders": "[best-first, reversed]",
    "margins": "{mae: 0.05}",
    "checkpoints": "{int4-gptq: ./models/Qwen2.5-0.5B-Instruct-int4-gptq}",
    "args": "{max_length: 8192}",
    "pretrained": "./models/Qwen2.5-0.5B-Instruct",
}
_MEMBERS: Mapping[str, str] = {
    "models": "{name: qwen, pretrained: ./models/Qwen2.5-0.5B-Instruct}",
    "retrievers": '"bm25:k1=0.9,b=0.4"',
    "precisions": "bf16",
    "tasks": "lamp3u",
    "k": "5",
    "orders": "best-first",
}
# pydantic's name of an error -> what was expected.
_EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(("string_type", "string_unicode", "invalid_key"), "a text"),
    **dict.fromkeys(("model_type", "dict_type", "mapping_type"), "a mapping"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "greater_than_equal": "a whole number of {ge} or more",
    "greater_than": "a number above {gt:g}",
}


def message(found: Mapping[str, Any]) -> str:
    """Say what is wrong with a field.

    :param found: an error of pydantic's, as ``ValidationError.errors()`` has it.
    """
    kind, given = found["type"], found.get("input")
    *_, last = found["loc"] or ("",)
    if kind == "extra_forbidden":
        known = list((Model if len(found["loc"]) > 1 else Plan).model_fields)
        return f"unknown field (known: {', '.join(known)}).{did_you_mean(str(last), known)}"
    if kind == "missing":
        return f"this field is missing; write for example {_FORMS[str(last)]}"
    if kind == "too_short":
        return "the list is empty: name one at least"
    if kind in _EXPECTED:
        expected, form = _EXPECTED[kind].format(**found.get("ctx", {})), _form(found)
        return f"expected {expected}{f', such as {form}' if form else ''}, not {plain(given)}"
    text = str(found["msg"]).removeprefix("Value error, ")
    return text if kind == "value_error" else f"{text}, not {plain(given)}"


def plain(value: Any) -> str:
    """Return a value as a reader of the plan knows it."""
    if isinstance(value, (Mapping, list)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def _form(found: Mapping[str, Any]) -> str | None:
    """Return the right form of a field; where that can be told, of what was meant."""
    kind, given, place = found["type"], found.get("input"), found["loc"]
    field, member = place[-1], isinstance(place[-1], int)
    if member:
        field = place[-2]
    if field == "models" and isinstance(given, str):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", given.rstrip("/").rpartition("/")[2]).strip("-.")
        model = _flow({"name": name or "model", "pretrained": given})
        return model if member else f"[{model}]"
    if member:
        return _MEMBERS.get(field)
    if kind == "tuple_type" and isinstance(given, (str, int, float)) and given is not True:
        return f"[{plain(given)}]"
    # What text was meant, a single wrong value says itself.
    simple = kind == "string_type" and not isinstance(given, (Mapping, list))
    return None if simple else _FORMS.get(str(field))


def _flow(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(
        dict(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    ).strip()
