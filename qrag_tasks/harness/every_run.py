"""What holds in every run of lm_eval that has tasks of ours, however it was started."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval.utils import simple_parse_args_string

from qrag_tasks.arms import places
from qrag_tasks.arms.arguments import HF_MODELS
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.engine_choice import check_model
from qrag_tasks.arms.identity import created_with
from qrag_tasks.harness.answer_cache import creation_is_remembered
from qrag_tasks.harness.task import LampRagTask
from qrag_tasks.harness.windows import window_of
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.sample_choice import check_limit, chosen_samples

_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

logger = logging.getLogger("lm_eval.qrag_tasks")


def tasks_in(task_dict: Any) -> dict[str, Any]:
    """Return all tasks of a run by name.

    :param task_dict: as ``TaskManager.load`` returns it, or nested by groups as it once did.
    """
    given = task_dict.get("tasks", task_dict)
    tasks: dict[str, Any] = {}
    for name, task in given.items():
        tasks |= tasks_in(task) if isinstance(task, Mapping) else {str(name): task}
    return tasks


@contextmanager
def checked_run(lm: Any, tasks: Mapping[str, Any], given: dict[str, Any]) -> Iterator[None]:
    """Check what a run was asked to do, and tell its tasks of ours which model answers.

    :param lm: lm_eval's ``LM``, with or without its cache.
    :param tasks: all tasks of the run by name.
    :param given: ``limit`` and ``samples`` of lm_eval's ``evaluate``; groups of ours among the
        latter are replaced by their tasks.
    :raises QragError: when the run was asked for something impossible.
    """
    ours = [task for task in tasks.values() if isinstance(task, LampRagTask)]
    lm = _without_cache(lm)
    names = arguments_of(lm)
    for task in ours:
        Settings.from_metadata(task.given_metadata, names)
    check_limit(given.get("limit"))
    if given.get("samples") is not None:
        given["samples"] = chosen_samples(given["samples"], tasks)
        for task in ours:
            if task.task_name not in given["samples"]:
                logger.warning(
                    "--samples names none of %s, so all of them are asked", task.task_name
                )
    window_of(lm)
    for task in ours:
        task.model = lm
    try:
        yield
    finally:
        for task in ours:
            task.model = None


def _without_cache(lm: Any) -> Any:
    return _without_cache(vars(lm)["lm"]) if "dbdict" in vars(lm) else lm


def arguments_of(lm: Any) -> Collection[str] | None:
    """Return the model arguments that metadata may hold beside our choices.

    Those that lm_eval created ``lm`` with; of a model that was built by hand, those that its class
    has. ``None`` where that is not known.
    """
    if (created := created_with(lm)) is not None:
        return created
    if not creation_is_remembered():
        return None
    own: set[str] = set()
    for cls in type(lm).__mro__:
        parameters = inspect.signature(vars(cls).get("__init__", lambda: None)).parameters
        own.update(name for name, parameter in parameters.items() if parameter.kind not in _UNNAMED)
    return own


def check_metadata(given: Sequence[Mapping[str, Any] | None], model: Any, model_args: Any) -> None:
    """Check the choices of a run, and the arguments of its model, before that is created.

    :param given: the metadata that lm_eval was given, with or without the model arguments.
    :param model: a name, or an ``LM``.
    :param model_args: of a name: as mapping, text or ``None``.
    :raises SettingsError: for an unknown key or argument, or an impossible value.
    :raises ModelError: when ``--model hf`` is given a folder that cannot be one of a model.
    """
    names: Collection[str] | None
    if not isinstance(model, str):
        names = arguments_of(_without_cache(model))
    elif (arguments := _parsed(model_args)) is not None:
        check_model(model, arguments)
        names = arguments
    else:
        names = None
    for metadata in given:
        Settings.from_metadata(metadata or {}, names)


def with_whole_places(model_args: Any) -> Any:
    """Return model arguments with ``~`` written out in those that name a folder.

    :param model_args: a mapping, text or ``None``; another form is left as it is.
    """
    given = _parsed(model_args)
    whole = places.with_whole_places(given or {})
    return model_args if whole == (given or {}) else whole


def check_device(model: Any, device: str | None) -> None:
    """Check that the device of a run is there: ``HFLM`` takes another one in silence.

    :param model: lm_eval's name of the model class, or an ``LM``.
    :raises SettingsError: when it is not.
    """
    if model in (*HF_MODELS, "qrag"):
        checked_device(device)


def _parsed(model_args: Any) -> Mapping[str, Any] | None:
    if not isinstance(model_args, str):
        return model_args or {}
    try:
        return dict(simple_parse_args_string(model_args))
    except ValueError:  # in a form of the class's own
        return None


def named_in(tasks: Iterable[Any]) -> bool:
    """Tell whether there is a task of ours among those that were built."""
    return any(isinstance(task, LampRagTask) for task in tasks)
