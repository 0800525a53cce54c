"""The ``qrag`` command: look at tasks, plugins, prompts; rank; quantize; run grids and compare."""

from qrag_tasks.cli import (
    compare,
    download,
    export,
    leaks,
    look,
    merge,
    noise,
    plan,
    plugins,
    quantize,
    rank,
    report,
    run,
    status,
)
from qrag_tasks.cli.group import main

__all__ = [
    "compare",
    "download",
    "export",
    "leaks",
    "look",
    "main",
    "merge",
    "noise",
    "plan",
    "plugins",
    "quantize",
    "rank",
    "report",
    "run",
    "status",
]
