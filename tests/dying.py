"""Processes that die at a moment that is certain."""

from __future__ import annotations

from pathlib import Path

_SITE = """
import os, signal, sys

ending, opening = os.environ["QRAG_TEST_DIES_OVER"], int(os.environ["QRAG_TEST_DIES_AT"])
opened = []

def die(event, arguments):
    if event == "open" and str(arguments[0]).endswith(ending):
        opened.append(event)
        if len(opened) == opening:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
"""


def dies_over(ending: str, folder: Path, opening: int = 1) -> dict[str, str]:
    """Return the environment in which a Python process is killed just before it opens a file.

    :param ending: how the file's path ends.
    :param folder: for the module that every such process imports.
    :param opening: which opening of it is its last.
    """
    (folder / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    return {
        "PYTHONPATH": str(folder),
        "QRAG_TEST_DIES_OVER": ending,
        "QRAG_TEST_DIES_AT": str(opening),
    }
