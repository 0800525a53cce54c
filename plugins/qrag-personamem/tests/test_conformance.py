"""The core's own kit, on the embedded sample."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from qrag_tasks.testing import TaskConformance
from qrag_tasks.testing.checks import tasks as checks


@pytest.fixture(autouse=True, scope="module")
def asked_once() -> Iterator[None]:
    """What listing the plugins imports is the same question for every task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "examine", cache(checks.examine))
        yield


class TestTurns(TaskConformance):
    spec = "personamem-turns-32k:mini"


class TestSessions(TaskConformance):
    spec = "personamem-sessions-128k:mini"


class TestFull(TaskConformance):
    spec = "personamem-full-1m:mini"
