"""LaMP's tasks and own data, held to the contract that tasks of third parties are held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.own.example import write_example
from qrag_tasks.testing import run_checks


@pytest.mark.parametrize("name", LAMP_TASKS)
def test_lamp_keeps_the_contract(name: str) -> None:
    failed = [o for o in run_checks(f"{name}:mini") if o.state == "failed"]
    assert not failed, failed


def test_own_data_keep_the_contract(tmp_path: Path) -> None:
    write_example(tmp_path / "mydata")
    failed = [o for o in run_checks(f"own:{tmp_path / 'mydata'}") if o.state == "failed"]
    assert not failed, failed
