"""The layers of the format, and what has transformers make them.

A library that transformers knows already needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin


class MineLinear(torch.nn.Module):
    """A linear layer whose weight is ``codes`` times its row's scale."""

    def __init__(self, inputs: int, outputs: int, bias: bool, dtype: Any) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        self.register_buffer("codes", torch.empty(outputs, inputs, dtype=torch.int8))
        self.register_buffer("scales", torch.empty(outputs, dtype=dtype))
        self.bias = torch.nn.Parameter(torch.empty(outputs, dtype=dtype)) if bias else None

    @classmethod
    def like(cls, linear: Any) -> MineLinear:
        """Return a layer of the same shape, to be filled from a checkpoint."""
        has_bias = linear.bias is not None
        return cls(linear.in_features, linear.out_features, has_bias, linear.weight.dtype)

    @classmethod
    def of(cls, linear: Any) -> MineLinear:
        """Return the layer with the rounded weights of another."""
        made, weight = cls.like(linear), linear.weight.detach()
        made.scales = (weight.abs().amax(1).clamp(min=1e-8) / 127).to(weight.dtype)
        codes = (weight.float() / made.scales.float()[:, None]).round().clamp(-127, 127)
        made.codes, made.bias = codes.to(torch.int8), linear.bias
        return made

    def forward(self, rows: Any) -> Any:
        """Return the product with the weight, plus the bias."""
        weight = self.codes.to(rows.dtype) * self.scales.to(rows.dtype)[:, None]
        return torch.nn.functional.linear(rows, weight, self.bias)


@register_quantization_config("mine")
class MineConfig(QuantizationConfigMixin):
    """What a checkpoint declares."""

    def __init__(self, bits: int = 8, **settings: Any) -> None:
        self.quant_method, self.bits = "mine", bits


@register_quantizer("mine")
class MineQuantizer(HfQuantizer):
    """Puts the layers into the blocks of a model."""

    def replace(self, model: Any, make: Callable[[Any], MineLinear]) -> None:
        """Replace the linear layers of the blocks; the head stays as it is."""
        for name, module in list(model.named_modules()):
            in_block = any(part.isdecimal() for part in name.split("."))
            if in_block and isinstance(module, torch.nn.Linear):
                model.set_submodule(name, make(module))

    def _process_model_before_weight_loading(self, model: Any, **settings: Any) -> None:
        if self.pre_quantized:  # the codes and scales are in the checkpoint
            with torch.device("meta"):
                self.replace(model, MineLinear.like)

    def _process_model_after_weight_loading(self, model: Any, **settings: Any) -> Any:
        if not self.pre_quantized:
            self.replace(model, MineLinear.of)
        return model

    def is_serializable(self) -> bool:
        """Tell that a quantized model can be saved."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Whether adapters can be trained on it."""
        return False
