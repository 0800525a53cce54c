"""The ``lm_eval`` command: what it is given, what is checked before a model loads, how it fails."""

from __future__ import annotations

import functools
import json
import sys
from types import ModuleType
from typing import Any

from qrag_tasks.errors import QragError, SettingsError
from qrag_tasks.harness.patches.registration import of_our_folder
from qrag_tasks.upstream.signatures import expect


def check_before_the_model_loads(module: ModuleType) -> None:
    """``EvaluatorConfig.process_tasks``, the command line's last step before the model is loaded.

    Where a task of ours is asked for, everything that can be wrong with the run is checked here,
    and the embedded model put in where none was named.
    """
    config = module.EvaluatorConfig
    original = config.process_tasks
    expect(original, "metadata")

    @functools.wraps(original)
    def process_tasks(self: Any, metadata: Any = None) -> Any:
        from qrag_tasks.tasks import catalog

        names = _names(self.tasks)
        entries = catalog.requested(names)
        if entries:
            _print_our_errors_plainly()
            self.tasks = names
            from qrag_tasks.harness import preflight

            preflight.prepare(self)
        # Samples may be given of other tasks.
        alone = catalog.holds_all(names) and not (self.include_path or self.samples)
        try:
            with of_our_folder(alone):
                manager = original(self, metadata)
        except ValueError as error:
            _print_our_errors_plainly()
            catalog.explain_unknown(names, str(error))
            raise
        if entries:
            preflight.check(self, manager, entries)
        return manager

    config.process_tasks = process_tasks


def read_the_command_line(module: ModuleType) -> None:
    """``EvaluatorConfig.from_cli``: give ``--model qrag`` only what somebody asked for.

    Where the user says nothing, lm_eval's command has one sequence a batch and the device
    "cuda:0", be it there or not. And explain a file of ``--samples`` that is not valid JSON.
    """
    config = module.EvaluatorConfig
    original = config.from_cli.__func__
    expect(original, "namespace")

    @functools.wraps(original)
    def from_cli(cls: Any, namespace: Any) -> Any:
        from qrag_tasks.tasks import catalog

        # From here on, as the catalog cannot be read where two plugins have one name.
        _print_our_errors_plainly()
        try:
            config = original(cls, namespace)
        except json.JSONDecodeError as error:
            if not catalog.requested(_names(getattr(namespace, "tasks", None))):
                raise
            raise SettingsError(
                f"--samples {namespace.samples}: is not valid JSON: {error}"
            ) from error
        file = getattr(namespace, "config", None)
        in_file = cls.load_yaml_config(file) if file else {}
        given = (*in_file.items(), *vars(namespace).items())
        given_names = {name for name, value in given if value is not None}
        if "device" in given_names and (
            config.model == "qrag" or catalog.requested(_names(config.tasks))
        ):
            from qrag_tasks.harness import every_run

            every_run.check_device(config.model, config.device)
        if config.model == "qrag":
            config.batch_size = config.batch_size if "batch_size" in given_names else "auto"
            config.device = config.device if "device" in given_names else None
        return config

    config.from_cli = classmethod(from_cli)


def _names(tasks: Any) -> list[str]:
    """Return the names in ``--tasks``, without the blanks around them."""
    given = [tasks] if isinstance(tasks, str) else tasks or []
    return [name.strip() for task in given for name in str(task).split(",")]


def _print_our_errors_plainly() -> None:
    """In the lm_eval command, print a :class:`QragError` without a traceback; exit code 1.

    So, too, that a name of lm_eval's is gone that we cannot do without.
    """
    previous = sys.excepthook
    if getattr(previous, "prints_qrag_errors", False):
        return

    def excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        from qrag_tasks.upstream.name_checks import explained

        told = str(error) if isinstance(error, QragError) else None
        if isinstance(error, ImportError):
            told = explained(error)
        if told is not None:
            sys.stderr.write(f"qrag-tasks: error: {told}\n")
        else:
            previous(kind, error, traceback)

    excepthook.prints_qrag_errors = True  # type: ignore[attr-defined]
    sys.excepthook = excepthook
