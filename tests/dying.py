"""Processes that die, or have another die, at a moment that is certain."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

_SITE = """
import fnmatch, os, signal, sys

ending, opening = os.environ["QRAG_TEST_DIES_OVER"], int(os.environ["QRAG_TEST_DIES_AT"])
victim = os.environ["QRAG_TEST_DIES"]
opened = []

def die(event, arguments):
    if event != "open" or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    if fnmatch.fnmatchcase(str(arguments[0]), "*" + ending):
        opened.append(event)
        if len(opened) == opening:
            if victim == "group":
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getppid() if victim == "parent" else os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
"""


def dies_over(
    ending: str,
    folder: Path,
    opening: int = 1,
    victim: Literal["itself", "parent", "group"] = "itself",
) -> dict[str, str]:
    """Return the environment in which a Python process kills just before it writes to a file.

    :param ending: how the file's path ends; a pattern as shells have them.
    :param folder: for the module that every such process imports.
    :param opening: which opening of it to be written is the last.
    :param victim: who is killed: the process, the one that started it, or its process group.
    """
    (folder / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": f"{folder}{os.pathsep}{before}" if before else str(folder),
        "QRAG_TEST_DIES_OVER": ending,
        "QRAG_TEST_DIES_AT": str(opening),
        "QRAG_TEST_DIES": victim,
    }
