"""Queries to rank, and running code in a fresh interpreter."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence

from qrag_tasks import Document, Query
from words import WORDS


def query(text: str, documents: Sequence[str], id: str = "q") -> Query:  # noqa: A002
    return Query(id, text, tuple(Document(f"d{i}", t) for i, t in enumerate(documents)))


def random_texts(n: int, seed: int = 0, longest: int = 40) -> list[str]:
    draw = random.Random(seed)  # noqa: S311 - not a secret
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(n)]


def python(
    code: str, *arguments: str, check: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has this one's path and environment."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__), **env},  # noqa: PTH120
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done
