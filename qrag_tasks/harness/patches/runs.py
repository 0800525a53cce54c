"""Every run, from the command or from Python: what was asked for, and whose answers are kept."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from types import ModuleType
from typing import Any

from qrag_tasks.harness.patches.registration import of_our_folder
from qrag_tasks.upstream.signatures import expect

logger = logging.getLogger("lm_eval.qrag_tasks")


def remember_creation(module: ModuleType) -> None:
    """``lm_eval.api.model``: remember what every ``LM`` was created with."""
    from qrag_tasks.harness import answer_cache

    answer_cache.remember_creation_arguments(module)


def keep_answers_apart(module: ModuleType) -> None:
    """``lm_eval.api.model``: never serve one arm the answers of another from ``--use_cache``."""
    from qrag_tasks.harness import answer_cache

    answer_cache.keep_answers_apart(module)


def check_every_run(module: ModuleType) -> None:
    """``lm_eval.evaluator``: check what a run with tasks of ours was asked to do.

    Its tasks are told which model answers, so that they know how much of a prompt it takes.
    """
    evaluate, simple_evaluate = module.evaluate, module.simple_evaluate
    expect(evaluate, "lm", "task_dict", "limit", "samples")
    expect(simple_evaluate, "model", "model_args", "tasks", "task_manager", "metadata")
    expect(simple_evaluate, "gen_kwargs", "device")
    lm_eval_device = "cuda:0"  # of its command, where the user names none
    signature, simple_signature = map(inspect.signature, (evaluate, simple_evaluate))

    @functools.wraps(evaluate)
    def checked(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if "qrag_tasks.harness.task" not in sys.modules:  # then there is no task of ours
            return evaluate(*args, **kwargs)
        from qrag_tasks.harness import every_run

        lm, tasks = bound.arguments["lm"], every_run.tasks_in(bound.arguments["task_dict"])
        if not every_run.named_in(tasks.values()):
            return evaluate(*args, **kwargs)
        with every_run.checked_run(lm, tasks, bound.arguments):
            return evaluate(*bound.args, **bound.kwargs)

    @functools.wraps(simple_evaluate)
    def simply_checked(*args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.tasks import catalog

        bound = simple_signature.bind(*args, **kwargs)
        given = bound.arguments
        names = given.get("tasks") or []
        if not catalog.requested(name for name in names if isinstance(name, str)):
            return simple_evaluate(*args, **kwargs)
        from qrag_tasks.harness import every_run, gen_kwargs

        given["model_args"] = every_run.with_whole_places(given.get("model_args"))
        given["tasks"], held = catalog.without_overlap(names)
        for name, holder in held.items():
            logger.info("%s is part of %s, and is asked once", name, holder)
        gen_kwargs.check_for(given["model"], given.get("gen_kwargs"))
        every_run.check_metadata(
            [given.get("metadata"), getattr(given.get("task_manager"), "metadata", None)],
            given["model"],
            given.get("model_args"),
        )
        if given.get("device") != lm_eval_device:
            every_run.check_device(given["model"], given.get("device"))
        alone = given.get("task_manager") is None and catalog.holds_all(names)
        with of_our_folder(alone):
            return simple_evaluate(*bound.args, **bound.kwargs)

    module.evaluate = checked  # type: ignore[attr-defined]
    module.simple_evaluate = simply_checked  # type: ignore[attr-defined]
