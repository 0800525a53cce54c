"""bitsandbytes quantizes on loading; what it has loaded is saved."""

from __future__ import annotations

from typing import Any

from qrag_tasks.arms.formats.base import Precision
from qrag_tasks.arms.formats.bitsandbytes import BLOCK_SIZE, bitsandbytes_config, switches
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.quantizer import Job, Quantizer, fixed_group_size


class BitsAndBytesQuantizer(Quantizer):
    """Makes ``int8``, ``int4-nf4`` and ``int4-fp4``."""

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the block size of 4 bits, which is fixed; 8 bits have a scale a row."""
        if not row.has_groups:
            return super().group_size(row, given)
        if given not in (None, BLOCK_SIZE):
            raise fixed_group_size(row, given, f"{BLOCK_SIZE}, fixed")
        return BLOCK_SIZE

    def run(self, job: Job) -> dict[str, Any]:
        """Load and save at once: a forward pass packs the weights again, and then saves wrong."""
        from transformers import AutoModelForCausalLM, GenerationConfig

        job.report("quantizing", 0, 0)
        dtype = job.source.dtype
        config = bitsandbytes_config(switches(job.row), dtype)
        with quiet() as said, explained("bitsandbytes", said):
            model = AutoModelForCausalLM.from_pretrained(
                job.source.folder,
                quantization_config=config,
                dtype=dtype,
                device_map={"": job.device},
            )
            # The source's own file is copied, whatever it says; some, transformers 4 refuses to
            # save.
            model.generation_config = GenerationConfig()
            model.save_pretrained(job.work)
        options = {key: str(value) for key, value in config.to_diff_dict().items()}
        return {"options": options, "calibration": None}
