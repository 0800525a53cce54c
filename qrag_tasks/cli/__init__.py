"""The ``qrag`` command: look at tasks, plugins, prompts; rank; quantize; run grids and compare."""

from qrag_tasks.cli import (
    compare,
    doctor,
    download,
    export,
    leaks,
    merge,
    noise,
    plan,
    plugins,
    precisions,
    quantize,
    rank,
    report,
    run,
    show,
    status,
    tasks,
)
from qrag_tasks.cli.group import main

__all__ = [
    "compare",
    "doctor",
    "download",
    "export",
    "leaks",
    "main",
    "merge",
    "noise",
    "plan",
    "plugins",
    "precisions",
    "quantize",
    "rank",
    "report",
    "run",
    "show",
    "status",
    "tasks",
]
