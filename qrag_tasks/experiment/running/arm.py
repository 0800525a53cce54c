"""The process of one arm: loads its model once and answers its cells, one after the other.

Started by :mod:`~qrag_tasks.experiment.running.grid`; it ends when that process does, since its
standard input then ends.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrag_tasks.arms.engine_choice import TRANSFORMERS, engine_name
from qrag_tasks.engines.child_process import end_with_the_parent
from qrag_tasks.errors import PlanError, QragError, StoreError
from qrag_tasks.experiment.fidelity.places import readable
from qrag_tasks.experiment.fidelity.reading import read_cells
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.running.cell_folder import CellFolder
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.locations import embedded_model

logger = logging.getLogger("lm_eval.qrag_tasks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer cells; return 0 when all are whole, else 1."""
    parser = argparse.ArgumentParser(prog="python -m qrag_tasks.experiment.running.arm")
    parser.add_argument("root", type=Path)
    parser.add_argument("--arm", required=True, help="MODEL/PRECISION")
    parser.add_argument("--cells", required=True, help="numbers of the plan's cells, by commas")
    options = parser.parse_args(arguments)
    end_with_the_parent()
    grid = GridFolder.at(options.root)
    cells = grid.plan.cells()
    chosen = [cells[int(number)] for number in options.cells.split(",")]
    arm = next(arm for arm in grid.plan.arms() if arm.name == options.arm)
    return 0 if answer_cells(grid, arm, chosen) else 1


def answer_cells(grid: GridFolder, arm: Arm, cells: Sequence[Cell]) -> bool:
    """Load an arm and answer cells of it, one after the other.

    Every cell is complete then, or its folder says why not. Where the plan asks for it, the arm
    then reads answers token by token, as far as the base arm has read them.

    :returns: whether all of them are complete.
    """
    try:
        lm = load(arm)
    except Exception as error:
        for cell in cells:
            grid.cell(cell).fail(_told(error, grid.log(arm)), traceback.format_exc())
        logger.exception("%s cannot be loaded", arm.name)
        return False
    complete = not sum(not _answer_or_tell(lm, grid, cell) for cell in cells)
    if grid.plan.fidelity is not None:
        _read_or_log(lm, grid, arm)
    return complete


def load(arm: Arm) -> Any:
    """Return the model of an arm.

    :raises ModelError: when it cannot be had, or is not what it claims.
    """
    from qrag_tasks.harness.model import QragLM

    arguments = dict(arm.arguments)
    by_transformers = engine_name("qrag", arguments) == TRANSFORMERS
    if by_transformers and not arguments.get("pretrained"):
        arguments["pretrained"] = str(embedded_model())
    return QragLM(**arguments)


def _answer_or_tell(lm: Any, grid: GridFolder, cell: Cell) -> bool:
    folder = grid.cell(cell)
    try:
        with folder.alone():
            if not folder.complete:
                answer(lm, grid.plan, cell, folder)
    except Exception as error:
        folder.fail(_told(error, grid.log(cell.arm)), traceback.format_exc())
        logger.exception("%s failed", cell.folder)
        return False
    return True


def _read_or_log(lm: Any, grid: GridFolder, arm: Arm) -> None:
    """Have the arm read what it can: the base arm may have to read before it.

    Whatever goes wrong is in the log, and the cells stay complete; the run says what is not read.
    """
    try:
        read_cells(lm, [each for each in readable(grid) if each.cell.arm == arm], wait=False)
    except Exception:
        logger.exception("%s cannot read", arm.name)


def answer(lm: Any, plan: Plan, cell: Cell, folder: CellFolder) -> None:
    """Evaluate one cell, as ``lm_eval`` does it, and leave what it would have left.

    :param lm: a ``QragLM``.
    :raises QragError: where the cell cannot be had; the answers so far are kept.
    """
    from qrag_tasks.engines.journal import Journal
    from qrag_tasks.harness.evaluation import evaluate_into

    folder.begin()
    lm.keep_answers(Journal(folder.journal, lm.identity.digest))
    arguments = dict(cell.arm.arguments)
    samples = evaluate_into(
        folder.path,
        lm,
        cell.task_name,
        {**arguments, **plan.metadata_of(cell)},
        config={"model": "qrag", "plan": plan.name},
        seed=plan.seed,
        model_args=arguments,
        gen_kwargs=plan.generation() or None,
        limit=plan.limit,
        apply_chat_template=plan.chat_template,
        system_instruction=plan.system_instruction,
    )
    _check_saved(folder.path, cell.task_name, samples)
    folder.finish()


def _check_saved(folder: Path, task: str, samples: int) -> None:
    """lm_eval only logs that it could not write."""
    results = list(folder.glob("results_*.json"))
    logs = list(folder.glob(f"samples_{task}_*.jsonl"))
    try:
        whole = len(results) == len(logs) == 1 and results[0].read_bytes().endswith(b"}")
        if whole:
            with logs[0].open("rb") as lines:
                whole = sum(line.endswith(b"\n") for line in lines) == samples
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}") from error
    if not whole:
        raise StoreError(
            f"{folder}: the results could not be written in full: is the disk full? The answers "
            f"are kept; make room and run again to go on."
        )


def _told(error: Exception, log: Path) -> str:
    if isinstance(error, QragError):
        return str(error)
    # Other libraries' errors may speak of what they have printed before.
    return f"{type(error).__name__}: {error} (see {log})"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PlanError, StoreError) as error:
        sys.exit(str(error))
