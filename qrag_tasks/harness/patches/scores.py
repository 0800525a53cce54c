"""The tables of scores, and their standard errors."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from qrag_tasks.upstream.signatures import expect


def add_standard_errors(module: ModuleType) -> None:
    """``lm_eval.evaluator_utils``: know the standard errors of our own aggregations.

    lm_eval knows those of its own alone, and a task can give none.
    """
    original = module.stderr_for_metric
    expect(original, "metric", "bootstrap_iters")

    @functools.wraps(original)
    def stderr_for_metric(metric: Any, bootstrap_iters: int) -> Any:
        from qrag_tasks.tasks.scoring.metrics import STANDARD_ERRORS

        ours = STANDARD_ERRORS.get(metric) if bootstrap_iters > 0 else None
        return ours or original(metric, bootstrap_iters)

    module.stderr_for_metric = stderr_for_metric  # type: ignore[attr-defined]


def add_cost_table(module: ModuleType) -> None:
    """``lm_eval.utils.make_table``: put what the run cost after the last table of scores."""
    original = module.make_table
    expect(original, "result_dict", "column")

    @functools.wraps(original)
    def make_table(result_dict: Any, column: str = "results", *args: Any, **kwargs: Any) -> Any:
        table = original(result_dict, column, *args, **kwargs)
        from qrag_tasks.logs.schema import LoggedArm, read

        arm = read(LoggedArm, result_dict.get("config"), "results")
        last = "groups" if "groups" in result_dict else "results"
        if arm is None or column != last:
            return table
        from qrag_tasks.logs.model_facts import arm_called
        from qrag_tasks.metering.cost import cost_table

        called = arm_called(str(arm.precision), arm.kv_cache_name)
        costs = cost_table(arm.cost or {}, (arm.arm or {}).get("weights"), called)
        return f"{table}\n{costs}"

    module.make_table = make_table  # type: ignore[attr-defined]


def hide_what_never_happened(module: ModuleType) -> None:
    """``lm_eval.utils.make_table``: no row for unfinished thoughts where there was none.

    The results hold it all the same: most models do not think.
    """
    original = module.make_table
    expect(original, "result_dict", "column")

    @functools.wraps(original)
    def make_table(result_dict: Any, column: str = "results", *args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.tasks.metric import UNFINISHED_THOUGHT_RATE

        name = UNFINISHED_THOUGHT_RATE.name
        shown = {
            task: {
                key: value
                for key, value in scores.items()
                if key.partition(",")[0] not in (name, f"{name}_stderr")
                or scores.get(f"{name},{key.partition(',')[2]}") != 0
            }
            for task, scores in result_dict[column].items()
        }
        return original({**result_dict, column: shown}, column, *args, **kwargs)

    module.make_table = make_table  # type: ignore[attr-defined]
