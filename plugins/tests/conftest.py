"""Fixtures: the core's wheel, and environments in which a plugin is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_environments import Beside, Run, beside_ours, run_in


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
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    run = run_in(folder / "venv", folder / "cache")
    # The newest reads what packages need from the index; Python's own fetches them whole for it.
    run("python -m pip install --quiet --upgrade pip", folder)
    return run


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Beside:
    """An environment in which a plugin's wheel is installed beside ours."""
    return beside_ours(tmp_path_factory.mktemp("beside"))
