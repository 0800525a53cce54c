"""Fixtures: the wheel of the core, and a clean environment that it is installed in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that tox built of the core."""
    built = os.environ.get("TOX_PACKAGE", "")
    if not built.endswith(".whl"):
        pytest.skip("there is no wheel of the core: run `tox run -e plugins`")
    return Path(built)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs bash in a fresh environment where nothing but pip is installed."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "QRAG_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
    }

    def run(script: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done

    # The newest reads what packages need from the index; Python's own fetches them whole for it.
    run("python -m pip install --quiet --upgrade pip", folder)
    return run


@pytest.fixture(scope="session")
def clean(wheel: Path, empty: Run) -> Run:
    """Runs bash in a fresh environment where nothing but the core is installed."""
    empty(f"python -m pip install --quiet '{wheel}'", wheel.parent)
    return empty
