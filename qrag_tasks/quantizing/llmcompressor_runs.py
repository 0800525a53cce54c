"""Checkpoints of compressed-tensors, by llm-compressor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from typing import Any

from qrag_tasks.arms.formats.compressed_tensors import GROUP_SIZE
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.quantizer import Job, Quantizer
from qrag_tasks.quantizing.source import Source

GROUP_SIZES = (32, 64, 128)
"""Those that the kernels of vLLM have."""
INSTALL = "pip install 'qrag-tasks[llm-compressor]'"


@dataclass(frozen=True)
class Recipe:
    """How a precision is made.

    :ivar preset: llm-compressor's name of the scheme.
    :ivar fitted: whether GPTQ, arXiv 2210.17323, fits the weights to texts; else each is rounded to
        the nearest value.
    :ivar layout: in which it is saved, where llm-compressor would take a larger one.
    """

    preset: str
    fitted: bool
    layout: str | None = None


RECIPES: Mapping[str, Recipe] = {
    "w4a16": Recipe("W4A16", fitted=True),
    "w8a16": Recipe("W8A16", fitted=True),
    "w2a16": Recipe("W2A16", fitted=True),
    "w8a8-int8": Recipe("W8A8", fitted=True),
    "w4a8-int8": Recipe("W4A8", fitted=True, layout="pack-quantized"),
    "w8a8-fp8": Recipe("FP8_DYNAMIC", fitted=False),
    "nvfp4a16": Recipe("NVFP4A16", fitted=False),
    "mxfp4a16": Recipe("MXFP4A16", fitted=False),
}
"""Precision -> how it is made: as llm-compressor's own examples do it, without SmoothQuant."""


class LlmCompressorQuantizer(Quantizer):
    """Makes precisions of compressed-tensors; those of integers are fitted to calibration text."""

    needs = ("llmcompressor",)

    def calibrates(self, row: Precision) -> bool:
        """Tell whether GPTQ fits the weights."""
        return RECIPES[row.name].fitted

    def check_installed(self, row: Precision) -> None:
        """Check that llm-compressor is there; it often wants an environment of its own."""
        if util.find_spec("llmcompressor") is None:
            raise ModelError(
                f"--precision {row.name} is made by llm-compressor: {INSTALL}. It wants a "
                f"transformers that is some releases old (0.14: up to 5.17), so give it an "
                f"environment of its own; any environment reads what it makes"
            )

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the size that was given, or the default; a row, where the scheme has rows."""
        if not row.has_groups:
            return super().group_size(row, given)
        if given is not None and given not in GROUP_SIZES:
            raise SettingsError(
                f"--group-size {given}: not every kernel has it; give one of "
                f"{', '.join(map(str, GROUP_SIZES))}"
            )
        return given or GROUP_SIZE

    def check(self, source: Source, row: Precision, group_size: int | None) -> None:
        """Check that groups divide the inputs of every layer."""
        size = group_size or _fixed_groups(row)
        for name, (inputs, _) in source.layers.items():
            if size and inputs % size:
                fitting = [each for each in GROUP_SIZES if inputs % each == 0]
                advice = f"give --group-size {fitting[-1]}" if row.has_groups and fitting else ""
                raise SettingsError(
                    f"--precision {row.name}: groups of {size} do not divide the {inputs} inputs "
                    f"of layer {name} of {source.name}: "
                    f"{advice or 'take a precision that has a scale a row, as w8a8-int8'}"
                )

    def run(self, job: Job) -> dict[str, Any]:
        """Quantize all linear layers of blocks, and save them as they are packed."""
        recipe, rows = RECIPES[job.row.name], job.texts.rows if job.texts else ()
        job.report("loading llm-compressor", 0, 0)
        with quiet() as output, explained("llm-compressor", output), warnings.catch_warnings():
            # It offloads the model to the memory that it is in, and warns of saving that.
            warnings.simplefilter("ignore")
            import torch
            from llmcompressor import oneshot
            from transformers import AutoModelForCausalLM, GenerationConfig

            model = AutoModelForCausalLM.from_pretrained(
                job.source.folder, dtype=job.source.dtype, device_map={"": job.device}
            )
            # The source's own file is copied, whatever it says.
            model.generation_config = GenerationConfig()
            left = [
                name
                for name, module in model.named_modules()
                if isinstance(module, torch.nn.Linear) and name not in job.source.layers
            ]
            job.report("quantizing", 0, 0)
            options = {} if not rows else {"dataset": _batches(rows)}
            oneshot(model=model, recipe=_modifier(recipe, left, job.group_size), **options)
            job.report("saving", 0, 0)
            model.save_pretrained(job.work, save_compressed=True, quantization_format=recipe.layout)
        return {
            "options": {"scheme": recipe.preset, "method": "gptq" if recipe.fitted else "rounding"},
            "calibration": job.texts.as_dict() if job.texts else None,
        }


def _modifier(recipe: Recipe, left: Sequence[str], group_size: int | None) -> Any:
    """Return what quantizes: llm-compressor's modifier with the scheme, and what it leaves out."""
    from compressed_tensors.quantization import preset_name_to_scheme
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier

    scheme = preset_name_to_scheme(recipe.preset, ["Linear"])
    if group_size is not None:
        scheme.weights.group_size = group_size
    kind = GPTQModifier if recipe.fitted else QuantizationModifier
    return kind(config_groups={"group_0": scheme}, ignore=list(left))


def _batches(rows: Sequence[Sequence[int]]) -> Any:
    """Return texts as a ``DataLoader`` of one each, none of them cut or filled up."""
    import torch

    samples = [
        {"input_ids": torch.tensor([list(row)]), "attention_mask": torch.ones(1, len(row)).long()}
        for row in rows
    ]
    return torch.utils.data.DataLoader(samples, batch_size=None)


def _fixed_groups(row: Precision) -> int | None:
    return {"w4a8-int8": GROUP_SIZE, "nvfp4a16": 16, "mxfp4a16": 32}.get(row.name)
