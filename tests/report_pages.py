"""Pages of `qrag report` over output folders that were written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner
from run_files import FACTS, QUANTIZED, rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid_folder import GridFolder

GOLDS = [1 + i % 5 for i in range(70)]
ODD = (
    '</script><script>document.title = "taken"</script> <|im_end|> {{ braces }} \u2028 ünï '
    '<img src=x onerror="document.title = 1"><svg onload="document.title = 2">'
)
"""A review that would run a script, if a page took it for markup anywhere."""


def samples(wrong: int, k: int, invalid: int = 0) -> list[dict[str, Any]]:
    """Return rows of which the first are one off, and the next hold no rating.

    The question stands last in a prompt, behind k documents.
    """
    rows = []
    for i, gold in enumerate(GOLDS):
        off = str(gold - 1 or 2)
        answer = off if i < wrong else f"none {ODD}" if i < wrong + invalid else str(gold)
        kept = [f"d{n}" for n in range(k)]
        prompt = "".join(
            f"document {n} \N{SLIGHTLY SMILING FACE} of {i}, " for n in range(k)
        ) + question(i)
        rows.append(rating(i, prompt, answer, gold, kept=kept, dropped=["x"] * (i == 3)))
    return rows


def question(number: int) -> str:
    """Return how the prompt of a question ends."""
    return f"review {number} {ODD}"


def write_arms(root: Path) -> list[str]:
    """Write a base and two arms at three k: int4's loss grows with k, int8 is the base."""
    for k, losses in ((0, 7), (1, 16), (3, 40)):
        task = f"lamp3u_rag_k{k}"
        write_run(root / "base" / str(k), samples(4, k), task=task)
        rows = samples(losses, k, invalid=2)
        write_run(root / "int4" / str(k), rows, task=task, model_args=QUANTIZED)
        args = {"load_in_8bit": True}
        write_run(root / "int8" / str(k), samples(4, k), task=task, model_args=args)
    return [f"{root}/{name}" for name in ("base", "int4", "int8")]


def write_grid(root: Path) -> Path:
    """Write a grid of two precisions at two k: int4 at k = 3 loses."""
    plan = Plan.model_validate(
        {
            "name": "pairs",
            "models": [{"name": "m", "pretrained": "m"}],
            "precisions": ["bf16", "int4-nf4"],
            "retrievers": ["bm25"],
            "tasks": ["lamp3u"],
            "k": [1, 3],
        }
    )
    grid = GridFolder(root, plan)
    grid.write_plan()
    for cell in plan.cells():
        wrong = 40 if (cell.arm.precision, cell.k) == ("int4-nf4", "3") else 4
        folder = grid.cell(cell)
        arguments = dict(cell.arm.arguments)
        write_run(folder.path, samples(wrong, int(cell.k)), cell.task_name, FACTS, arguments)
        folder.finish()
    return root


def report_of(folders: list[str], out: Path, *options: str) -> str:
    """Write a page; return what the command said."""
    arguments = ["report", *folders, "-o", str(out), "--resamples", "999", *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout
