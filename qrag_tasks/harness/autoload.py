"""Makes our tasks, and 4-bit loading, work in plain ``lm_eval``.

lm_eval 0.4.13 has no entry point for tasks. So the wheel carries ``autoload.pth``, one line that
Python runs at every start. It imports nothing; it puts a stand-in in front of the import system
that waits for ``import lm_eval`` and then calls :func:`install`. The finder installed here waits
for the modules below and lets :mod:`qrag_tasks.harness.patches` adapt each, once. In a
process that never imports lm_eval nothing happens. ``QRAG_AUTOLOAD=0`` turns it off.

What it costs: benchmarks/startup.py. It can be deleted on the day lm_eval has entry points (its
pull requests 4013 and 4015).
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

PATCHES = {
    "lm_eval.config.evaluate_config": "check_before_the_model_loads",
    "lm_eval.tasks.manager": "add_task_folder",
    "lm_eval.models": "register_model",
    "lm_eval.utils": "add_cost_table",
    "lm_eval.api.model": "keep_answers_apart",
    "lm_eval.models.huggingface": "repair_hflm",
}
"""Module of lm_eval -> the function of :mod:`qrag_tasks.harness.patches` that adapts it."""


STAND_IN = "QragAutoload"
"""Name of the class that ``autoload.pth`` puts in place."""


class _Finder:
    """A meta-path finder that watches the modules of :data:`PATCHES` and finds nothing itself."""

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, its loader prepared to call our patch."""
        patch = PATCHES.get(fullname)
        if patch is None:
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
            _apply(patch, module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _apply(patch: str, module: ModuleType) -> None:
    """Adapt ``module``; where it no longer looks as expected, step aside with one warning."""
    try:
        from qrag_tasks.harness import patches

        getattr(patches, patch)(module)
    except Exception as error:
        # Whatever it is, `import lm_eval` must go on working.
        sys.stderr.write(
            f"qrag-tasks: WARNING: this lm_eval is not the one we know ({module.__name__}: "
            f"{type(error).__name__}: {error}). Its part of the automatic set-up is off: "
            f'give lm_eval --include_path "$(qrag path)" and see `qrag doctor`; '
            f"QRAG_AUTOLOAD=0 silences this.\n"
        )


def install() -> None:
    """Put the finder in front of the import system, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def waiting() -> bool:
    """Tell whether ``import lm_eval`` in this process is, or would be, adapted."""
    return any(
        isinstance(finder, _Finder) or getattr(finder, "__name__", "") == STAND_IN
        for finder in sys.meta_path
    )
