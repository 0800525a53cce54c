"""The import hook: there at start, off when told, and out of the way where lm_eval has changed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from importlib.metadata import files
from pathlib import Path
from types import ModuleType

import pytest
from warm_python import WarmPython

from qrag_tasks.harness import autoload
from qrag_tasks.locations import task_yamls
from qrag_tasks.upstream import name_checks

INDEX = (
    "from lm_eval.tasks.manager import TaskManager\n"
    "import inspect, lm_eval.tasks.manager as m\n"
    "print(TaskManager.__init__.__module__, hasattr(TaskManager.__init__, '__wrapped__'))\n"
    "print('TaskManager' in inspect.getsource(m))"
)


@pytest.fixture(autouse=True)
def stepped_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    # What steps aside here is planted: `qrag doctor`, in tests to come, is not to tell of it.
    monkeypatch.setattr(autoload, "STEPPED_ASIDE", {})


def python(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def python_with_libraries(bare: WarmPython, code: str, **environment: str) -> str:
    """The same with what lm_eval imports there already, where the start does not matter."""
    done = bare.run(["-c", code], {**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_line_is_installed_and_is_the_one_in_the_tree() -> None:
    installed = [f for f in files("qrag-tasks") or [] if f.name == "qrag_tasks_autoload.pth"]
    assert len(installed) == 1
    ours = Path(__file__).parents[2] / "qrag_tasks" / "harness" / "autoload.pth"
    assert installed[0].read_text() == ours.read_text(encoding="utf-8")
    assert len(ours.read_text(encoding="utf-8").splitlines()) == 1


def test_a_start_imports_nothing_of_ours() -> None:
    assert python("import sys; print([m for m in sys.modules if m.startswith('qrag')])") == "[]\n"


def test_lm_eval_is_adapted_and_still_readable() -> None:
    assert python(INDEX) == "lm_eval.tasks.manager True\nTrue\n"


def test_an_old_finder_beside_ours_does_no_harm(bare_python: WarmPython) -> None:
    # Before Python 3.12 such a finder is still asked, by the method of its day.
    methods = "{'find_module': lambda *_: None}"
    old = f"import sys; sys.meta_path.insert(0, type('Old', (), {methods})())\n"
    assert python_with_libraries(bare_python, old + INDEX) == "lm_eval.tasks.manager True\nTrue\n"


def test_it_can_be_turned_off() -> None:
    assert python(INDEX, QRAG_AUTOLOAD="0") == "lm_eval.tasks.manager False\nTrue\n"


def test_what_asks_for_no_task_pays_for_none() -> None:
    code = (
        "import sys; from lm_eval.__main__ import cli_evaluate; import lm_eval.config;"
        "print([name for name in sys.modules if name.startswith('qrag_tasks.tasks.')])"
    )
    assert python(code) == "[]\n"


KERNEL = """
import sys
# As in a kernel that was running when the package was installed: no .pth file was run.
sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__name__", "") != "QragAutoload"]
{before}
import qrag_tasks
from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
manager = TaskManager(metadata={{"data": "mini"}})
found = simple_evaluate("dummy", tasks=["lamp_rag_k1"], task_manager=manager, limit=1)
print(sorted(found["samples"]), get_model("qrag").__name__ if {torch} else "QragLM")
import lm_eval.evaluator
print(lm_eval.evaluator.evaluate.__code__.co_filename.endswith("patches/runs.py"))
"""


@pytest.mark.parametrize(
    "before", ["", "import lm_eval", "import lm_eval.evaluator, lm_eval.tasks"]
)
def test_in_a_running_kernel_importing_qrag_tasks_is_enough(
    before: str, few_tasks: str, bare_python: WarmPython
) -> None:
    torch = importlib.util.find_spec("torch") is not None
    code = KERNEL.format(before=before, torch=torch)
    printed = python_with_libraries(bare_python, code, PYTHONPATH=few_tasks).splitlines()
    assert "['lamp3u_rag_k1', 'lamp5u_rag_k1'] QragLM" in printed
    assert printed[-1] == "True"


def test_importing_qrag_tasks_obeys_the_switch() -> None:
    code = "import sys, qrag_tasks; print('qrag_tasks.harness.autoload' in sys.modules)"
    assert python(code) == "True\n"
    assert python(code, QRAG_AUTOLOAD="0") == "False\n"


def test_adapting_twice_changes_nothing() -> None:
    from lm_eval.tasks.manager import TaskManager

    before = TaskManager.__init__
    autoload.adapt_loaded()
    assert TaskManager.__init__ is before


def test_it_is_known_whether_python_runs_the_line(tmp_path: Path) -> None:
    assert autoload.runs_at_start()
    # What lies on PYTHONPATH, as after `pip install --target`, has its .pth files passed over.
    code = "from qrag_tasks.harness import autoload; print(autoload.runs_at_start())"
    clean = tmp_path / "venv"
    venv.create(clean, with_pip=False)
    done = subprocess.run(
        [clean / "bin" / "python", "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("module_name", list(autoload.PATCHES))
def test_the_patches_fit_the_installed_lm_eval(module_name: str, bare_python: WarmPython) -> None:
    if module_name.endswith("huggingface"):
        pytest.importorskip("torch", reason="the hf extra is not installed")
    # Its patches are there: none is silently left out with the hook.
    code = f"import {module_name} as m; print(hasattr(m, {autoload._ADAPTED_BY!r}))"
    done = bare_python.run(["-c", code], os.environ)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "qrag-tasks: WARNING" not in done.stderr


@pytest.mark.parametrize("module_name", list(autoload.PATCHES))
def test_it_steps_aside_where_lm_eval_has_changed(
    module_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ModuleType(module_name)
    for patch in autoload.PATCHES[module_name]:
        autoload._apply(patch, changed)
    warnings = capsys.readouterr().err
    assert module_name in warnings
    for patch in autoload.PATCHES[module_name]:
        assert f", so {name_checks.lost_without(patch)}. `qrag doctor` says more" in warnings
    assert "QRAG_AUTOLOAD=0" in warnings


def test_a_changed_signature_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    changed = ModuleType("lm_eval.tasks.manager")

    class TaskManager:
        def __init__(self, folders: object = None) -> None: ...

    original = TaskManager.__init__
    changed.TaskManager = TaskManager  # type: ignore[attr-defined]
    autoload._apply("add_task_folder", changed)
    assert "no parameter 'include_" in capsys.readouterr().err
    assert TaskManager.__init__ is original


def test_the_folder_is_added_once(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    given = TaskManager(include_path=str(task_yamls()), include_defaults=False)
    assert "lamp_rag_k5" in given.all_groups
    without = TaskManager(include_path=str(tmp_path), include_defaults=False)
    assert "lamp_rag_k5" not in without.all_tasks
