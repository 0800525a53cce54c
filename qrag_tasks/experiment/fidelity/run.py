"""Has every arm of a grid read the base arm's answers, one arm after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.engines.readings import TOP
from qrag_tasks.errors import ModelError
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.answers import OWN
from qrag_tasks.experiment.fidelity.divergence import Divergence, divergence
from qrag_tasks.experiment.fidelity.places import Reads, reads_of
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.processes import last_words, open_log


@dataclass(frozen=True)
class CellReadings:
    """What an arm and its base make of the answers of one cell.

    :ivar base_itself: share of places of the base's own answers where the token that was generated
        is the likeliest of the base as it reads: near 1, since answers are greedy. What is missing
        are other batches, and answers that are encoded otherwise than they were generated.
    """

    cell: Cell
    base: str
    kind: str
    keys: tuple[str, ...]
    users: tuple[str | None, ...]
    read: tuple[Divergence, ...]
    base_itself: float


def read_grid(root: Path, top: int = TOP, tell: Callable[[str], None] | None = None) -> None:
    """Have every arm of a grid read the base arm's answers.

    What is there is not read again, and what was read before a kill is kept.

    :param root: folder of a grid whose cells are complete.
    :param top: tokens of each distribution that are kept, at most 127: vLLM
        tells 128, the answer's own among them.
    :param tell: is told which arm reads.
    :raises PlanError: when a cell is not complete, or another run is at work in the folder.
    :raises ModelError: when an arm cannot read.
    """
    grid = GridFolder.at(root)
    with grid.alone("fidelity"):
        arms = list(dict.fromkeys(reads.cell.arm for reads in reads_of(grid, top)))
        for arm in arms:
            if tell is not None:
                tell(arm.name)
            log = grid.log(arm).with_suffix(".fidelity.log")
            command = [
                *(sys.executable, "-m", "qrag_tasks.experiment.fidelity.process", str(root)),
                *("--arm", arm.name, "--top", str(top)),
            ]
            with (
                open_log(log) as file,
                # Its standard input ends when this process does, however it ends.
                subprocess.Popen(  # noqa: S603 - our own module
                    command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT
                ) as process,
            ):
                code = process.wait()
            if code != 0:
                raise ModelError(f"{arm.name} cannot read: {last_words(log)} (see {log})")


def readings_of(root: Path, top: int = TOP) -> Iterator[CellReadings]:
    """Yield what was read in a grid, each arm beside its base.

    :raises PlanError: when a cell is not complete.
    :raises StoreError: when readings are damaged.
    """
    for reads in reads_of(GridFolder.at(root), top):
        if not reads.is_base and (found := _together(reads)) is not None:
            yield found


def _together(reads: Reads) -> CellReadings | None:
    base, other = store.read(reads.base_file), store.read(reads.file)
    if base is None or other is None or not base.keys:
        return None
    pairs = list(zip(base.readings, other.readings, strict=True))
    own = [
        token == likeliest
        for tokens, reading in zip(base.tokens, base.readings, strict=True)
        # The end may as well have been a stop text, or the longest length.
        for token, likeliest in zip(tokens[:-1], reading.likeliest[: len(tokens) - 1], strict=True)
    ]
    return CellReadings(
        reads.cell,
        reads.base.name,
        reads.kind,
        tuple(base.keys),
        tuple(base.users),
        tuple(divergence(one, two) for one, two in pairs),
        sum(own) / len(own) if own and reads.kind == OWN else float("nan"),
    )
