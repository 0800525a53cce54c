"""Continuous integration counts its tests, and names those that no environment ran."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOX = configparser.RawConfigParser(comment_prefixes="#")
TOX.read(ROOT / "tox.ini", encoding="utf-8")

EVERYWHERE = """
import os
import pytest

LIBRARY = os.environ.get("LIBRARY") == "installed"

@pytest.mark.parametrize("n", [1, 2])
def test_always(n): ...

@pytest.mark.skipif(not LIBRARY, reason="the library is not installed")
def test_with_a_library(): ...

@pytest.mark.skipif(True, reason="needs a GPU")
def test_on_a_gpu(): ...

@pytest.mark.xfail(reason="cannot be")
def test_that_cannot_pass(): assert False
"""

WHOLE_FILE = """
import os
import pytest

if os.environ.get("LIBRARY") != "installed":
    pytest.skip("the library is not installed", allow_module_level=True)

class TestAlone:
    def test_deep(self): assert os.environ["LIBRARY"] == "installed"
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports that pytest writes of two environments, one of them with a library."""
    folder = tmp_path_factory.mktemp("ci")
    (folder / "pytest.ini").write_text("[pytest]")
    (folder / "test_everywhere.py").write_text(EVERYWHERE)
    (folder / "test_whole_file.py").write_text(WHOLE_FILE)
    for environment, library in (("with", "installed"), ("without", "")):
        report = folder / "reports" / environment / "core.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", folder],
            env={"LIBRARY": library, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    return folder / "reports"


def tally(reports: Path, *arguments: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "tally.py", reports, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def copied(reports: Path, folder: Path, *environments: str) -> Path:
    for environment in environments:
        (folder / environment).mkdir(parents=True)
        text = (reports / environment / "core.xml").read_text(encoding="utf-8")
        (folder / environment / "core.xml").write_text(text, encoding="utf-8")
    return folder


def test_a_test_that_ran_somewhere_is_run(reports: Path) -> None:
    code, (named, total) = tally(reports)
    assert code == 0
    assert named == "no environment ran core: test_everywhere::test_on_a_gpu (needs a GPU)"
    assert total == (
        "tests: 5 cases, 8 runs in 2 environments: 6 passed, 0 failed, 2 expected to fail; "
        "4 skipped, 1 of them run nowhere"
    )


def test_what_ran_nowhere_for_another_reason_is_an_error(reports: Path, tmp_path: Path) -> None:
    code, summary = tally(copied(reports, tmp_path, "without"))
    assert code == 1
    because = "(the library is not installed)"
    assert summary[:-1] == [
        "no environment ran core: test_everywhere::test_on_a_gpu (needs a GPU)",
        f"ERROR: no environment ran core: test_everywhere::test_with_a_library {because}",
        f"ERROR: no environment ran core: test_whole_file {because}",
    ]
    code, summary = tally(tmp_path, "--allow", "the library is .*")
    assert code == 0
    assert f"no environment ran core: test_whole_file {because}" in summary


def test_failures_are_counted(reports: Path, tmp_path: Path) -> None:
    report = copied(reports, tmp_path, "with") / "with" / "core.xml"
    text = report.read_text(encoding="utf-8")
    passed = re.search(r'<testcase [^>]*name="test_deep"[^>]*/>', text)
    assert passed is not None
    failed = f'{passed[0].removesuffix("/>")}><failure message="no"/></testcase>'
    report.write_text(text.replace(passed[0], failed), encoding="utf-8")
    code, summary = tally(tmp_path)
    assert code == 0  # tox has told
    assert "3 passed, 1 failed, 1 expected to fail" in summary[-1]


def test_no_report_at_all_is_an_error(tmp_path: Path) -> None:
    assert tally(tmp_path) == (
        1,
        [
            "tests: 0 cases, 0 runs in 0 environments: 0 passed, 0 failed, 0 expected to fail; "
            "0 skipped, 0 of them run nowhere"
        ],
    )


@pytest.mark.parametrize("name", [n for n in TOX.sections() if TOX.has_option(n, "commands")])
def test_every_run_of_pytest_is_reported(name: str) -> None:
    runs = [line for line in TOX[name]["commands"].splitlines() if "pytest" in line]
    report = re.compile(r"\bpytest \{\[report\](?:in\}|beside\}[\w-]+\{/\})[\w-]+\.xml ")
    suites = [report.search(line) for line in runs]
    assert None not in suites
    conditional = [line for line in runs if re.match(r"\S+: ", line)]
    # One after the other, they must not overwrite each other's.
    assert len(conditional) == len(runs) or len({s[0] for s in suites if s}) == len(runs)


def test_the_files_that_depend_on_python_are_there() -> None:
    files = TOX["depends_on_python"]["files"].split()
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert len(set(files)) == len(files)


def test_every_environment_is_run_or_named() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for section in TOX.sections():
        kind, _, name = section.partition(":")
        if kind == "testenv" and name:
            assert re.search(rf"\b{name}\b", script), name
    for name in TOX["tox"]["env_list"].split(", "):
        assert name in script
