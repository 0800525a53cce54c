"""bitsandbytes quantizes on loading; what it has loaded is saved."""

from __future__ import annotations

from qrag_tasks.arms.formats.base import Precision
from qrag_tasks.arms.formats.bitsandbytes import BLOCK_SIZE
from qrag_tasks.quantizing.quantizer import fixed_group_size
from qrag_tasks.quantizing.saving import SavingQuantizer


class BitsAndBytesQuantizer(SavingQuantizer):
    """Makes ``int8``, ``int4-nf4`` and ``int4-fp4``."""

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the block size of 4 bits, which is fixed; 8 bits have a scale a row."""
        if not row.has_groups:
            return super().group_size(row, given)
        if given not in (None, BLOCK_SIZE):
            raise fixed_group_size(row, given, f"{BLOCK_SIZE}, fixed")
        return BLOCK_SIZE
