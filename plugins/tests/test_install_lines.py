"""What README has one install from a clone can be had today.

That of the plugins' pages is what tox installs into the environments `plugins` and `pyserini`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = {line.strip() for line in re.findall(r"^(pip install '\.[^#\n]*)", README, re.MULTILINE)}


@pytest.mark.parametrize("line", sorted(LINES))
def test_it_is_resolved(empty: Callable[..., subprocess.CompletedProcess[str]], line: str) -> None:
    done = empty(f"python -m {line} --dry-run", ROOT)
    assert "Would install" in done.stdout
    assert "qrag-tasks" in done.stdout
