"""A server that misbehaves as it is told, and a folder to download into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_server import Answer, BadServer
from download_files import (
    GOLDS,
    GOLDS_PATH,
    PATH,
    QUESTIONS,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with BadServer() as running:
        running.on(PATH, Answer(QUESTIONS))
        running.on(GOLDS_PATH, Answer(GOLDS))
        monkeypatch.setenv("QRAG_LAMP_URL", running.url)
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lamp"
