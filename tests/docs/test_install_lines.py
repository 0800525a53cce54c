"""Every `pip install` that the documentation or a message tells is one that works today."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qrag_tasks.experiment.plan.reading import _BROUGHT_BY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
    *sorted((ROOT / "examples").glob("*.yaml")),
]
CODE = [
    *sorted((ROOT / "qrag_tasks").rglob("*.py")),
    *(path for path in sorted((ROOT / "plugins").rglob("*.py")) if "tests" not in path.parts),
]
ON_THE_INDEX = {
    *("build", "huggingface-hub", "llama-cpp-python", "nvidia-ml-py", "peft", "setuptools", "tox"),
    *("twine", "wheel"),
}
"""What is asked of the index: packages of others, named here after a look at it."""


def told(path: Path) -> list[str]:
    """The arguments of every `pip install` in a file, up to the end of the line or quotation."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":  # in a sentence, so that the first word is all that is sure
        names = re.findall(r"pip install ('[^'\n]*'|[^`\"\s,)]+)", text)
        return [line for line in names if "{" not in line]
    lines = re.findall(r"pip install ((?:'[^'\n]*'|[^`\"\n#&;,)])+)", text)
    return [line.strip() for line in lines]


def requirements(line: str) -> list[str]:
    found, words = [], iter(shlex.split(line))
    for word in words:
        if word == "--target":
            next(words, None)
        elif not word.startswith("-"):
            found.append(word)
    return found


def extras_of(folder: Path) -> set[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project.get("optional-dependencies", ()))


def check(requirement: str, page: Path) -> None:
    name, *rest = re.split(r"[\[\]]", requirement)
    extras = set(rest[0].split(",")) if rest else set()
    if name.startswith("."):
        folders = [folder / name for folder in (ROOT, page.parent)]
        known = [extras_of(f) for f in folders if (f / "pyproject.toml").is_file()]
        assert any(extras <= found for found in known), f"{page}: {requirement}"
    elif name in ("qrag-tasks", page.parent.parent.name):
        # pip takes the one that is installed, and adds what an extra needs.
        assert extras or page.suffix == ".py", f"{page}: {requirement} is on no index"
        folder = ROOT if name == "qrag-tasks" else page.parents[1]
        assert extras <= extras_of(folder), f"{page}: {requirement}"
    else:
        assert name in ON_THE_INDEX, f"{page}: {requirement}"


LINES = [(page, line) for page in [*PAGES, *CODE] for line in told(page)]


def test_they_are_found() -> None:
    lines = {page.relative_to(ROOT).as_posix(): line for page, line in reversed(LINES)}
    assert lines["README.md"] == "tox"
    assert lines["docs/quantize.md"] == "'.[hf]' setuptools wheel"
    assert lines["plugins/qrag-dense/README.md"] == ". ./plugins/qrag-dense"
    assert lines["qrag_tasks/engines/tokenizers.py"] == "'qrag-tasks[hf]'"


@pytest.mark.parametrize(
    ("page", "line"), LINES, ids=[f"{page.name}:{line}" for page, line in LINES]
)
def test_it_names_what_can_be_had(page: Path, line: str) -> None:
    for requirement in requirements(line):
        check(requirement, page)


def test_the_readme_installs_from_the_clone() -> None:
    assert [line for line in told(ROOT / "README.md") if "qrag-tasks" in line] == []


def test_plugins_are_told_where_they_are() -> None:
    for name in set(_BROUGHT_BY.values()):
        assert (ROOT / "plugins" / name / "pyproject.toml").is_file()


def test_an_extra_is_added_to_what_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "qrag-tasks[testing]"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
