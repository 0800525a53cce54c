"""A copy of lm_eval's code in which names are others than in the one that is installed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from warm_python import WarmPython

from qrag_tasks.harness import autoload

PACKAGE = Path(autoload.__file__).parents[1]


def plant(site: Path, renamed: Mapping[str, str] | None = None) -> Path:
    """Copy lm_eval's code, without its own tasks, and rename in all of it.

    :param site: the folder that ``lm_eval`` is to lie in.
    :param renamed: a name as a whole word -> what stands there instead.
    :return: ``site``.
    """
    import lm_eval

    words = re.compile(rf"\b({'|'.join(map(re.escape, renamed or ['$^']))})\b")
    (folder,) = map(Path, lm_eval.__path__)
    for file in folder.rglob("*.py"):
        place = file.relative_to(folder)
        if place.parts[0] != "tasks" or len(place.parts) == 2:
            text = file.read_text(encoding="utf-8")
            copy = site / "lm_eval" / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(words.sub(lambda word: (renamed or {})[word[0]], text), "utf-8")
    return site


def run_with(
    bare: WarmPython, site: Path, code: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that imports the planted lm_eval.

    :param bare: has not imported the one that is installed.
    """
    return bare.run(
        ["-c", code, *arguments],
        {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PACKAGE.parent}"},
    )
