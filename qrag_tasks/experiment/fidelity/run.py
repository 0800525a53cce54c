"""Has every arm of a grid read the base arm's answers, one arm after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qrag_tasks.errors import ModelError, PlanError
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.divergence import ReadAnswers, divergence
from qrag_tasks.experiment.fidelity.places import Reads, reads_of
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.plan.planned_fidelity import OWN
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.processes import last_words, open_log
from qrag_tasks.experiment.running.shards import Shard, whole_grid
from qrag_tasks.experiment.running.waiting import wait_for_others


@dataclass(frozen=True)
class CellReadings:
    """What an arm and its base make of the answers of one cell.

    :ivar documents: of a prompt in the mean; ``None`` where nobody counted them.
    :ivar base_itself: share of places of the base's own answers where the token that was generated
        is the likeliest of the base as it reads: near 1, since answers are greedy. What is missing
        are other batches, and answers that are encoded otherwise than they were generated.
    """

    cell: Cell
    base: str
    kind: str
    keys: tuple[str, ...]
    users: tuple[str | None, ...]
    documents: float | None
    read: ReadAnswers
    base_itself: float


def read_grid(
    root: Path,
    top: int | None = None,
    arms: Collection[str] = (),
    shard: Shard | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Have the arms of a grid read the base arm's answers.

    What is there is not read again, and no model is loaded for it; what was read before a kill is
    kept. Several processes may do parts of one grid at the same time. What a part needs of the
    base arm it reads first, where nobody has; parts that need the same share that work. Cells that
    a ``qrag run`` is answering are waited for.

    :param root: folder of a grid whose cells are complete, or are being answered.
    :param top: tokens of each distribution that are kept, at most 127 (vLLM tells 128, the
        answer's own among them); as the plan says, else 64, by default.
    :param arms: those that are to read: ``MODEL/PRECISION``, or ``PRECISION`` of every model; all
        by default.
    :param shard: the part of the cells that are to be read; all by default. The base arm's do not
        count.
    :param tell: is told which arm reads how much, and what is waited for.
    :raises PlanError: when a cell that is needed is not complete, and no run is answering it;
        when there is no such arm, or the same part is being read already.
    :raises ModelError: when an arm cannot read; what the others can read is read first.
    """
    grid = GridFolder.at(root)
    shard = shard or whole_grid()
    wanted = _wanted(grid, reads_of(grid, top), arms, shard)
    wait_for_others(grid, lambda: _incomplete(wanted), tell)
    _check_complete(grid, wanted)
    part = "-".join(["fidelity", *([shard.name] if shard.count > 1 else []), *sorted(arms)])
    with grid.alone(part.replace("/", "-")):
        failed = read_all(grid, wanted, top, shard, tell)
    if failed:
        raise ModelError("\n".join(failed))


