"""The precisions an arm can have, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from qrag_tasks.errors import SettingsError, did_you_mean

Method = Literal["none", "bitsandbytes", "gptq", "awq"]


@dataclass(frozen=True)
class Precision:
    """One precision: how it is loaded, what it needs, how it is recognised.

    :ivar bits: of a weight of a linear layer; embeddings and head stay in 16 or 32 bits.
    :ivar method: who quantizes the linear layers. ``bitsandbytes`` does so on loading, or reads
        what it saved; ``gptq`` and ``awq`` are made beforehand (``qrag quantize``) and only read.
    :ivar dtype: name of the ``torch.dtype`` of all weights, where none is quantized. Quantized
        arms compute in the dtype that :func:`~qrag_tasks.arms.loading.computing_dtype`
        decides.
    :ivar quant_type: bitsandbytes' 4-bit data type.
    :ivar needs: modules that must be importable.
    :ivar extra: of qrag-tasks, which brings them.
    """

    name: str
    bits: int
    method: Method
    summary: str
    dtype: str | None = None
    quant_type: str | None = None
    needs: tuple[str, ...] = ()
    extra: str = "hf"

    @property
    def quantized(self) -> bool:
        """Whether linear layers hold anything but plain floating-point weights."""
        return self.method != "none"


_GPTQMODEL = ("gptqmodel", "optimum")

PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        row.name: row
        for row in (
            Precision("fp32", 32, "none", "IEEE single precision", dtype="float32"),
            Precision("fp16", 16, "none", "IEEE half precision", dtype="float16"),
            Precision("bf16", 16, "none", "bfloat16", dtype="bfloat16"),
            Precision(
                "int8",
                8,
                "bitsandbytes",
                "LLM.int8(), arXiv 2208.07339: 8-bit weights and activations, outliers apart",
                needs=("bitsandbytes",),
            ),
            Precision(
                "int4-nf4",
                4,
                "bitsandbytes",
                "4-bit NormalFloat of QLoRA, arXiv 2305.14314: weights only",
                quant_type="nf4",
                needs=("bitsandbytes",),
            ),
            Precision(
                "int4-fp4",
                4,
                "bitsandbytes",
                "4-bit floating point of bitsandbytes: weights only",
                quant_type="fp4",
                needs=("bitsandbytes",),
            ),
            Precision(
                "int4-gptq",
                4,
                "gptq",
                "GPTQ, arXiv 2210.17323: 4-bit weights fitted to calibration text",
                needs=_GPTQMODEL,
                extra="gptq",
            ),
            Precision(
                "int4-awq",
                4,
                "awq",
                "AWQ, arXiv 2306.00978: 4-bit weights scaled by activations",
                needs=_GPTQMODEL,
                extra="gptq",
            ),
        )
    }
)


_DIGITS = re.compile(r"\d+").findall
_INT4 = " For 4 bits take int4-nf4, made on loading, or int4-gptq or int4-awq, from a checkpoint."
_MEANT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("int4", "4bit", "4-bit", "w4", "w4a16", "load_in_4bit"), _INT4),
        **dict.fromkeys(("8bit", "8-bit", "load_in_8bit"), " Did you mean 'int8'?"),
        **dict.fromkeys(("float16", "half", "16bit"), " Did you mean 'fp16'?"),
        "bfloat16": " Did you mean 'bf16'?",
        **dict.fromkeys(("float32", "float", "full"), " Did you mean 'fp32'?"),
        **{
            name.removeprefix("int4-"): f" Did you mean {name!r}?"
            for name in PRECISIONS
            if name.startswith("int4-")
        },
    }
)
"""What people write for a precision -> what the message advises."""


def precision(name: str) -> Precision:
    """Return the precision of that name.

    :raises SettingsError: when there is none, listing those there are.
    """
    try:
        return PRECISIONS[name]
    except KeyError:
        text = str(name).lower()
        # Other bits are another meaning, however alike the names.
        alike = [known for known in PRECISIONS if _DIGITS(known) == _DIGITS(text)]
        raise SettingsError(
            f"unknown precision {name!r} (known: {', '.join(PRECISIONS)})."
            + (_MEANT.get(text) or did_you_mean(text, alike))
        ) from None
