"""Weights as plain floating-point numbers: nothing is quantized."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import FLOATS, TensorFacts
from qrag_tasks.arms.formats.base import Format
from qrag_tasks.arms.formats.facts import PLAIN, Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.arms.module_names import is_linear
from qrag_tasks.hookspecs import RegisterFormat, hookimpl


class Plain(Format):
    """Floating-point weights of 16 or 32 bits, as they were trained."""

    name = PLAIN
    precisions = (
        Precision(
            "fp32",
            32,
            PLAIN,
            "IEEE single precision",
            dtype="float32",
            aliases=("float32", "float", "full"),
            ci="py311-hf",
        ),
        Precision(
            "fp16",
            16,
            PLAIN,
            "IEEE half precision",
            dtype="float16",
            aliases=("float16", "half", "16bit"),
            ci="py311-hf",
        ),
        Precision(
            "bf16",
            16,
            PLAIN,
            "bfloat16",
            dtype="bfloat16",
            aliases=("bfloat16",),
            ci="py311-hf",
        ),
    )

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim nothing: a plain checkpoint has no ``quantization_config``."""
        return False

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise matrices, and the experts of a mixture in one tensor."""
        for part, facts in parts.items():
            if facts.dtype not in FLOATS:
                continue
            if part == "weight":
                if is_linear(module, facts.shape):
                    yield StoredLayer(module, self.name, None, facts.dtype)
            elif "." not in part and len(facts.shape) == 3 and min(facts.shape) > 1:
                yield StoredLayer(f"{module}.{part}", self.name, None, facts.dtype)

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise ``torch.nn.Linear`` and transformers' ``Conv1D``."""
        import torch

        transformers = sys.modules.get("transformers.pytorch_utils")
        if isinstance(module, torch.nn.Linear):
            weight, inputs, outputs = module.weight, module.in_features, module.out_features
        elif transformers is not None and isinstance(module, transformers.Conv1D):
            weight = module.weight
            inputs, outputs = weight.shape
        else:
            return None
        is_plain = type(weight.data) is torch.Tensor and weight.dtype.itemsize > 1
        if not is_plain or not weight.is_floating_point():
            return None
        dtype = str(weight.dtype).removeprefix("torch.")
        return LayerFacts(inputs, outputs, bits=8 * weight.element_size(), dtype=dtype)

    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weight itself."""
        weight = module.weight.detach().float()
        return weight if hasattr(module, "in_features") else weight.T

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return a number of ``row.bits`` for each weight."""
        return outputs * inputs * row.bits // 8


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of weights that nobody has quantized."""
    register(Plain.name, Plain())
