"""What makes the checkpoints of a format for ``qrag quantize``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.precisions import format_of
from qrag_tasks.errors import SettingsError
from qrag_tasks.quantizing.calibration import Calibration
from qrag_tasks.quantizing.progress import Report
from qrag_tasks.quantizing.source import Source


@dataclass(frozen=True)
class Job:
    """A checkpoint to quantize.

    :ivar row: the precision to make.
    :ivar group_size: weights that share a scale; ``None`` where a row does.
    :ivar texts: to calibrate with; ``None`` where the quantizer takes none.
    :ivar device: a ``torch.device``.
    :ivar work: the folder to write the checkpoint into; the tokenizer and the like are copied.
    :ivar report: is told how far the work has come.
    """

    row: Precision
    source: Source
    group_size: int | None
    texts: Calibration | None
    device: Any
    work: Path
    report: Report


class Quantizer(ABC):
    """Makes checkpoints of a format.

    :cvar takes_calibration: whether it fits weights to texts; see :meth:`calibrates`.
    :cvar needs: modules that it imports, beside those that reading a precision needs. Their
        versions are part of the provenance, so each must be a distribution's name, too.
    :cvar verified_on_cpu: whether what it wrote is loaded on a CPU to be verified, wherever it was
        made.
    """

    takes_calibration: ClassVar[bool] = False
    verified_on_cpu: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def calibrates(self, row: Precision) -> bool:
        """Tell whether it fits the weights of a precision to texts."""
        return self.takes_calibration

    def check_installed(self, row: Precision) -> None:  # noqa: B027 - most need what readers need
        """Check that what it needs can be imported, without importing it.

        :raises ModelError: with the command that brings what is missing.
        """

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the weights that share a scale; ``None`` where ``row`` has a scale a matrix row.

        :param given: by the user; ``None`` for the default.
        :raises SettingsError: when ``row`` cannot have that size.
        """
        if given is not None:
            raise fixed_group_size(row, given, "no groups: a scale a row")
        return None

    def check(  # noqa: B027 - some take every checkpoint
        self, source: Source, row: Precision, group_size: int | None
    ) -> None:
        """Check that a checkpoint can be quantized so, before the work begins.

        :raises QragError: when it cannot.
        """

    @abstractmethod
    def run(self, job: Job) -> dict[str, Any]:
        """Quantize; return what the provenance says under ``options`` and ``calibration``.

        :raises ModelError: when it fails.
        """


def quantizer_of(row: Precision) -> Quantizer | None:
    """Return what makes checkpoints of a precision; ``None`` where nothing here does."""
    form = format_of(row)
    made: Quantizer | None = None
    if form.is_made_here(row):
        made = resolve_name(form.quantizer)()
    return made


def fixed_group_size(row: Precision, given: int, has: str) -> SettingsError:
    """Return the error for a group size where there is nothing to choose.

    :param has: what the precision has instead.
    """
    return SettingsError(
        f"--group-size {given}: precision {row.name} of {row.method} has {has}. Leave it out."
    )
