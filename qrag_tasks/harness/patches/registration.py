"""Has lm_eval know our tasks and our model."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from qrag_tasks.errors import QragError
from qrag_tasks.locations import task_yamls
from qrag_tasks.upstream.signatures import expect

_MODEL = "qrag_tasks.harness.model:QragLM"

_OUR_FOLDER_IS_ENOUGH: ContextVar[bool] = ContextVar("_OUR_FOLDER_IS_ENOUGH", default=False)
"""Whether a task manager that is made now needs no task files but ours."""


@contextmanager
def of_our_folder(alone: bool) -> Iterator[None]:
    """Have task managers know our tasks alone, where these are all that is asked for."""
    token = _OUR_FOLDER_IS_ENOUGH.set(alone)
    try:
        yield
    finally:
        _OUR_FOLDER_IS_ENOUGH.reset(token)


def add_task_folder(module: ModuleType) -> None:
    """``TaskManager``: index our task files beside lm_eval's own.

    Beside ours, those that are written for plugins' tasks. Where lm_eval reads the entry points of
    tasks it finds ours there. A run that asks for tasks of
    ours alone is spared lm_eval's own: thousands of files, which it parses for their names.
    """
    manager = module.TaskManager
    original = manager.__init__
    expect(original, "include_path", "include_defaults")
    # To index a folder twice has lm_eval warn of each of its files.
    ours = [] if _reads_entry_points("lm_eval.tasks") else [task_yamls()]

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(original).bind(self, *args, **kwargs)
        bound.apply_defaults()
        if bound.arguments["include_defaults"]:
            given = bound.arguments["include_path"] or []
            paths = list(given) if isinstance(given, (list, tuple)) else [given]
            known = [Path(path).resolve() for path in paths]
            more = [each for each in (*ours, *_of_plugins()) if each.resolve() not in known]
            # First, so that a user's own folder may override a task of ours.
            if more:
                bound.arguments["include_path"] = [*more, *paths]
            bound.arguments["include_defaults"] = not _OUR_FOLDER_IS_ENOUGH.get()
        original(*bound.args, **bound.kwargs)

    manager.__init__ = init


def _of_plugins() -> list[Path]:
    """Return the folder with the task files of plugins' tasks, where there are any.

    What is wrong with plugins is an error where our tasks are asked for; it must not end a run of
    tasks of others.
    """
    from qrag_tasks.tasks.task_files import written_for_plugins

    try:
        folder = written_for_plugins()
    except QragError as error:
        warnings.warn(f"qrag-tasks: the tasks of plugins are not known: {error}", stacklevel=3)
        return []
    return [] if folder is None else [folder]


def register_model(module: ModuleType) -> None:
    """``lm_eval.models``: make ``--model qrag`` known beside lm_eval's own.

    Where lm_eval reads the entry points of models it finds ours there.
    """
    from lm_eval.api import registry

    mapping, register = module.MODEL_MAPPING, registry.model_registry.register
    if _reads_entry_points("lm_eval.models"):
        return
    if "qrag" not in registry.model_registry:
        register("qrag", target=_MODEL)
    mapping["qrag"] = _MODEL


def _reads_entry_points(group: str) -> bool:
    """Tell whether lm_eval's own code looks for what other distributions announce in a group."""
    import lm_eval

    quoted = (f'"{group}"', f"'{group}'")
    for folder in lm_eval.__path__:
        for place in (".", "api", "config", "models", "tasks"):
            for file in (Path(folder) / place).glob("*.py"):
                text = file.read_text(encoding="utf-8")
                if "entry_points" in text and any(name in text for name in quoted):
                    return True
    return False
