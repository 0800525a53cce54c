"""Every way to run every precision: by which engine, on which devices, and what it takes here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from qrag_tasks.arms.formats.base import Format, is_importable
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.engines.base import Abilities, Support
from qrag_tasks.errors import ModelError
from qrag_tasks.registry import ENGINES, FORMATS

OUTPUTS = INPUTS = 4096
"""The shape by which bits a weight are told: that of a 7B model's attention."""


@dataclass(frozen=True)
class Way:
    """One precision by one engine.

    :ivar built_in: whether both are this package's own.
    """

    row: Precision
    format: Format
    engine: str
    abilities: Abilities
    support: Support
    built_in: bool

    @property
    def made(self) -> tuple[str, ...]:
        """How its weights come about: ``on loading``, ``qrag quantize``, ``read``.

        ``read`` where nothing here makes them; nothing at all of weights that are not quantized.
        """
        if not self.row.quantized:
            return ()
        ways = (
            ("on loading", self.row.made_on_loading),
            ("qrag quantize", self.format.is_made_here(self.row)),
        )
        return tuple(name for name, there in ways if there) or ("read",)

    @property
    def bits(self) -> float | None:
        """Bits that a weight takes in a matrix of 4096 x 4096, scales and zeros included.

        ``None`` where only a file tells, or the package that knows is not installed.
        """
        try:
            size = self.format.layer_bytes(self.row, OUTPUTS, INPUTS)
        except (ModelError, ImportError):
            return None
        return 8 * size / (OUTPUTS * INPUTS)


def ways() -> Iterator[Way]:
    """Yield the ways in which engines that load checkpoints run precisions.

    An engine that asks a server runs what the server runs, so it has none.

    :raises PluginError: when two plugins bring the same engine, format or precision.
    """
    engines = ENGINES.all().items()
    for one in FORMATS.all().values():
        for row in one.value.precisions:
            for name, engine in engines:
                abilities = engine.value.abilities
                # What one engine alone loads, no other does, whatever it says of all others.
                if not abilities.loads_checkpoint or one.value.engine not in ("", name):
                    continue
                support = abilities.support_of(row)
                if support is not None:
                    own = {one.origin.distribution, engine.origin.distribution} == {"qrag-tasks"}
                    yield Way(row, one.value, name, abilities, support, own)


@dataclass(frozen=True)
class Lack:
    """What a way needs and this machine has not.

    :ivar what: in a few words: ``bitsandbytes``, ``a GPU``.
    :ivar remedy: what brings it, a command as a rule; empty where nothing does.
    """

    what: str
    remedy: str = ""


class Machine:
    """What is here: devices, and modules that can be imported.

    :param devices: as torch names their kinds; what is seen, by default.
    :param has: tells whether a module can be imported.
    """

    def __init__(
        self, devices: frozenset[str] | None = None, has: Callable[[str], bool] | None = None
    ) -> None:
        self._devices = devices
        self._has = has or is_importable

    @cached_property
    def devices(self) -> frozenset[str]:
        """The kinds of devices that torch can compute on; the CPU alone where there is no torch."""
        if self._devices is not None:
            return self._devices
        if not self._has("torch"):
            return frozenset({"cpu"})
        import torch

        return frozenset({"cpu", "cuda"}) if torch.cuda.is_available() else frozenset({"cpu"})

    def runs_on(self, way: Way) -> tuple[str, ...]:
        """Return the devices on which a way runs here, now; none where something is lacking."""
        if self._missing(way):
            return ()
        return tuple(device for device in way.support.devices if device in self.devices)

    def lacks(self, way: Way) -> list[Lack]:
        """Return what a way needs to run here; nothing where it runs on some device."""
        lacks = self._missing(way)
        if not self.devices & set(way.support.devices):
            lacks.append(Lack("a GPU"))
        return lacks

    def _missing(self, way: Way) -> list[Lack]:
        engine = [name for name in way.abilities.needs if not self._has(name)]
        own = [
            name
            for name in way.support.needs
            if name not in way.abilities.needs and not self._has(name)
        ]
        remedy = way.abilities.install
        if "cuda" not in self.devices and "cpu" in way.support.devices:
            remedy = way.abilities.install_on_cpu or remedy
        by_engine = Lack(", ".join(engine), remedy)
        by_row = Lack(", ".join(own), way.row.install)
        return [lack for lack in (by_engine, by_row) if lack.what]
