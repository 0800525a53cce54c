"""Fixtures: the core's wheel, and environments in which a plugin is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_environments import Beside, beside_ours
from warm_python import WarmPython


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that tox built of the core."""
    built = os.environ.get("TOX_PACKAGE", "")
    if not built.endswith(".whl"):
        pytest.skip("there is no wheel of the core: run `tox run -e plugins`")
    return Path(built)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """Runs commands of Python in processes that have torch and lm_eval imported already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QRAG_CACHE", str(tmp_path_factory.mktemp("cache")))
        warm = WarmPython(tmp_path_factory.mktemp("warm"))
        yield warm
        warm.close()


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Beside:
    """An environment in which a plugin's wheel is installed beside ours."""
    return beside_ours(tmp_path_factory.mktemp("beside"))
