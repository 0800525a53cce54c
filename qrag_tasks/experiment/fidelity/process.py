"""The process of one arm that reads answers: loads its model once, and reads cell by cell.

Started by :mod:`~qrag_tasks.experiment.fidelity.run`; it ends when that process does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from qrag_tasks.engines.child_process import end_with_the_parent
from qrag_tasks.errors import QragError
from qrag_tasks.experiment.fidelity.places import reads_of
from qrag_tasks.experiment.fidelity.reading import read_cells
from qrag_tasks.experiment.running.arm import load
from qrag_tasks.experiment.running.grid_folder import GridFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Read what one arm has not read yet; return 0 when all of it is there."""
    parser = argparse.ArgumentParser(prog="python -m qrag_tasks.experiment.fidelity.process")
    parser.add_argument("root", type=Path)
    parser.add_argument("--arm", required=True, help="MODEL/PRECISION")
    parser.add_argument("--cells", required=True, help="numbers of the plan's cells, by commas")
    parser.add_argument("--top", type=int)
    options = parser.parse_args(arguments)
    end_with_the_parent()
    grid = GridFolder.at(options.root)
    cells = grid.plan.cells()
    chosen = [cells[int(number)] for number in options.cells.split(",")]
    reads = reads_of(grid, options.top)
    wanted = [each for cell in chosen for each in reads if each.cell == cell]
    read_cells(load(wanted[0].cell.arm), wanted)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QragError as error:
        sys.exit(str(error))
