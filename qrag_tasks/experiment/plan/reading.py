"""Reads a plan's YAML file; every mistake is told with its line and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from qrag_tasks.errors import PlanError, QragError, did_you_mean
from qrag_tasks.experiment.plan.grid import Model, Plan, PlanProblemsError
from qrag_tasks.plugins import build_retriever, core_origin, prompt_style, retrievers
from qrag_tasks.retrieval.options import read_options, split_spec
from qrag_tasks.text_files import NotUTF8Error, decoded

_Place = tuple[str | int, ...]
_Problem = tuple[int, str]
_BROUGHT_BY = {
    "contriever": "qrag-dense",
    "dense": "qrag-dense",
    "dpr": "qrag-dense",
    "pyserini": "qrag-pyserini",
}
# A path among a retriever's options: dense:model=./encoder, run:../rankings.trec
_PATH_IN_SPEC = re.compile(r"(?<=[=:])(?:~|\.{1,2})/[^,]*")


def read_plan(path: Path, *, allow_missing_plugins: bool = False) -> Plan:
    """Read a plan.

    Paths in it that begin with ``./`` or ``../`` are taken from its own folder, ``~`` is the home
    folder; anything else is left as it is, as it may be the name of a model on the hub.

    :param allow_missing_plugins: take a plan, too, whose retrievers come with plugins that are
        known but not installed; see :func:`missing_plugins`.
    :raises PlanError: when the file cannot be read or is no plan: all that is wrong with it, a
        line each.
    """
    marks = _Marks()
    body = _yaml(path, marks)
    if not isinstance(body, dict):
        raise PlanError(f"{path}: no plan: expected fields such as name, models, precisions")
    made = _from_its_folder(body, path.parent)
    problems = [*marks.twice, *_plugins(made, marks, allow_missing_plugins)]
    plan = None
    try:
        plan = Plan.model_validate(made)
    except ValidationError as error:
        problems += _problems(error, marks)
    if problems or plan is None:
        raise PlanError(
            "\n".join(f"{path}:{line}: {problem}" for line, problem in sorted(set(problems)))
        )
    return plan


def missing_plugins(plan: Plan) -> list[str]:
    """Return a sentence for each retriever of a plan whose plugin is known but not installed."""
    return [told for spec in plan.retrievers if (told := _missing(spec))]


# ---------------------------------------------------------------------- YAML
@dataclass
class _Marks:
    """Where everything stands in a file.

    :ivar lines: field -> its line, from 1.
    :ivar written: field -> the letters of its value, where that is a single one and not quoted.
    :ivar twice: the fields that are there twice.
    """

    lines: dict[_Place, int] = field(default_factory=dict)
    written: dict[_Place, str] = field(default_factory=dict)
    twice: list[_Problem] = field(default_factory=list)

    def line(self, place: _Place) -> int:
        """Return the line of a field; of a missing one, where its mapping begins."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def note(
        self, node: yaml.Node, place: _Place = (), above: frozenset[int] = frozenset()
    ) -> None:
        """Note all of a document.

        :raises yaml.YAMLError: when an alias stands within what it is an alias of.
        """
        if id(node) in above:
            raise yaml.composer.ComposerError(
                problem="an alias stands within what it stands for", problem_mark=node.start_mark
            )
        above |= {id(node)}
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue  # no field of ours; safe_load refuses it
                inner = (*place, key.value)
                line = key.start_mark.line + 1
                if key.value in seen:
                    self.twice.append((line, f"{_dotted(inner)}: it is there twice"))
                seen.add(key.value)
                self.note(value, inner, above)
                self.lines[inner] = line
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.note(value, (*place, index), above)
        elif isinstance(node, yaml.ScalarNode) and node.style is None:
            self.written[place] = node.value


def _yaml(path: Path, marks: _Marks) -> Any:
    try:
        text = decoded(path.read_bytes())
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise PlanError(f"{path} is a folder: name the plan, a YAML file") from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from error
    except NotUTF8Error as error:
        raise PlanError(f"{path}: {error}.") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            marks.note(root)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise PlanError(f"{path}{line}: no YAML: {said}") from None
    except ValueError as error:  # 2024-13-01 is no date
        raise PlanError(f"{path}: no YAML: {error}") from None


