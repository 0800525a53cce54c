"""Two arms for comparisons."""

from __future__ import annotations

from pathlib import Path

import pytest
from rated_arms import answers, samples
from run_files import QUANTIZED, write_run


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_run(tmp_path / "base", samples(answers(6)))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_run(tmp_path / "other", samples(answers(15, 3)), model_args=QUANTIZED)
