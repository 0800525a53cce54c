"""Packages in versions that others do not take, as their own metadata say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from qrag_tasks.cli import main
from qrag_tasks.cli.requirement_conflicts import conflicts

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package's metadata before all that is installed."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, version: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Provides-Extra: {extra}" for extra in extras]
        lines += [f"Requires-Dist: {each}" for each in requires]
        text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
        (folder / "METADATA").write_text(f"{text}\n", encoding="utf-8")

    return write


def told() -> list[str]:
    return [str(each) for each in conflicts()]


OURS = (
    "some-core>=2",
    "qrag-tasks[hf]; extra == 'gptq'",
    "gptq-lib==7.6.0; extra == 'gptq'",
    "some-torch>=2.4; extra == 'hf'",
    "old-thing>=1; python_version < '3'",
)


def test_nothing_is_said_where_all_fits(install: Install) -> None:
    install("qrag-tasks", "9", *OURS, extras=("hf", "gptq"))
    install("some-core", "2.1", "some-torch<3; extra == 'gpu'", extras=("gpu",))
    install("gptq-lib", "7.6.0")
    assert told() == []


def test_what_an_extra_pins(install: Install) -> None:
    install("qrag-tasks", "9", *OURS, extras=("hf", "gptq"))
    install("some-core", "2.1")
    install("gptq-lib", "7.7.0", "some-torch>=3")
    install("some-torch", "2.13.0+cpu")
    (pinned, beyond) = conflicts()
    assert str(pinned) == "qrag-tasks[gptq] needs gptq-lib==7.6.0, and 7.7.0 is installed"
    assert str(beyond) == "gptq-lib 7.7.0 needs some-torch>=3, and 2.13.0+cpu is installed"
    assert pinned.remedy.startswith("pip install 'gptq-lib==7.6.0', or ")


def test_what_is_missing(install: Install) -> None:
    install("qrag-tasks", "9", *OURS, extras=("hf", "gptq"))
    assert told() == ["qrag-tasks needs some-core>=2, and it is not installed"]


def test_what_a_package_needs_and_has_not(install: Install) -> None:
    install("qrag-tasks", "9", "some-core>=2")
    install("some-core", "2.0", "never-heard-of>=1", "not a requirement !")
    assert told() == ["some-core 2.0 needs never-heard-of>=1, and it is not installed"]


def test_releases_before_the_last_count(install: Install) -> None:
    install("qrag-tasks", "9", "some-core>=2")
    install("some-core", "3.0rc1")
    assert told() == []


def test_doctor_tells_it(install: Install) -> None:
    install("rouge-score", "0.0.1")
    done = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "200"})
    assert "qrag-tasks needs rouge-score>=0.1.2, and 0.0.1 is installed" in done.output
    # It may run all the same.
    assert "MISSING  rouge-score" not in done.output
