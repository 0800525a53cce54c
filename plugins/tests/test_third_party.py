"""Third parties' retriever and task: their walks, their tox, their wheels, and these broken."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from plugin_environments import Run, install, run_in, warm_in
from plugin_walks import PAGE, Walk
from warm_python import WarmPython

from qrag_tasks.scaffolding import KINDS, new_plugin

RETRIEVER, TASK = Walk.of("Write a retriever"), Walk.of("Add a task")
LM_EVAL = (
    "lm_eval --tasks lamp3u_rag_k1 --model dummy --limit 4 --metadata "
    '\'{"data": "mini", "retriever": "RETRIEVER"}\''
)

BIRDS = "lm_eval --tasks birds_rag_all_k1 --model dummy"
LAMP = 'lm_eval --tasks lamp3u_rag_k0 --model dummy --limit 2 --metadata \'{"data": "mini"}\''
REGISTERS = "register(ROW.name, ROW)"


@dataclass(frozen=True)
class Tried:
    """A new plugin that its own tox has tried.

    :ivar printed: what tox printed.
    :ivar environment: that tox has made, without the plugin.
    """

    printed: str
    environment: Path


@pytest.fixture(scope="module")
def tried(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Write a plugin, and have its own tox try its wheel with the lowest of everything."""
    folder = tmp_path_factory.mktemp("tox") / "qrag-shared"
    new_plugin("shared", "retriever", folder)
    run = run_in(Path(sys.prefix), folder.parent / "cache")
    name = f"py{sys.version_info[0]}{sys.version_info[1]}-qraglowest-lmevallowest"
    found = f'PIP_FIND_LINKS="${{PIP_FIND_LINKS:-}} {wheel.parent}"'
    printed = run(f"{found} python -m tox run -e {name}", folder).stdout
    run(f".tox/{name}/bin/python -m pip uninstall --quiet --yes qrag-shared", folder)
    return Tried(printed, folder / ".tox" / name)


@pytest.fixture(scope="module")
def clean(tried: Tried) -> Run:
    """Runs bash in an environment where the core is installed, and none of our plugins."""
    return run_in(tried.environment, tried.environment / "tmp" / "cache")


