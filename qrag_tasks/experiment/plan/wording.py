"""What is wrong with a field of a plan, in words, with the right form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qrag_tasks.errors import did_you_mean
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.planned_fidelity import Fidelity
from qrag_tasks.experiment.plan.planned_model import Model, Strict
from qrag_tasks.experiment.plan.yaml_values import flow, plain
from qrag_tasks.tasks.base import DEPTHS

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
    "fidelity": "true",
    "answers": "[own, gold]",
}
_MEMBERS: Mapping[str, str] = {
    "models": "{name: qwen, pretrained: ./models/Qwen2.5-0.5B-Instruct}",
    "retrievers": '"bm25:k1=0.9,b=0.4"',
    "precisions": "bf16",
    "tasks": "lamp3u",
    "k": "5",
    "orders": "best-first",
    "answers": "own",
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
    "less_than_equal": "a whole number of {le} or less",
    "greater_than": "a number above {gt:g}",
}


def message(error: Mapping[str, Any]) -> str:
    """Say what is wrong with a field.

    :param error: an error of pydantic's, as ``ValidationError.errors()`` has it.
    """
    kind, given = error["type"], error.get("input")
    *_, last = error["loc"] or ("",)
    if kind == "extra_forbidden":
        inner: type[Strict] = Fidelity if error["loc"][0] == "fidelity" else Model
        known = list((inner if len(error["loc"]) > 1 else Plan).model_fields)
        return f"unknown field (known: {', '.join(known)}).{did_you_mean(str(last), known)}"
    if kind == "missing":
        form = "qwen" if len(error["loc"]) > 1 else _FORMS[str(last)]  # a model's name
        return f"this field is missing; write for example {form}"
    if kind == "too_short":
        return "the list is empty: name one at least"
    if kind in _EXPECTED:
        expected, right = _EXPECTED[kind].format(**error.get("ctx", {})), _form(error)
        return f"expected {expected}{f', such as {right}' if right else ''}, not {plain(given)}"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text if kind == "value_error" else f"{text}, not {plain(given)}"


def _form(error: Mapping[str, Any]) -> str | None:
    """Return the right form of a field; where that can be told, of what was meant."""
    kind, given, place = error["type"], error.get("input"), error["loc"]
    field, member = place[-1], isinstance(place[-1], int)
    if member:
        field = place[-2]
    if field == "models" and isinstance(given, str):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", given.rstrip("/").rpartition("/")[2]).strip("-.")
        model = {"name": name or "model", "pretrained": given}
        return flow(model if member else [model])
    if member:
        return _MEMBERS.get(field)
    if kind == "tuple_type":
        if isinstance(given, str) and field in _MEMBERS:
            # The options of a retriever have commas of their own.
            return flow(
                [given] if field == "retrievers" else re.split(r"[\s,]+", given.strip(" ,"))
            )
        if field == "k" and str(given) in map(str, DEPTHS):
            return flow([given])
    # What text was meant, a single wrong value says itself.
    simple = kind == "string_type" and not isinstance(given, (Mapping, list))
    return None if simple else _FORMS.get(str(field))
