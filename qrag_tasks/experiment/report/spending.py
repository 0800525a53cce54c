"""What arms spent on the same prompts: memory, seconds, joules of both, as they were measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.logs.runs import Run


@dataclass(frozen=True)
class Quantity:
    """Something that an arm costs.

    :ivar name: of it in results.
    :ivar label: for people.
    :ivar total: how that of several runs follows from theirs.
    :ivar of_machine: whether it says something only between runs on the same hardware.
    """

    name: str
    label: str
    unit: str
    total: Callable[[Sequence[float]], float]
    of_machine: bool


QUANTITIES = (
    Quantity("weight_bytes", "weights", "B", max, of_machine=False),
    Quantity("peak_device_bytes", "memory", "B", max, of_machine=True),
    Quantity("peak_rss_bytes", "process memory", "B", max, of_machine=True),
    Quantity("run_seconds", "time", "s", sum, of_machine=True),
    Quantity("energy_joules", "energy", "J", sum, of_machine=True),
)


@dataclass(frozen=True)
class Spent:
    """What two arms spent of one quantity on the same prompts, in its unit."""

    quantity: Quantity
    base: float
    other: float

    @property
    def ratio(self) -> float:
        """The other arm's share of what the base spent."""
        return self.other / self.base

    @property
    def text(self) -> str:
        """It in words: ``1.20 of 3.09 GB``."""
        unit = self.quantity.unit
        other, base = (amount(value, unit) for value in (self.other, self.base))
        number, _, its_unit = other.partition(" ")
        return f"{number if base.endswith(f' {its_unit}') else other} of {base}"


def spent(pairs: Sequence[tuple[Run, Run]]) -> Sequence[Spent]:
    """Return what both arms spent over some pairs of runs, in the order of :data:`QUANTITIES`.

    A quantity is there where every run measured it, and both arms ran on the same hardware if it
    is of the hardware.

    :param pairs: base and other; a run that is in several, as with several tasks, counts once.
    """
    pairs = list({(str(one.path), str(two.path)): (one, two) for one, two in pairs}.values())
    same_machine = all(device_of(one) == device_of(two) for one, two in pairs)
    found = []
    for quantity in QUANTITIES:
        sides = [_all_of([both[side] for both in pairs], quantity) for side in (0, 1)]
        base, other = sides
        if base and other and (same_machine or not quantity.of_machine):
            found.append(Spent(quantity, base, other))
    # The process's own memory says little where the model lies on a device.
    names = {one.quantity.name for one in found}
    hidden = "peak_rss_bytes" if "peak_device_bytes" in names else None
    return [one for one in found if one.quantity.name != hidden]


def device_of(run: Run) -> str | None:
    """Return the name of the hardware that a run was measured on."""
    device = (run.logged.cost or {}).get("device")
    return device if isinstance(device, str) else None


def amount(value: float, unit: str) -> str:
    """Return a quantity with three digits and a unit that people read: ``3.09 GB``, ``47.6 s``."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit != "s" and value >= factor:
            return f"{_three(value / factor)} {prefix}{unit}"
    for factor, name in ((3600, "h"), (60, "min")):
        if unit == "s" and value >= 2 * factor:
            return f"{_three(value / factor)} {name}"
    return f"{_three(value)} {unit}"


def _three(value: float) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def _all_of(runs: Sequence[Run], quantity: Quantity) -> float | None:
    by_path: Mapping[str, Run] = {str(run.path): run for run in runs}
    values = [_measured(run, quantity.name) for run in by_path.values()]
    known = [value for value in values if value is not None]
    return quantity.total(known) if known and len(known) == len(values) else None


def _measured(run: Run, name: str) -> float | None:
    arm = run.logged
    value = arm.weight_bytes if name == "weight_bytes" else (arm.cost or {}).get(name)
    return float(value) if isinstance(value, int | float) else None
