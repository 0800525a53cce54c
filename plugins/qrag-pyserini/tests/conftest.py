from __future__ import annotations

from collections.abc import Iterator

import pytest

from qrag_pyserini.client import stop_workers


@pytest.fixture(scope="session", autouse=True)
def _no_worker_left() -> Iterator[None]:
    yield
    stop_workers()
