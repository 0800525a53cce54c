"""The package as such: cheap to import, typed, and its public names are there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import qrag_tasks

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "numpy", "pyarrow", "pydantic", "pluggy")


@pytest.mark.parametrize(
    "done",
    [
        "import qrag_tasks",
        "from qrag_tasks.cli import main; main(['--help'], standalone_mode=False)",
    ],
)
def test_what_computes_nothing_imports_nothing_heavy(done: str) -> None:
    assert heavy_after(done) == "[]"


def test_listing_the_tasks_imports_no_more_than_plugins_need() -> None:
    listing = "from qrag_tasks.cli import main; main(['tasks'], standalone_mode=False)"
    # Tasks come as plugins, and with the hooks of tasks those of retrievers are called.
    assert heavy_after(listing) == "['numpy', 'pluggy']"


def heavy_after(done: str) -> str:
    code = f"import sys; {done}; print([name for name in {HEAVY!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return out.stdout.splitlines()[-1]


def test_public_names_resolve() -> None:
    for name in qrag_tasks.__all__:
        assert getattr(qrag_tasks, name) is not None
    assert set(qrag_tasks.__all__) <= set(dir(qrag_tasks))


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(qrag_tasks, "no_such_name")
