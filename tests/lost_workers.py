"""Runs in the middle of which a process that computes is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.journal import Journal, request_keys
from qrag_tasks.engines.session import Session
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.testing.engine_requests import sample_requests


def ended(process: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet has, too."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def killed_midway(engine: Engine, meter: Meter, process: int, journal: Path) -> str:
    """Kill a process after the first answers are kept; return the error of the run."""
    session = Session(engine, meter, "vllm")
    session.keep_answers(Journal(journal, "a" * 64))
    engine.limit = BatchLimit(rows=1)
    requests = sample_requests(engine)
    keys = request_keys([[*request.prompt]] for request in requests)
    told: list[int] = []

    def tell(place: int, answer: Any) -> None:
        if not told:
            os.kill(process, signal.SIGKILL)
        told.append(place)

    with pytest.raises(ModelError) as raised:
        session.generate(requests, keys, lambda _, tokens: " ".join(map(str, tokens)), tell)
    kept = Journal(journal, "a" * 64)
    assert 0 < len(kept) < len(requests)
    assert [keys[place] in kept for place in told] == [True] * len(told)
    return str(raised.value)
