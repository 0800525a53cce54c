"""The format ``mine``: 8-bit weights with a scale for each row, made on loading or stored.

Listing the plugins imports this module, so torch and transformers are imported where they are used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from qrag_tasks import Format, LayerFacts, Precision, StoredLayer, hookimpl
from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.facts import Declaration


class Mine(Format):
    """8-bit weights with a scale for each row; weights only."""

    name = "mine"  # what results call method
    precisions = (Precision("int8-mine", 8, "mine", "8-bit weights, a scale for each row"),)
    packages = ("qrag_mine",)  # whose version is part of an arm's identity
    quantizer = "qrag_tasks.quantizing.saving:SavingQuantizer"  # for qrag quantize

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim checkpoints whose ``quantization_config`` says so."""
        return config.get("quant_method") == self.name

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterable[StoredLayer]:
        """Recognise a stored layer by the names of its tensors."""
        if {"codes", "scales"} <= set(parts):
            yield StoredLayer(module, self.name, bits=8, dtype=parts["codes"].dtype)

    def prepare(self) -> None:
        """Register the quantizer with transformers."""
        import qrag_mine.layers  # noqa: F401

    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return what has transformers quantize while it loads."""
        return sys.modules["qrag_mine.layers"].MineConfig()

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a loaded layer; nobody has any before its module is imported."""
        layers = sys.modules.get("qrag_mine.layers")
        if layers is None or not isinstance(module, layers.MineLinear):
            return None
        dtype = str(module.scales.dtype).removeprefix("torch.")
        return LayerFacts(module.in_features, module.out_features, bits=8, dtype=dtype)

    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weights that a layer stands for, in 32 bits."""
        return module.codes.float() * module.scales.float()[:, None]

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of a layer: codes, and 16-bit scales."""
        return outputs * inputs + outputs * 2


@hookimpl
def qrag_register_formats(register: Callable[[str, Format], None]) -> None:
    """Register ``mine``."""
    register(Mine.name, Mine())
