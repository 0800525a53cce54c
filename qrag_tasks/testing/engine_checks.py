"""The conformance kit of engines without a test of one's own: pytest runs it, in a process apart.

As a plugin of pytest (``-p qrag_tasks.testing.engine_checks``) the module prints a line of JSON for
each test that has ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.testing.check import State

_TEST = """
import json

import pytest

pytest.register_assert_rewrite("qrag_tasks.testing.engine_requests", "qrag_tasks.testing.engines")
from qrag_tasks.testing.engines import EngineConformance


class TestEngine(EngineConformance):
    name = {name!r}

    @pytest.fixture
    def arguments(self):
        return json.loads({arguments!r})
"""
_MARK = "qrag-engine-check "


@dataclass(frozen=True)
class EngineOutcome:
    """What came of one test of the kit.

    :ivar message: what is wrong, or why it was skipped; empty when it passed.
    """

    name: str
    state: State
    message: str


def run_engine_checks(
    name: str, arguments: Mapping[str, Any], expected: Collection[str] = ()
) -> Iterator[EngineOutcome]:
    """Hold an engine to its contract: yield the outcome of each test as it is known.

    What needs more than an engine, such as a reference to compare with, is skipped: a test class of
    one's own gives it (:class:`~qrag_tasks.testing.engines.EngineConformance`).

    :param arguments: of the model, as ``--model_args`` gives them. A small one in 32 bits tells
        most: in 16 bits answers depend on their batch.
    :param expected: names of tests that fail by design.
    :raises SettingsError: when pytest is missing, or ``expected`` names no test.
    """
    try:
        from qrag_tasks.testing.engines import EngineConformance
    except ImportError:
        raise SettingsError(
            "to check an engine takes pytest: pip install 'qrag-tasks[testing]'"
        ) from None
    known = [each.removeprefix("test_") for each in dir(EngineConformance) if "test_" in each]
    for each in expected:
        if each not in known:
            raise SettingsError(
                f"unknown check {each!r} (known: {', '.join(known)}).{did_you_mean(each, known)}"
            )
    with TemporaryDirectory(prefix="qrag-engine-") as folder:
        file = Path(folder, "test_engine.py")
        text = _TEST.format(name=name, arguments=json.dumps(dict(arguments)))
        file.write_text(text, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pytest", str(file), "-s", "--rootdir", folder),
            *("-c", str(Path(folder, "pytest.ini")), "-p", "no:cacheprovider"),
            *("-p", "no:terminal", "-p", __name__),
        ]
        Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        yield from _outcomes(command, Path(folder, "log"), set(expected))


def _outcomes(command: list[str], log: Path, expected: set[str]) -> Iterator[EngineOutcome]:
    seen = 0
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            if line.startswith(_MARK):
                seen += 1
                outcome = EngineOutcome(**json.loads(line.removeprefix(_MARK)))
                if outcome.name.partition("[")[0] in expected:
                    outcome = _as_expected(outcome)
                yield outcome
    if not seen:
        words = log.read_text("utf-8", errors="replace").strip().splitlines()
        raise SettingsError(f"pytest ran no check: {words[-1] if words else 'it said nothing'}")


def _as_expected(outcome: EngineOutcome) -> EngineOutcome:
    if outcome.state == "passed":
        return EngineOutcome(outcome.name, "failed", "expected to fail, but it passes")
    state: State = "expected" if outcome.state == "failed" else outcome.state
    return EngineOutcome(outcome.name, state, outcome.message)


# ---------------------------------------------------------------------- in pytest's process
def pytest_runtest_logreport(report: Any) -> None:
    """Print what came of a test, once: a fixture may fail before it, or skip it."""
    if report.when != "call" and report.outcome == "passed":
        return
    state = report.outcome
    message = ""
    if state == "skipped":
        message = str(report.longrepr[2]).removeprefix("Skipped: ")
    elif state == "failed":
        crash = getattr(report.longrepr, "reprcrash", None)
        message = " ".join(str(crash.message if crash else report.longrepr).split())
    name = report.nodeid.rpartition("::")[2].removeprefix("test_")
    line = json.dumps({"name": name, "state": state, "message": message})
    print(f"\n{_MARK}{line}", flush=True)  # noqa: T201 - read by the process that waits
