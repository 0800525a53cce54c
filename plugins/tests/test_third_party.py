"""A third party's plugin: CONTRIBUTING's walk as printed, its wheel, and that wheel broken."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

LM_EVAL = (
    "lm_eval --tasks lamp3u_rag_k1 --model dummy --limit 4 --metadata "
    '\'{"data": "mini", "retriever": "RETRIEVER"}\''
)


@pytest.fixture(scope="module")
def walked(clean: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Follow the walk to its end; returns the new plugin's folder and all that was printed."""
    checkout = tmp_path_factory.mktemp("work") / "qrag-tasks"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".pytest_cache", "dist")
    shutil.copytree(
        ROOT / "plugins" / "qrag-example", checkout / "plugins" / "qrag-example", ignore=ignored
    )
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = text.partition("## Write a retriever")[2].partition("\n## ")[0]
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", walk, re.MULTILINE | re.DOTALL))
    assert script.startswith("cp -r plugins/qrag-example ../qrag-longest\n")
    done = clean(script, checkout)
    return checkout.parent / "qrag-longest", done.stdout


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
    left = [p for p in folder.rglob("*.*") if p.suffix in (".py", ".toml", ".md")]
    assert not [
        p
        for p in left
        if re.search(r"example|jaccard", p.read_text("utf-8"), re.I)
        and p.name not in ("README.md",)
    ]


def install(clean: Run, folder: Path, name: str, **replaced: str) -> None:
    """Install the plugin's wheel, built again where something in its code is replaced."""
    if not replaced:
        wheel = next((folder / "dist").glob("*.whl"))
    else:
        copy = folder.parent / name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("dist", "*.egg-info"))
        module = copy / "qrag_longest" / "__init__.py"
        code = module.read_text(encoding="utf-8")
        for old, new in replaced.values():
            assert old in code
            code = code.replace(old, new)
        module.write_text(code, encoding="utf-8")
        clean(f"python -m pip wheel --quiet --no-deps --wheel-dir {copy}/dist {copy}", copy)
        wheel = next((copy / "dist").glob("*.whl"))
    clean(f"python -m pip install --quiet --no-deps --force-reinstall '{wheel}'", folder)


def test_the_wheel_is_used_by_lm_eval(clean: Run, walked: tuple[Path, str]) -> None:
    folder, _ = walked
    install(clean, folder, "good")
    clean("python -m pip check", folder)
    done = clean(LM_EVAL.replace("RETRIEVER", "longest:shortest=3"), folder.parent)
    assert "documents by longest:shortest=3" in done.stdout or "|lamp3u_rag_k1|" in done.stdout


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
def test_the_wheel_broken(clean: Run, walked: tuple[Path, str], name: str) -> None:
    folder, _ = walked
    replaced, cause = BROKEN[name]
    install(clean, folder, name, code=replaced)

    asked = clean(LM_EVAL.replace("RETRIEVER", "longest"), folder.parent, check=False)
    assert asked.returncode == 1
    printed = " ".join(asked.stdout.split())
    assert cause in printed
    assert "qrag-longest 0.1.0" in printed
    assert "entry point longest = qrag_longest" in printed
    assert "Traceback" not in asked.stdout
    if name == "wrong_return":
        assert "sample '" in printed

    other = clean(LM_EVAL.replace("RETRIEVER", "bm25"), folder.parent)
    assert "|lamp3u_rag_k1|" in other.stdout
    warned = cause in " ".join(other.stdout.split())
    assert warned == (name != "wrong_return")  # what it returns is known only when it is asked
    listed = clean("qrag plugins", folder.parent).stdout
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
