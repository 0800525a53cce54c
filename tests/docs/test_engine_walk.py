"""CONTRIBUTING's "Add an engine", as printed: a new engine, and no file of ours is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

ROOT = Path(__file__).parents[2]
WALK = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Add an engine\n")[2]
WALK = WALK.partition("\n## ")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)
FILES = dict(
    zip(
        re.findall(r"`((?:qrag_plain|tests)/\w+\.py|pyproject\.toml)`", WALK),
        [code for language, code in BLOCKS if language in ("python", "toml")],
        strict=True,
    )
)
(COMMANDS,) = [code.splitlines() for language, code in BLOCKS if language == "bash"]

Run = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a line of a shell in the plugin's folder, as if it were installed."""
    for name, code in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")
    info = tmp_path / "qrag_plain-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qrag-plain\nVersion: 0.1.0\n", encoding="utf-8"
    )
    (point,) = re.findall(r'^plain = "(.+)"$', FILES["pyproject.toml"], re.MULTILINE)
    (info / "entry_points.txt").write_text(f"[qrag]\nplain = {point}\n", encoding="utf-8")
    paths = (str(tmp_path), os.environ.get("PYTHONPATH", ""))
    scripts = (str(Path(sys.executable).parent), os.environ["PATH"])

    def run(command: str) -> str:
        done = subprocess.run(  # noqa: S602 - the lines of our own page
            command,
            shell=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "PATH": os.pathsep.join(scripts),
                # Else the folder is on the path twice, and so is its plugin.
                "PYTHONSAFEPATH": "1",
                "COLUMNS": "200",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_the_commands_as_printed(run: Run) -> None:
    tests, plugins, evaluated = map(run, COMMANDS)
    assert re.search(r"\d+ passed", tests)
    assert not re.search(r"skipped|failed", tests)
    assert re.search(r"plain +qrag-plain +0\.1\.0 +engine +plain +ok", plugins)
    assert "|lamp3u_rag_k1|" in evaluated
    assert "prefill" in evaluated
