from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from qrag_pyserini.client import stop_workers

# Most workers live for a question or two, which compiling for speed only delays.
os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"


@pytest.fixture(scope="session", autouse=True)
def _no_worker_left() -> Iterator[None]:
    yield
    stop_workers()
