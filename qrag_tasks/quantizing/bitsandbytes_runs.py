"""bitsandbytes quantizes on loading; what it has loaded is saved."""

from __future__ import annotations

from qrag_tasks.arms.formats.bitsandbytes import BLOCK_SIZE
from qrag_tasks.quantizing.saving import SavingQuantizer


class BitsAndBytesQuantizer(SavingQuantizer):
    """Makes ``int8``, which has a scale a row, ``int4-nf4`` and ``int4-fp4``."""

    fixed_size = BLOCK_SIZE
