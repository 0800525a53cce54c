"""What README has one install from a clone can be had today.

That of the plugins' pages is what tox installs into the environments `plugins` and `pyserini`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = {line.strip() for line in re.findall(r"^(pip install '\.[^#\n]*)", README, re.MULTILINE)}


@pytest.mark.parametrize("line", sorted(LINES))
def test_it_is_resolved(line: str) -> None:
    # As in a fresh environment: what is installed here is not looked at.
    command = [sys.executable, "-m", *shlex.split(line), "--dry-run", "--ignore-installed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (installed,) = re.findall(r"^Would install (.+)", done.stdout, re.MULTILINE)
    names = {each.rpartition("-")[0] for each in installed.split()}
    assert {"qrag-tasks", "lm_eval", "torch", "transformers"} <= names
