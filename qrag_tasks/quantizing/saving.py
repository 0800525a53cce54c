"""What is made on loading is made beforehand by saving what was loaded."""

from __future__ import annotations

from typing import Any, ClassVar

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.formats.hqq import GROUP_SIZE
from qrag_tasks.arms.precisions import format_of
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.quantizer import Job, Quantizer, fixed_group_size


class SavingQuantizer(Quantizer):
    """Makes the precisions of any format that transformers makes on loading, and saves.

    :cvar fixed_size: weights that share a scale in precisions that have groups.
    """

    fixed_size: ClassVar[int | None] = None

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the size that the format has; there is no choice."""
        if not row.has_groups or self.fixed_size is None:
            return super().group_size(row, given)
        if given not in (None, self.fixed_size):
            raise fixed_group_size(row, given, f"{self.fixed_size}, fixed")
        return self.fixed_size

    def run(self, job: Job) -> dict[str, Any]:
        """Load and save at once: some formats pack their weights again at the first pass."""
        from transformers import AutoModelForCausalLM, GenerationConfig

        job.report("quantizing", 0, 0)
        dtype, form = job.source.dtype, format_of(job.row)
        form.prepare()
        config = form.quantization_config(job.row, dtype)
        with quiet() as output, explained(form.name, output):
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


class HqqQuantizer(SavingQuantizer):
    """Makes the precisions of HQQ."""

    fixed_size = GROUP_SIZE
