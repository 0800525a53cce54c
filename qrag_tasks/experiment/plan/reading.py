"""Reads a plan's YAML file; every mistake is told with its line and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError, PlanError, QragError, SettingsError
from qrag_tasks.experiment.plan.arm_checks import FOLDERS, check_arms
from qrag_tasks.experiment.plan.cells import Arm
from qrag_tasks.experiment.plan.findings import Finding, Place
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.sound_part import sound_part
from qrag_tasks.experiment.plan.yaml_marks import Marks, dotted, read_yaml
from qrag_tasks.plugins import build_retriever, find_retriever
from qrag_tasks.registry import PROMPT_STYLES, RETRIEVERS, core_origin
from qrag_tasks.retrieval.options import read_options, split_spec
from qrag_tasks.tasks.catalog import TASKS

_BROUGHT_BY = {
    "contriever": "qrag-dense",
    "dense": "qrag-dense",
    "dpr": "qrag-dense",
    "pyserini": "qrag-pyserini",
}
# A path among a retriever's options: dense:model=./encoder, run:../rankings.trec
# and a retriever in a file: ./mine.py:MyRetriever
_PATH_IN_SPEC = re.compile(r"(?:^|(?<=[=:]))(?:~|\.{1,2})/[^,]*")
_MODEL_IN_SPEC = re.compile(r"(?<=model=)/[^,]*")


@dataclass(frozen=True)
class CheckedPlan:
    """A plan's file, and all that is wrong with it; each a line ``FILE:LINE: FIELD: TEXT``.

    :ivar plan: ``None`` where the file has mistakes.
    :ivar mistakes: what is wrong with the file, wherever it is run.
    :ivar missing: what it names that is not on this machine: data, models, plugins.
    """

    plan: Plan | None
    mistakes: tuple[str, ...]
    missing: tuple[str, ...]


Needed = Callable[[Plan], Container[Arm]]
"""Tells which arms of a plan are still to be had."""


def read_plan(path: Path, *, to_run: bool = False, needed: Needed = Plan.arms) -> Plan:
    """Read a plan, all of whose parts are on this machine.

    :param to_run: see :func:`check_plan`.
    :param needed: see :func:`check_plan`.
    :raises PlanError: when the file cannot be read or is no plan, or names what is not here: all
        that is wrong, a line each.
    """
    checked = check_plan(path, to_run=to_run, needed=needed)
    if checked.plan is None or checked.missing:
        raise PlanError("\n".join((*checked.mistakes, *checked.missing)))
    return checked.plan


def check_plan(path: Path, *, to_run: bool = False, needed: Needed = Plan.arms) -> CheckedPlan:
    """Read a plan and find all that is wrong with it: with the file, its data, plugins and arms.

    Paths in it that begin with ``./`` or ``../`` are taken from its own folder, ``~`` is the home
    folder; anything else is left as it is, as it may be the name of a model on the hub.

    :param to_run: whether its arms are to run here; see
        :func:`~qrag_tasks.experiment.plan.arm_checks.check_arms`.
    :param needed: the arms of others are not looked at. It is asked of a plan without mistakes.
    :raises PlanError: when the file cannot be read, or is not YAML with fields.
    """
    marks = Marks()
    body = read_yaml(path, marks)
    if not isinstance(body, dict):
        raise PlanError(f"{path}: not a plan: expected fields such as name, models, precisions")
    part = sound_part(_from_its_folder(body, path.parent))
    if part.plan is not None:
        arms = part.plan.arms() if part.mistakes else needed(part.plan)
        part.add([*_not_to_be_had(part.plan), *check_arms(part.plan, to_run, arms)])

    def located(places: Sequence[tuple[Place, str]]) -> set[tuple[int, str]]:
        return {
            (
                marks.line(place),
                f"{dotted(place)}: {text}{marks.as_written(place, _value(body, place))}",
            )
            for place, text in places
        }

    def lines(numbered: set[tuple[int, str]]) -> tuple[str, ...]:
        return tuple(f"{path}:{line}: {text}" for line, text in sorted(numbered))

    mistakes = lines({*marks.twice, *located(part.mistakes)})
    return CheckedPlan(None if mistakes else part.plan, mistakes, lines(located(part.missing)))


def _value(body: Any, place: Place) -> Any:
    """Return what stands at a place; a mapping where nothing does."""
    for part in place:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return body


# ---------------------------------------------------------------------- what is not here
def _not_to_be_had(plan: Plan) -> Iterator[Finding]:
    """Find the data, retrievers and prompt style that cannot be had."""
    for index, spec in enumerate(plan.retrievers):
        place = ("retrievers", index)
        if lacking := _missing(spec):
            yield Finding(place, lacking, missing=True)
            continue
        try:
            _check_retriever(spec)
        except QragError as error:
            yield Finding(place, f"{error}{_cut_from(plan.retrievers[:index], spec)}")
        for path in _MODEL_IN_SPEC.findall(spec):
            if not Path(path).exists():
                yield Finding(place, f"{path}: there is no such file or folder", missing=True)
    if plan.prompt is not None:
        try:
            PROMPT_STYLES.get(plan.prompt)
        except QragError as error:
            yield Finding(("prompt",), str(error))
    for name in plan.tasks:
        try:
            TASKS[name].source.find(plan.data, plan.split or "dev")
        except DataError as error:
            yield Finding(("data",), str(error).splitlines()[0], missing=True)
        except SettingsError as error:
            yield Finding(("split",), str(error))


def _check_retriever(spec: str) -> None:
    name, rest = split_spec(spec)
    if name in RETRIEVERS.all() and RETRIEVERS.get(name).origin == core_origin():
        build_retriever(spec)
    else:
        supplied = find_retriever(name)
        # To build it may load, or look for, a model.
        read_options(name, rest, supplied.value)


def _cut_from(before: Sequence[str], spec: str) -> str:
    """Advise quotes where YAML took a retriever's second option for a retriever."""
    if not before or ":" not in before[-1] or "=" not in spec.partition(":")[0]:
        return ""
    return f' If it is an option of the retriever before it, quote both: "{before[-1]},{spec}"'


def _missing(spec: str) -> str | None:
    """Tell which distribution to install for a retriever; ``None`` where none is known to help."""
    name, _ = split_spec(spec)
    if name in RETRIEVERS.all() or name not in _BROUGHT_BY:
        return None
    return (
        f"retriever {name!r} is not installed: pip install ./plugins/{_BROUGHT_BY[name]}, in a "
        f"clone of qrag-tasks"
    )


# ---------------------------------------------------------------------- paths
def _from_its_folder(body: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the plan's body with the paths in it made whole."""

    def whole(value: Any) -> Any:
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            return str(Path(value).expanduser())
        if isinstance(value, str) and value.startswith(("./", "../")):
            return str((folder / value).resolve())
        return value

    def arguments(args: dict[Any, Any]) -> dict[Any, Any]:
        return {key: whole(value) if key in FOLDERS else value for key, value in args.items()}

    def model(given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        changed: dict[str, Any] = {}
        if "pretrained" in given:
            changed["pretrained"] = whole(given["pretrained"])
        checkpoints = given.get("checkpoints")
        if isinstance(checkpoints, dict):
            changed["checkpoints"] = {key: whole(value) for key, value in checkpoints.items()}
        args = given.get("args")
        if isinstance(args, dict):
            changed["args"] = arguments(args)
        args_of = given.get("args_of")
        if isinstance(args_of, dict):
            changed["args_of"] = {
                key: arguments(own) if isinstance(own, dict) else own
                for key, own in args_of.items()
            }
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
