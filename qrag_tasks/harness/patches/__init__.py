"""What :mod:`qrag_tasks.harness.autoload` changes in lm_eval, one function per module of lm_eval.

Each raises where lm_eval does not look as expected, before it has changed anything; autoload then
steps aside with a warning. :mod:`qrag_tasks.upstream.inner_names` says what is lost then. What the
replacements need is imported when they are called: `lm_eval --help` and runs of other tasks are not
to pay for it.
"""

from qrag_tasks.harness.patches.command import check_before_the_model_loads, read_the_command_line
from qrag_tasks.harness.patches.hflm import measure_behind_the_prompt, repair_hflm
from qrag_tasks.harness.patches.registration import add_task_folder, register_model
from qrag_tasks.harness.patches.runs import check_every_run, keep_answers_apart, remember_creation
from qrag_tasks.harness.patches.scores import (
    add_cost_table,
    add_standard_errors,
    hide_what_never_happened,
)

__all__ = [
    "add_cost_table",
    "add_standard_errors",
    "add_task_folder",
    "check_before_the_model_loads",
    "check_every_run",
    "hide_what_never_happened",
    "keep_answers_apart",
    "measure_behind_the_prompt",
    "read_the_command_line",
    "register_model",
    "remember_creation",
    "repair_hflm",
]