def read_all(
    grid: GridFolder,
    wanted: Sequence[Reads],
    top: int | None = None,
    shard: Shard | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[str]:
    """Have what is wanted read, by a process an arm; no model is loaded for what is there.

    :param wanted: of complete cells; a base arm's before what rests on it.
    :param shard: the part that this is of what several processes read.
    :returns: why arms could not read, a sentence each; what rests on these is not tried.
    """
    shard = shard or whole_grid()
    failed: dict[str, str] = {}
    for arm in dict.fromkeys(each.cell.arm for each in wanted):
        of_arm = [each for each in wanted if each.cell.arm == arm]
        left = [each for each in of_arm if not each.done]
        if not left or left[0].base.name in failed:
            continue
        cells = list(dict.fromkeys(each.cell for each in left))
        if tell is not None:
            total = len({each.cell for each in of_arm})
            tell(f"{arm.name} reads {len(cells)} of {total} cells")
        # Parts that share a base arm's cells begin at different ones.
        begin = len(cells) * (shard.number - 1) // shard.count
        why = _read(grid, arm, [*cells[begin:], *cells[:begin]], top)
        if why is not None:
            failed[arm.name] = why
    return list(failed.values())


def _wanted(
    grid: GridFolder, reads: Sequence[Reads], arms: Collection[str], shard: Shard
) -> list[Reads]:
    """Return what is to be read, with what that needs of the base arms, which come first.

    :raises PlanError: when there is no such arm.
    """
    known = list(dict.fromkeys(each.cell.arm for each in reads))
    for name in arms:
        if not any(_is(arm, name) for arm in known):
            names = ", ".join(arm.name for arm in known)
            raise PlanError(f"{grid.root}: there is no arm {name!r} (known: {names})")
    chosen = [e for e in reads if not arms or any(_is(e.cell.arm, name) for name in arms)]
    others = dict.fromkeys(each.cell for each in chosen if not each.is_base)
    mine = set(shard.of(list(others))) if others else set()
    alone = {each.cell for each in chosen if each.is_base} if shard.count == 1 else set()
    needed = {each.of_base.cell for each in reads if each.cell in mine} | mine | alone
    return [each for each in reads if each.cell in needed]


def _incomplete(wanted: Sequence[Reads]) -> dict[Cell, Path]:
    """Return the cells that are needed and not complete, and their folders."""
    needed = {each.cell: each.folder for each in wanted}
    needed |= {each.of_base.cell: each.base_folder for each in wanted}
    return {cell: folder.path for cell, folder in needed.items() if not folder.complete}


def _check_complete(grid: GridFolder, wanted: Sequence[Reads]) -> None:
    """Check that every cell that is needed is complete.

    :raises PlanError: naming the first that is not.
    """
    for folder in _incomplete(wanted).values():
        raise PlanError(
            f"{folder} is not complete: run the plan first, `qrag run PLAN --out {grid.root}`"
        )


def _is(arm: Arm, name: str) -> bool:
    return name in (arm.name, arm.called)


def _read(grid: GridFolder, arm: Arm, cells: Sequence[Cell], top: int | None) -> str | None:
    """Have an arm read cells, in a process of its own; return why it could not, if so."""
    numbers = {cell: number for number, cell in enumerate(grid.plan.cells())}
    log = grid.log(arm).with_name(f"{arm.called}.fidelity.log")
    command = [
        *(sys.executable, "-m", "qrag_tasks.experiment.fidelity.process", str(grid.root)),
        *("--arm", arm.name, "--cells", ",".join(str(numbers[cell]) for cell in cells)),
        *(() if top is None else ("--top", str(top))),
    ]
    with open_log(log) as file:
        # The bar of a process that was killed ends within a line.
        os.write(file, b"\n")
        # Its standard input ends when this process does, however it ends.
        with subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT
        ) as process:
            code = process.wait()
    return None if code == 0 else f"{arm.name} cannot read: {last_words(log)} (see {log})"


def readings_of(root: Path, top: int | None = None) -> Iterator[CellReadings]:
    """Yield what was read in a grid, each arm beside its base.

    :raises StoreError: when readings are damaged.
    """
    for reads in reads_of(GridFolder.at(root), top):
        if not reads.is_base and reads.done and (found := _together(reads)) is not None:
            yield found


def _together(reads: Reads) -> CellReadings | None:
    base, other = store.read(reads.base_file), store.read(reads.file)
    if base is None or other is None or not base.keys:
        return None
    return CellReadings(
        reads.cell,
        reads.base.name,
        reads.kind,
        tuple(base.keys),
        tuple(base.users),
        reads.documents,
        ReadAnswers(divergence(base.places, other.places), base.lengths),
        _itself(base) if reads.kind == OWN else float("nan"),
    )


def _itself(base: store.StoredReadings) -> float:
    """Return :attr:`CellReadings.base_itself`."""
    generated = np.concatenate([np.asarray(tokens, np.int64) for tokens in base.tokens])
    # The end may as well have been a stop text, or the longest length.
    inner = np.ones(len(generated), np.bool_)
    inner[np.cumsum(base.lengths) - 1] = False
    same = (generated == base.places.likeliest)[inner]
    return float(same.mean()) if len(same) else float("nan")
