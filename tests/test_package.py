"""The package as such: cheap to import, typed, and its public names are there."""

from __future__ import annotations

import subprocess
import sys

import qrag_tasks

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "numpy", "pluggy", "jnius")


def test_import_is_light() -> None:
    code = (
        f"import sys; import qrag_tasks; print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_public_names_resolve() -> None:
    for name in qrag_tasks.__all__:
        assert getattr(qrag_tasks, name) is not None
    assert set(qrag_tasks.__all__) <= set(dir(qrag_tasks))


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(qrag_tasks, "no_such_name")
