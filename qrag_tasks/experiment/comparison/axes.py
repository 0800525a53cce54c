"""Compares cells of a grid along another axis than precision: retriever, k, order, or several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qrag_tasks.errors import ComparisonError, SettingsError, did_you_mean
from qrag_tasks.experiment.comparison.grids import complete_cells
from qrag_tasks.experiment.comparison.matching import (
    Matched,
    Side,
    varied_by_design,
)
from qrag_tasks.experiment.plan import Cell

_FACTS: Mapping[str, Callable[[Cell], str | None]] = {
    "arm": lambda cell: cell.arm.called,
    "model": lambda cell: cell.arm.model,
    "k": lambda cell: cell.k,
    "retriever": lambda cell: cell.retriever,
    "order": lambda cell: cell.order,
}
"""What a cell can be chosen by, beside its task, which is the same on both sides."""
AXES = ("retriever", "k", "order")


@dataclass(frozen=True)
class CellChoice:
    """Cells of a grid by some of their facts.

    :ivar text: as it was given.
    :ivar facts: name, of :data:`_FACTS` -> value.
    """

    text: str
    facts: Mapping[str, str]

    @classmethod
    def read(cls, text: str) -> CellChoice:
        """Read ``ARM@NAME=VALUE@...``, as in ``int4-nf4@k=10``; without an arm, it is of any.

        :raises SettingsError: when it is not one.
        """
        arm, *rest = text.split("@")
        facts = {"arm": arm} if arm else {}
        for part in rest:
            name, equals, value = part.partition("=")
            if name not in _FACTS or not (equals and value):
                known = ", ".join(_FACTS)
                raise SettingsError(
                    f"--pair {text}: {part!r} does not choose cells: write ARM@NAME=VALUE, as in "
                    f"int4-nf4@k=10, where NAME is one of {known}.{did_you_mean(name, _FACTS)}"
                )
            facts[name] = value
        if not facts:
            raise SettingsError(f"--pair {text!r}: names no cells, as int4-nf4@k=10 does")
        return cls(text, facts)

    def holds(self, cell: Cell) -> bool:
        """Whether a cell is one of them."""
        return all(_FACTS[name](cell) == value for name, value in self.facts.items())


def match_pairs(root: Path, pairs: Sequence[tuple[str, str]]) -> Matched:
    """Find the cells of each pair: they are alike in all that is not said of both sides.

    :param root: folder of ``qrag run``.
    :param pairs: base and other, each as :meth:`CellChoice.read` takes it.
    :raises SettingsError: for a choice that cannot be read, or is of no cell.
    :raises PlanError: when there is no grid.
    :raises ComparisonError: when a cell would have several bases, or none has one.
    """
    choices = [(CellChoice.read(base), CellChoice.read(other)) for base, other in pairs]
    sides, notes = complete_cells(root)
    matched = []
    for base, other in choices:
        for choice in (base, other):
            _check(choice, sides)
        free = base.facts.keys() & other.facts.keys()
        bases = [cell for cell in sides if base.holds(cell)]
        found = []
        for cell in filter(other.holds, sides):
            alike = _alike(bases, cell, free)
            if len(alike) > 1:
                raise ComparisonError(
                    f"--pair {base.text} {other.text}: {_several(alike, cell)}: say of both sides "
                    f"which"
                )
            found += [(one, cell) for one in alike]
        if not found:
            raise ComparisonError(
                f"--pair {base.text} {other.text}: no cell of the one is like a cell of the other "
                f"in all that is not said of both: say of both what differs"
            )
        matched += found
    return Matched(_named(matched, sides), notes)


def match_axis(root: Path, axis: str) -> Matched:
    """Find for each cell the one that differs from it in one axis alone, where it has its base.

    :param axis: ``retriever``, ``k`` or ``order``, perhaps with the base: ``k=0``; else the base is
        the first of the plan.
    :raises SettingsError: for another axis, or a base that the grid does not have.
    :raises PlanError: when there is no grid.
    :raises ComparisonError: when no two cells can be compared.
    """
    name, equals, base = axis.partition("=")
    if name not in AXES or (equals and not base):
        raise SettingsError(
            f"--by {axis}: name one of {', '.join(AXES)}, perhaps with the base, as in k=0."
            f"{did_you_mean(name, AXES)}"
        )
    sides, notes = complete_cells(root)
    values = _values(name, sides)
    if base and base not in values:
        raise SettingsError(
            f"--by {axis}: no complete cell has {name}={base} (they have {', '.join(values)})."
            f"{did_you_mean(base, values)}"
        )
    if len(values) < 2:
        raise ComparisonError(
            f"{root}: its complete cells have one {name} or none ({', '.join(values) or 'none'}), "
            f"so there is nothing to compare by it"
        )
    base, of = base or values[0], _FACTS[name]
    bases = [cell for cell in sides if of(cell) == base]
    matched = []
    for cell in sides:
        if of(cell) in (base, None):
            continue
        alike = _alike(bases, cell, {name})
        if len(alike) > 1:
            notes.append(f"{_several(alike, cell)}: it is left out; --pair can compare it")
        else:
            matched += [(one, cell) for one in alike]
    if not matched:
        raise ComparisonError(f"{root}: no cell has one like it with {name}={base}")
    return Matched(_named(matched, sides), notes)


def _alike(bases: Iterable[Cell], other: Cell, free: Collection[str]) -> list[Cell]:
    """Return the bases of the same task that are like a cell in all that is not free."""
    return [
        base
        for base in bases
        if base != other
        and base.task == other.task
        and all(
            one == two
            # Without documents there is no retriever, and with one at most no order.
            or ("k" in free and None in (one, two))
            for one, two in ((of(base), of(other)) for n, of in _FACTS.items() if n not in free)
        )
    ]


def _several(bases: Sequence[Cell], other: Cell) -> str:
    differing = {
        name: values
        for name, of in _FACTS.items()
        if len(values := list(dict.fromkeys(map(of, bases)))) > 1
    }
    name, values = next(iter(differing.items()))
    return (
        f"{other.folder} has {len(bases)} bases, which differ in {name} "
        f"({', '.join(map(str, values))})"
    )


def _named(
    pairs: Sequence[tuple[Cell, Cell]], sides: Mapping[Cell, Side]
) -> list[tuple[Side, Side]]:
    """Return the sides, each called by its arm and by what it differs in by design."""
    matched = []
    for base, other in pairs:
        both = (sides[base], sides[other])
        names = varied_by_design(*both)
        first, second = (
            replace(side, run=replace(side.run, called=_called(cell, names)))
            for side, cell in zip(both, (base, other), strict=True)
        )
        matched.append((first, second))
    # Tables follow the plan, so that k is in its order: by task alone.
    return sorted(matched, key=lambda both: both[1].task.lamp_task or both[1].task.task)


def _called(cell: Cell, names: Sequence[str]) -> str:
    said = {"k": f"k = {cell.k}", "retriever": cell.retriever, "order": cell.order}
    return ", ".join([cell.arm.called, *(str(said[name]) for name in names)])


def _check(choice: CellChoice, sides: Iterable[Cell]) -> None:
    cells = list(sides)
    for name, value in choice.facts.items():
        values = _values(name, cells)
        if value not in values:
            raise SettingsError(
                f"--pair {choice.text}: no complete cell has {name}={value} (they have "
                f"{', '.join(values)}).{did_you_mean(value, values)}"
            )


def _values(name: str, cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(value for cell in cells if (value := _FACTS[name](cell)) is not None))
