"""Reading ``name:option=value,...``: which options a retriever takes, and their values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from qrag_tasks.errors import RetrieverError, did_you_mean

Option = int | float | bool | str | None
"""The value of an option; ``None`` only as the default of one that was not given."""

_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_IN_FILE = re.compile(r"((?:[A-Za-z]:)?[^:=,]+\.py:[A-Za-z_]\w*)(?::(.*))?$", re.DOTALL)
_READ: Mapping[str, Callable[[str], Option]] = {
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": int,
    "float": float,
    "str": str,
}
_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
}


def split_spec(spec: str) -> tuple[str, str]:
    """Return the name in ``spec`` and the text after the first colon.

    The name of a retriever in a file has a colon of its own: ``./mine.py:MyRetriever``.
    """
    if in_file := _IN_FILE.match(spec.strip()):
        return in_file[1], in_file[2] or ""
    name, _, rest = spec.strip().partition(":")
    return name, rest


def read_options(name: str, rest: str, factory: Callable[..., Any]) -> dict[str, Option]:
    """Return every option of a retriever: those that ``rest`` gives, and the others' defaults.

    Values are read as the parameter's annotation or default says; without either as a whole
    number, a number, ``true``/``false`` or, failing these, text.

    :param name: the retriever's, for messages.
    :param rest: what follows the colon: ``option=value,option=value``, or any text where the
        factory takes it as its one positional-only parameter.
    :raises RetrieverError: for an unknown option, one that is missing, or a value of the wrong
        kind.
    """
    parameters = inspect.signature(factory).parameters
    text = _text_parameter(parameters)
    if text is not None:
        if not rest.strip():
            raise RetrieverError(
                f"retriever {name!r} needs the {text}: write {name}:{text.upper()}"
            )
        return {text: rest.strip()}
    known = {key: p for key, p in parameters.items() if p.kind in _KEYWORD}
    given = _split(name, rest)
    if unknown := [key for key in given if key not in known]:
        raise RetrieverError(
            f"retriever {name!r} has no option {unknown[0]!r} "
            f"(known: {', '.join(known) or 'none'}).{did_you_mean(unknown[0], known)}"
        )
    options: dict[str, Option] = {}
    for key, parameter in known.items():
        if key in given:
            options[key] = _value(name, parameter, given[key])
        elif parameter.default is inspect.Parameter.empty:
            raise RetrieverError(
                f"retriever {name!r} needs the option {key!r}: write {name}:{key}=VALUE"
            )
        else:
            default = parameter.default
            # `size: float = 1`: written or left out, the value is the same.
            whole = type(default) is int and _kind(parameter) == "float"
            options[key] = float(default) if whole else default
    return options


def write_spec(name: str, options: Mapping[str, Option], factory: Callable[..., Any]) -> str:
    """Return the one way to write a retriever: its name, and sorted what is not a default."""
    parameters = inspect.signature(factory).parameters
    text = _text_parameter(parameters)
    if text is not None:
        return f"{name}:{options[text]}"
    parts = [
        f"{key}={_written(options[key])}"
        for key in sorted(options)
        if options[key] != parameters[key].default
    ]
    return f"{name}:{','.join(parts)}" if parts else name


def call(factory: Callable[..., Any], options: Mapping[str, Option]) -> Any:
    """Build the retriever with ``options``."""
    text = _text_parameter(inspect.signature(factory).parameters)
    return factory(**options) if text is None else factory(options[text])


def _text_parameter(parameters: Mapping[str, inspect.Parameter]) -> str | None:
    names = [k for k, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_ONLY]
    return names[0] if names else None


def _split(name: str, rest: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise RetrieverError(
                f"retriever '{name}:{rest}': {part!r} is no option; "
                f"write name:option=value,option=value"
            )
        if key in given:
            raise RetrieverError(f"retriever '{name}:{rest}': the option {key!r} appears twice")
        given[key] = value
    return given


def _value(name: str, parameter: inspect.Parameter, text: str) -> Option:
    kind = _kind(parameter)
    if kind is None:
        for guess in ("int", "float", "bool"):
            try:
                return _READ[guess](text)
            except (KeyError, ValueError):
                continue
        return text
    try:
        return _READ[kind](text)
    except (KeyError, ValueError):
        raise RetrieverError(
            f"retriever {name!r} was refused: {parameter.name} is {text!r}, "
            f"expected {_EXPECTED[kind]}"
        ) from None


def _kind(parameter: inspect.Parameter) -> str | None:
    """Return ``int``, ``float``, ``bool`` or ``str``; ``None`` where nothing says which."""
    annotation = parameter.annotation
    if annotation is not inspect.Parameter.empty:
        written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        # `int | None` and `Optional[int]` are read as `int`.
        written = (written or str(annotation)).replace("Optional[", "").rstrip("]")
        kinds = [part.strip() for part in written.split("|") if part.strip() != "None"]
        if len(kinds) == 1 and kinds[0] in _READ:
            return kinds[0]
    default = type(parameter.default).__name__
    return default if default in _READ else None


def _written(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
