"""What is made on loading is made beforehand by saving what was loaded."""

from __future__ import annotations

from typing import Any

from qrag_tasks.arms.precisions import format_of
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.quantizer import Job, Quantizer


class SavingQuantizer(Quantizer):
    """Makes the precisions of any format that transformers makes on loading, and saves."""

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
