"""lm_eval's evaluation of a model that is loaded already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import simple_parse_args_string

from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks.task_files import written_for_plugins


def model_arguments(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return model arguments, given as the command takes them or as a mapping."""
    return dict(simple_parse_args_string(given) if isinstance(given, str) else given)


def evaluate(
    lm: Any, tasks: Sequence[str], metadata: Mapping[str, Any], **settings: Any
) -> dict[str, Any]:
    """Return what lm_eval makes of some of our tasks.

    :param lm: lm_eval's ``LM``.
    :param metadata: model arguments and choices, as the command gives them to the tasks.
    :param settings: of lm_eval's ``simple_evaluate``.
    :raises QragError: when a task cannot be had; the answers so far are kept, where the model
        keeps them.
    """
    folders = [task_yamls(), written_for_plugins()]
    manager = TaskManager(
        include_path=[str(folder) for folder in folders if folder is not None],
        include_defaults=False,
        metadata=dict(metadata),
    )
    with _machine_is_asked_once():
        results: dict[str, Any] = simple_evaluate(
            model=lm, tasks=list(tasks), task_manager=manager, **settings
        )
    return results


@contextmanager
def _machine_is_asked_once() -> Iterator[None]:
    """Have lm_eval describe the machine in every result, and ask it once a process.

    To ask takes a second, as pip and others are started for it: too long for each cell of a grid.
    """
    try:
        from torch.utils import collect_env

        ask = collect_env.get_pretty_env_info
    except (ImportError, AttributeError):  # which lm_eval puts into the result
        yield
        return
    collect_env.get_pretty_env_info = lambda: _description(ask)
    try:
        yield
    finally:
        collect_env.get_pretty_env_info = ask


@cache
def _description(ask: Callable[[], str]) -> str:
    return ask()


def evaluate_into(
    folder: Path,
    lm: Any,
    task: str,
    metadata: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    seed: int,
    **settings: Any,
) -> int:
    """Evaluate one task, leave in a folder what the command would have left, and count samples.

    :param config: is added to what the results hold under ``config``.
    :param seed: of all generators of random numbers that lm_eval seeds.
    """
    # A name that ends in .json: lm_eval then adds no folder of its own.
    tracker = EvaluationTracker(output_path=str(folder / "results.json"))
    results = evaluate(
        lm,
        [task],
        metadata,
        evaluation_tracker=tracker,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
        **settings,
    )
    results["config"] |= config
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    return len(samples[task])
