"""Makes our tasks, and 4-bit loading, work in plain ``lm_eval``.

lm_eval 0.4.13 has no entry point for tasks. So the wheel carries ``autoload.pth``, which imports
this module at interpreter start and puts a finder in front of the import system. The finder does
nothing until one of the three modules below is imported; it then lets
:mod:`qrag_tasks.harness.patches` adapt that module, once. ``QRAG_AUTOLOAD=0`` turns it off.

This runs in every Python process of the environment: it must stay quick (benchmarks/startup.py)
and import nothing. It can be deleted on the day lm_eval has entry points (its pull requests 4013
and 4015).
"""

import sys

PATCHES = {
    "lm_eval.config.evaluate_config": "check_before_the_model_loads",
    "lm_eval.tasks.manager": "add_task_folder",
    "lm_eval.models.huggingface": "repair_hflm",
}
"""Module of lm_eval -> the function of :mod:`qrag_tasks.harness.patches` that adapts it."""


class _Finder:
    """A meta-path finder that watches the modules of :data:`PATCHES` and finds nothing itself."""

    def find_spec(self, fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        """Return the spec that the other finders have, its loader prepared to call our patch."""
        patch = PATCHES.get(fullname)
        if patch is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)  # type: ignore[arg-type]
            if spec is not None:
                break
        else:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):  # type: ignore[no-untyped-def]
            execute(module)
            _apply(patch, module)

        spec.loader.exec_module = exec_module
        return spec


def _apply(patch, module):  # type: ignore[no-untyped-def]
    """Adapt ``module``; where it no longer looks as expected, step aside with one warning."""
    try:
        from qrag_tasks.harness import patches

        getattr(patches, patch)(module)
    except Exception as error:
        sys.stderr.write(
            f"qrag-tasks: WARNING: this lm_eval is not the one we know ({module.__name__}: "
            f"{type(error).__name__}: {error}). Its part of the automatic set-up is off: "
            f'give lm_eval --include_path "$(qrag path)" and see `qrag doctor`; '
            f"QRAG_AUTOLOAD=0 silences this.\n"
        )


def install():  # type: ignore[no-untyped-def]
    """Put the finder in front of the import system, once."""
    if not installed():
        sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]


def installed():  # type: ignore[no-untyped-def]
    """Tell whether the finder is in place in this process."""
    return any(type(finder).__name__ == "_Finder" and type(finder).__module__ == __name__ for finder in sys.meta_path)
