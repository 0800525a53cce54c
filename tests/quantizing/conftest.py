"""What all tests of making checkpoints share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have GPT-QModel's layers run as they are written: to compile them takes most of a test.

    As users run them, compiled, they are held to their weights by tests/arms/test_smoke.py.
    """
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
