"""What the files of a checkpoint say of its precision, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.arms.precisions import PRECISIONS, Precision
from qrag_tasks.arms.safetensors_files import TensorFacts

FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
"""Method -> the layouts of its tensors that are read; the first where a file names none."""


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a checkpoint say, without its weights.

    :ivar pretrained: as the user named it.
    :ivar config: config.json.
    :ivar quantization: what it says about quantization; ``None`` where nothing does.
    :ivar tensors: name -> dtype and shape; ``None`` where no safetensors are on this machine.
    :ivar folder: where config.json lies, and the weights once they are here.
    """

    pretrained: str
    config: Mapping[str, Any]
    quantization: Mapping[str, Any] | None = None
    tensors: Mapping[str, TensorFacts] | None = None
    folder: Path | None = None

    @property
    def method(self) -> str:
        """Who quantized it, as its configuration says: ``none``, ``gptq``, ..."""
        if self.quantization is None:
            return "none"
        named = self.quantization.get("quant_method") or self.quantization.get("method")
        if named:
            return str(named).lower()
        if any(self._switch(bits) for bits in (4, 8)):
            return "bitsandbytes"
        return "awq" if "w_bit" in self.quantization else "gptq"

    @property
    def bits(self) -> int | None:
        """Bits of a quantized weight."""
        if self.method == "bitsandbytes":
            return 4 if self._switch(4) else 8 if self._switch(8) else None
        found = self._setting("bits", "w_bit")
        return found if isinstance(found, int) else None

    @property
    def quant_type(self) -> str | None:
        """bitsandbytes' 4-bit data type."""
        if self.method != "bitsandbytes" or self.bits != 4:
            return None
        return str(self._setting("bnb_4bit_quant_type") or "fp4")

    @property
    def group_size(self) -> int | None:
        """Weights that share a scale, as GPTQ and AWQ have it; -1 for a whole row."""
        found = self._setting("group_size", "q_group_size")
        return found if isinstance(found, int) else None

    @property
    def format(self) -> str | None:
        """The layout of GPTQ's or AWQ's tensors."""
        if self.method not in FORMATS:
            return None
        keys = ("checkpoint_format", "format", "version")[: 3 if self.method == "awq" else 2]
        return str(self._setting(*keys) or FORMATS[self.method][0]).lower()

    @property
    def declared_unquantized(self) -> tuple[str, ...]:
        """Patterns of the modules that the checkpoint itself says are not quantized.

        See :func:`~qrag_tasks.arms.stored_layers.matches`.
        """
        found = [
            str(name)
            for key in ("modules_to_not_convert", "llm_int8_skip_modules")
            for name in self._setting(key) or ()
        ]
        if only := self._setting("modules_in_block_to_quantize"):
            names = [name for part in only for name in ([part] if isinstance(part, str) else part)]
            ends = "|".join(map(re.escape, names))
            found.append(rf"(?!.*(?:{ends})$)(?:.*\.)?\d+\..*")
        return tuple(found)

    @property
    def precision(self) -> Precision | None:
        """The precision that it is quantized in; ``None`` where it is not, or no row is that."""
        own = (self.method, self.bits, self.quant_type)
        for row in PRECISIONS.values():
            if row.quantized and (row.method, row.bits, row.quant_type) == own:
                return row
        return None

    def claim(self) -> str:
        """Say what the configuration says about quantization."""
        bits = f", {self.bits} bits" if self.bits else ""
        kind = f" {self.quant_type}" if self.quant_type else ""
        return f"{self.method}{bits}{kind}"

    def _setting(self, *keys: str) -> Any:
        given = self.quantization or {}
        return next((given[key] for key in keys if given.get(key) is not None), None)

    def _switch(self, bits: int) -> bool:
        return bool(self._setting(f"load_in_{bits}bit", f"_load_in_{bits}bit"))
