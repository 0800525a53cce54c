"""The core's own kit, on the embedded sample."""

from __future__ import annotations

from qrag_tasks.testing import TaskConformance


class TestTurns(TaskConformance):
    spec = "personamem-turns-32k:mini"


class TestSessions(TaskConformance):
    spec = "personamem-sessions-128k:mini"


class TestFull(TaskConformance):
    spec = "personamem-full-1m:mini"