@pytest.fixture(scope="module")
def warm(tried: Tried, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a command in the same environment, forked from a process that has imported much.

    For plugins that are broken; what whole ones do from a start of Python on is seen cold.
    """
    python = tried.environment / "bin" / "python"
    warm = WarmPython(tmp_path_factory.mktemp("warm"), python=python)
    yield warm_in(tried.environment, tried.environment / "tmp" / "cache", warm)
    warm.close()


@pytest.fixture(scope="module")
def walked(clean: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Follow the walk to its end; returns the new plugin's folder and all that was printed."""
    work = tmp_path_factory.mktemp("work")
    walk = PAGE.read_text(encoding="utf-8").partition("## Write a retriever")[2]
    blocks = re.findall(
        r"^```bash\n(.*?)^```", walk.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
    script = "\n".join(blocks)
    assert script.startswith("qrag plugins new longest --kind retriever\n")
    done = clean(script, work)
    return work / "qrag-longest", done.stdout


def test_its_own_tox_tries_the_wheel(tried: Tried) -> None:
    assert "No broken requirements found." in tried.printed
    assert re.search(r"shared +qrag-shared +0\.1\.0 +retriever +shared +ok", tried.printed)
    assert re.search(r"shared +>=0\.1\.0,<0\.2 +qrag_register_retrievers", tried.printed)
    assert re.search(r"\d+ passed", tried.printed)
    assert "|lamp3u_rag_k1|" in tried.printed


@pytest.mark.parametrize("kind", KINDS)
def test_tox_reads_the_matrix_of_every_kind(kind: str, tmp_path: Path) -> None:
    """What its environments install and run; one of them is run above."""
    folder = new_plugin("shared", kind, tmp_path / "qrag-shared")
    run = run_in(Path(sys.prefix), tmp_path / "cache")
    listed = run("python -m tox list --no-desc -q", folder).stdout
    names = re.findall(r"^py3\d+-qrag(?:low|new)est-lmeval(?:low|new)est$", listed, re.MULTILINE)
    assert len(set(names)) == 16
    keys = "deps commands commands_pre extras package constrain_package_deps"
    asked = run(f"python -m tox config -e {names[0]} -k {keys}", folder).stdout
    assert "qrag-tasks==" in asked
    assert "lm-eval==" in asked
    assert "package = wheel" in asked
    assert "constrain_package_deps = True" in asked
    assert "python -m pip check" in asked
    (evaluated,) = re.findall(r"lm_eval --tasks .*", asked)
    (told,) = re.findall(r"^lm_eval --tasks .*", (folder / "README.md").read_text(), re.MULTILINE)
    assert shlex.split(evaluated) == shlex.split(told)


def test_the_walk_ends_with_a_wheel(walked: tuple[Path, str]) -> None:
    folder, printed = walked
    assert re.search(r"longest +qrag-longest +0\.1\.0 ", printed)
    assert "longest: " in printed
    assert " checks, 0 failed" in printed
    assert "|lamp3u_rag_k1|" in printed
    assert printed.count("PASSED") == 2  # twine, on the wheel and on the source
    assert [path.name for path in (folder / "dist").glob("*.whl")] == [
        "qrag_longest-0.1.0-py3-none-any.whl"
    ]


def test_the_wheel_is_used_by_lm_eval(clean: Run, walked: tuple[Path, str]) -> None:
    folder, _ = walked
    (wheel,) = (folder / "dist").glob("*.whl")
    clean(f"python -m pip install --quiet --no-deps --force-reinstall '{wheel}'", folder)
    clean("python -m pip check", folder)
    done = clean(LM_EVAL.replace("RETRIEVER", "longest:shortest=3"), folder.parent)
    assert "|lamp3u_rag_k1|" in done.stdout


BROKEN = {
    "import_error": (
        ("import re\n", "import re\nimport no_such_module_anywhere\n"),
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
    ),
    "wrong_hook_name": (
        ("def qrag_register_retrievers(", "def qrag_register_retriever("),
        "unknown hook 'qrag_register_retriever'",
    ),
    "wrong_return": (
        (
            "    def _words(",
            "    def rank(self, queries, k=None):\n        return queries\n\n    def _words(",
        ),
        "returned a Query, expected a Ranking",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_wheel_broken(
    clean: Run, warm: Run, walked: tuple[Path, str], name: str, tmp_path: Path
) -> None:
    folder, _ = walked
    replaced, cause = BROKEN[name]
    install(clean, RETRIEVER, tmp_path / name, __init__=replaced)

    # One that cannot be imported is met from the start of Python.
    run = clean if name == "import_error" else warm
    asked = run(LM_EVAL.replace("RETRIEVER", "longest"), folder.parent, check=False)
    assert asked.returncode == 1
    printed = " ".join(asked.stdout.split())
    assert cause in printed
    assert "qrag-longest 0.1.0" in printed
    assert "entry point longest = qrag_longest" in printed
    assert "Traceback" not in asked.stdout
    if name == "wrong_return":
        assert "sample '" in printed

    other = warm(LM_EVAL.replace("RETRIEVER", "bm25"), folder.parent)
    assert "|lamp3u_rag_k1|" in other.stdout
    warned = cause in " ".join(other.stdout.split())
    assert warned == (name != "wrong_return")  # what it returns is known only when it is asked
    listed = warm("qrag plugins", folder.parent).stdout
    assert "bm25-word" in listed
    assert ("broken: " in listed) == (name != "wrong_return")


def test_the_core_announces_model_and_tasks_to_lm_eval(clean: Run, tmp_path: Path) -> None:
    script = """
from importlib.metadata import entry_points
from pathlib import Path
import qrag_tasks
(tasks,), (model,) = (entry_points(group=f"lm_eval.{kind}") for kind in ("tasks", "models"))
folder = Path(tasks.load().__path__[0])
print((folder / "groups" / "lamp_rag_k5.yaml").is_file(), model.name, model.value)
"""
    (tmp_path / "look.py").write_text(script, encoding="utf-8")
    done = clean("python look.py", tmp_path)
    assert done.stdout == "True qrag qrag_tasks.harness.model:QragLM\n"


def test_the_wheel_of_the_core_can_be_published(
    clean: Run, walked: tuple[Path, str], wheel: Path
) -> None:
    done = clean(f"python -m twine check --strict '{wheel}'", walked[0])  # which the walk installed
    assert "PASSED" in done.stdout


def test_the_wheel_of_a_task_is_used_by_lm_eval_from_any_folder(
    clean: Run, warm: Run, tmp_path: Path
) -> None:
    install(clean, TASK, tmp_path / "good")
    clean("python -m pip check", tmp_path)
    assert "birds_rag_k1" in clean(BIRDS, tmp_path).stdout
    said = warm("qrag plugins check birds", tmp_path).stdout
    assert re.search(r"birds: \d\d checks, 0 failed", said)
    assert "from qrag-birds 0.1.0" in warm("COLUMNS=200 qrag tasks", tmp_path).stdout


@pytest.fixture(scope="module")
def few_tasks(tried: Tried, warm: Run) -> Run:
    """Runs a command in the same environment, whose lm_eval has no tasks of its own from here on.

    A name that nobody has would have it read 14,000 files, in some ten seconds.
    """
    (tasks,) = tried.environment.glob("lib/python*/site-packages/lm_eval/tasks")
    for folder in tasks.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    return warm


@pytest.mark.parametrize(
    ("replaced", "message", "harmless"),
    [
        # Whoever did not ask for birds is warned, and goes on.
        ((REGISTERS, "raise OSError('the nest is empty')"), "OSError: the nest is empty", True),
        ((REGISTERS, "register('owls', ROW)"), "what is registered as 'owls' calls itself", True),
        # Which of the two is meant, nobody can tell.
        (('name="birds"', 'name="lamp3u"'), "two plugins register the task 'lamp3u'", False),
    ],
)
def test_the_wheel_of_a_task_broken(
    replaced: tuple[str, str],
    message: str,
    harmless: bool,
    clean: Run,
    few_tasks: Run,
    tmp_path: Path,
) -> None:
    install(clean, TASK, tmp_path / "broken", __init__=replaced)
    done = few_tasks(LAMP, tmp_path, check=False)
    assert (done.returncode == 0) == harmless, done.stdout
    assert message in done.stdout
    done = few_tasks(BIRDS, tmp_path, check=False)
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    listed = re.sub(r"\s+", " ", few_tasks("qrag plugins", tmp_path, check=False).stdout)
    assert message[:40] in listed
    if not harmless:
        few_tasks(f"QRAG_BLOCK_PLUGINS=qrag-birds {LAMP}", tmp_path)