# ---------------------------------------------------------------------- what is wrong
def _problems(error: ValidationError, marks: _Marks) -> Iterator[_Problem]:
    errors = error.errors()
    for one in errors:
        whole = one.get("ctx", {}).get("error")
        place = tuple(part for part in one["loc"] if part != "[key]")
        if isinstance(whole, PlanProblemsError):
            for inner, text in whole.found:
                yield marks.line(inner), f"{_dotted(inner)}: {text}"
        # A list that lost its wrong members is not too short.
        elif one["type"] != "too_short" or not any(
            other is not one and other["loc"][: len(place)] == place for other in errors
        ):
            said = f"{_message(one)}{_written(one.get('input'), marks.written.get(place))}"
            yield marks.line(place), f"{_dotted(place)}: {said}" if place else said


def _message(found: Mapping[str, Any]) -> str:
    kind, given = found["type"], found.get("input")
    if kind == "extra_forbidden":
        known = list((Model if len(found["loc"]) > 1 else Plan).model_fields)
        hint = did_you_mean(str(found["loc"][-1]), known)
        return f"unknown field (known: {', '.join(known)}).{hint}"
    if kind == "missing":
        return "this field is missing"
    if kind == "too_short":
        return "the list is empty: name one at least"
    if kind == "tuple_type":
        return f"expected a list, such as [{_plain(given)}], not {_plain(given)}"
    if kind == "string_type":
        return f"expected a text, not {_plain(given)}"
    message = str(found["msg"]).removeprefix("Value error, ")
    return message if kind == "value_error" else f"{message}, not {_plain(given)}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if value is None:
        return "nothing"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def _written(value: Any, letters: str | None) -> str:
    """Tell what was written, where YAML reads something else: ``no`` as false, ``010`` as 8."""
    if letters is None or isinstance(value, str) or letters in (str(value), _plain(value)):
        return ""
    return f" ({letters!r} as YAML reads it; quoted it is a text)" if letters else ""


def _dotted(place: _Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _plugins(body: Mapping[str, Any], marks: _Marks, allow_missing: bool) -> Iterator[_Problem]:
    """Find what no plugin that is installed here supplies."""
    specs, style = body.get("retrievers"), body.get("prompt")
    asked: list[tuple[_Place, Callable[[str], object], Any]] = [
        *(
            (("retrievers", index), _check_retriever, spec)
            for index, spec in enumerate(specs if isinstance(specs, list) else ())
        ),
        (("prompt",), prompt_style, style),
    ]
    for place, check, name in asked:
        if not isinstance(name, str):
            continue
        try:
            if not (allow_missing and check is _check_retriever and _missing(name)):
                check(name)
        except QragError as error:
            yield marks.line(place), f"{_dotted(place)}: {error}"


def _check_retriever(spec: str) -> None:
    if told := _missing(spec):
        raise PlanError(told)
    name, rest = split_spec(spec)
    plugin = retrievers().get(name)
    if plugin is None or plugin.origin == core_origin():
        build_retriever(spec)
    else:
        # To build it may load, or look for, a model.
        read_options(name, rest, plugin.retrievers[name])


def _missing(spec: str) -> str | None:
    """Tell which distribution to install for a retriever; ``None`` where none is known to help."""
    name, _ = split_spec(spec)
    if name in retrievers() or name not in _BROUGHT_BY:
        return None
    return f"retriever {name!r} is not installed: pip install {_BROUGHT_BY[name]}"


# ---------------------------------------------------------------------- paths
def _from_its_folder(body: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the plan's body with the paths in it made whole."""

    def whole(value: Any) -> Any:
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            return str(Path(value).expanduser())
        if isinstance(value, str) and value.startswith(("./", "../")):
            return str((folder / value).resolve())
        return value

    def model(given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        changed = {"pretrained": whole(given["pretrained"])} if "pretrained" in given else {}
        checkpoints = given.get("checkpoints")
        if isinstance(checkpoints, dict):
            changed["checkpoints"] = {key: whole(value) for key, value in checkpoints.items()}
        return {**given, **changed}

    def spec(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return _PATH_IN_SPEC.sub(lambda found: str(whole(found[0])), given)

    made = dict(body)
    if "data" in made:
        made["data"] = whole(made["data"])
    for name, change in (("models", model), ("retrievers", spec)):
        if isinstance(made.get(name), list):
            made[name] = [change(given) for given in made[name]]
    return made
