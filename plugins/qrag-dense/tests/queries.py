"""Queries to rank, and running code in processes of its own."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import IO, Any

import pytest
from qrag_tasks import Document, Query
from words import WORDS

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["qrag_dense.encoders", "sentence_transformers"])


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


def forked(code: str, *arguments: str) -> str:
    """Run code in a process that finds torch imported, which takes seconds; return its output."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder, "printed.txt")
        process = _process(code, arguments, os.environ, printed)
        process.join()
        text = printed.read_text(encoding="utf-8")
        assert process.exitcode == 0, text
        process.close()
    return text


def run_forked(
    command: Sequence[str], env: Mapping[str, str], stdout: IO[Any], timeout: float, **_: object
) -> subprocess.CompletedProcess[str]:
    """Do what ``subprocess.run`` does with ``python -c CODE ...``, in a process like the above.

    Its hashes of texts are others than here.
    """
    _, _, code, *arguments = command
    process = _process(code, arguments, env, Path(stdout.name))
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(command, timeout)
    done = subprocess.CompletedProcess[str]([*command], process.exitcode)
    process.close()
    return done


def _process(
    code: str, arguments: Sequence[str], env: Mapping[str, str], printed: Path
) -> multiprocessing.context.ForkServerProcess:
    """Start a process; that which it is forked from is started by the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "20240617")
        forkserver.ensure_running()
    process = _FORKS.Process(target=_run, args=(code, arguments, {**env}, printed))
    process.start()
    return process


def _run(code: str, arguments: Sequence[str], env: Mapping[str, str], printed: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    sys.argv[:] = ["-c", *arguments]
    with printed.open("w", encoding="utf-8") as sys.stdout:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
