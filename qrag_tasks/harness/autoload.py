"""Makes our tasks, and 4-bit loading, work in plain ``lm_eval``.

lm_eval 0.4.13 has no entry point for tasks. So the wheel carries ``autoload.pth``, one line that
Python runs at every start. It imports nothing; it puts a stand-in in front of the import system
that waits for ``import lm_eval`` and then calls :func:`install`. So does ``import qrag_tasks``, for
a Python that was running when the package was installed, or that reads no ``.pth`` file where it
lies. The finder installed here waits for the modules below and lets
:mod:`qrag_tasks.harness.patches` adapt each, once. In a process that imports neither nothing
happens. ``QRAG_AUTOLOAD=0`` turns it off.

What it costs: benchmarks/startup.py. The entry points of later releases of lm_eval are declared in
pyproject.toml; where lm_eval reads them, the patches of tasks and of the model do nothing.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType

PATCHES: Mapping[str, tuple[str, ...]] = {
    "lm_eval.config.evaluate_config": ("check_before_the_model_loads", "read_the_command_line"),
    "lm_eval.tasks.manager": ("add_task_folder",),
    "lm_eval.models": ("register_model",),
    "lm_eval.utils": ("add_cost_table", "hide_what_never_happened"),
    "lm_eval.api.model": ("remember_creation", "keep_answers_apart"),
    "lm_eval.models.huggingface": ("repair_hflm", "measure_behind_the_prompt"),
    "lm_eval.evaluator_utils": ("add_standard_errors",),
    "lm_eval.evaluator": ("check_every_run",),
}
"""Module of lm_eval -> the functions of :mod:`qrag_tasks.harness.patches` that adapt it."""

GUARDS = ("keep_answers_apart", "check_every_run", "add_standard_errors")
"""Those without which a run of our tasks may give wrong answers, or no errors of them, in silence.

They come with the tasks, when the hook is off too.
"""


STAND_IN = "QragAutoload"
"""Name of the class that ``autoload.pth`` puts in place."""

STEPPED_ASIDE: dict[str, str] = {}
"""Function of :mod:`qrag_tasks.harness.patches` that changed nothing here -> why."""

_ADAPTED_BY = "__adapted_by_qrag_tasks__"


class _Finder:
    """A meta-path finder that watches the modules of :data:`PATCHES` and finds nothing itself."""

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, its loader prepared to call our patch."""
        patches = PATCHES.get(fullname)
        if patches is None:
            return None
        spec: ModuleSpec | None = None
        for finder in sys.meta_path:
            # Like Python itself, pass over an old finder that has no such method.
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find else None
            if spec is not None:
                break
        if spec is None or spec.loader is None:
            return spec
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for patch in patches:
                _apply(patch, module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def adapt_loaded(only: Collection[str] | None = None) -> None:
    """Adapt the modules of lm_eval that were imported before.

    :param only: the functions to call; all by default.
    """
    for name, patches in PATCHES.items():
        module = sys.modules.get(name)
        # While it is being imported it is incomplete, and our finder has it.
        if module is None or getattr(module.__spec__, "_initializing", False):
            continue
        for patch in patches:
            if only is None or patch in only:
                _apply(patch, module)


def _apply(patch: str, module: ModuleType) -> None:
    """Adapt ``module`` once; where it does not look as expected, step aside with one warning."""
    if patch in vars(module).setdefault(_ADAPTED_BY, []):
        return
    vars(module)[_ADAPTED_BY].append(patch)
    try:
        from qrag_tasks.harness import patches

        getattr(patches, patch)(module)
    except Exception as error:
        # Whatever it is, `import lm_eval` must go on working.
        STEPPED_ASIDE[patch] = f"{type(error).__name__}: {error}"
        lost = "its part of the automatic set-up is off"
        with contextlib.suppress(Exception):
            from qrag_tasks.upstream import name_checks

            STEPPED_ASIDE[patch] = name_checks.cause(patch, module, error)
            lost = name_checks.lost_without(patch)
        sys.stderr.write(
            f"qrag-tasks: WARNING: this lm_eval is not the one we know ({STEPPED_ASIDE[patch]}), "
            f"so {lost}. `qrag doctor` says more; QRAG_AUTOLOAD=0 silences this.\n"
        )


def install() -> None:
    """Put the finder in front of the import system, and adapt what was imported before; once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        adapt_loaded()


def runs_at_start() -> bool:
    """Tell whether ``autoload.pth`` is run when this Python starts."""
    import subprocess

    code = f"import sys; print({STAND_IN!r} in [getattr(f, '__name__', '') for f in sys.meta_path])"
    # Not asked of this process, in which importing qrag_tasks has put the finder in place.
    done = subprocess.run(  # noqa: S603 - this Python itself
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "True"
