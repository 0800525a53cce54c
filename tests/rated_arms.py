"""Arms that rated the same reviews, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_files import rating

from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(60)]
PROMPTS = [f"review {i}\u2028: {{{{ braces }}}} näher" for i in range(60)]


def answers(wrong: int, invalid: int = 0) -> list[str]:
    """The gold, except for some: one off, or nothing that could be read."""
    texts = [str(gold) for gold in GOLDS]
    for i in range(wrong):
        texts[i] = str(GOLDS[i] - 1 or 2)
    for i in range(wrong, wrong + invalid):
        texts[i] = "a good book"
    return texts


def samples(given: list[str], users: int = 60, **doc: Any) -> list[dict[str, Any]]:
    rows = enumerate(zip(PROMPTS, given, GOLDS, strict=True))
    return [rating(i, p, a, g, f"user-{i % users}", **doc) for i, (p, a, g) in rows]


def compared(one: Path, *others: Path, **options: Any) -> Comparison:
    options.setdefault("resamples", 999)
    runs = [read_runs(other) for other in others]
    return compare_runs(read_runs(one), runs, Options(**options))
