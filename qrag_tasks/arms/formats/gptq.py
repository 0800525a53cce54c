"""GPTQ, arXiv 2210.17323: made beforehand, read by GPT-QModel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import declared_method, words_for_bits
from qrag_tasks.arms.formats.facts import Declaration, Precision, StoredLayer
from qrag_tasks.arms.formats.gptqmodel import INSTALL, NEEDS, GptqModelFormat, Packed, codes
from qrag_tasks.hookspecs import RegisterFormat, hookimpl


class Gptq(GptqModelFormat):
    """Weights with a scale a group, fitted to calibration text; packed along the inputs."""

    name = "gptq"
    precisions = tuple(
        Precision(
            f"int{bits}-gptq",
            bits,
            "gptq",
            f"GPTQ, arXiv 2210.17323: {bits}-bit weights fitted to calibration text",
            made_on_loading=False,
            has_groups=True,
            aliases=words + words_for_bits(bits) if bits < 8 else (),
            needs=NEEDS,
            install=INSTALL,
            ci="extras",
        )
        for bits, words in ((8, ()), (4, ("gptq", "load_in_4bit")), (3, ()), (2, ()))
    )
    layouts = ("gptq", "gptq_v2")
    quantizer = "qrag_tasks.quantizing.gptqmodel_runs:GptqQuantizer"

    def claims_own(self, config: Mapping[str, Any]) -> bool:
        """Claim what names GPTQ; and, as AutoGPTQ wrote it, what names nobody."""
        if (method := declared_method(config)) is not None:
            return method == "gptq"
        of_others = "w_bit" in config or any("load_in_" in key and config[key] for key in config)
        return not of_others

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise words along the input: as many columns as there are outputs."""
        packed = Packed.of(parts)
        if packed is not None and packed.columns == packed.outputs:
            inputs = packed.rows * packed.word // max(packed.bits, 1)
            yield StoredLayer(
                *(module, self.name, packed.bits, packed.dtype),
                groups=packed.groups,
                in_features=inputs,
            )

    def kernels(self) -> list[str]:
        """Return GPT-QModel's names of its kernels."""
        import gptqmodel

        return [str(kernel.value) for kernel in gptqmodel.BACKEND]

    def unpacked(self, parts: Mapping[str, Any], declared: Declaration) -> Any:
        """See :func:`gptq_weight`."""
        return gptq_weight(parts, declared.bits or 4, zeros_less_one=declared.layout != "gptq_v2")

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Add the group of each input, in 32 bits."""
        return super().layer_bytes(row, outputs, inputs) + inputs * 4


def gptq_weight(parts: Mapping[str, Any], bits: int, *, zeros_less_one: bool) -> Any:
    """Return (code - zero) * scale of a GPTQ layer, arXiv 2210.17323; codes packed along inputs.

    :param parts: ``qweight``, ``qzeros``, ``scales`` and, where inputs are not in order, ``g_idx``.
    :param zeros_less_one: whether zeros are stored less one, as in all but format ``gptq_v2``.
    :returns: float32 tensor of shape (outputs, inputs).
    """
    import torch

    weights = codes(parts["qweight"].T, bits).T
    zeros = codes(parts["qzeros"], bits)
    if zeros_less_one:
        zeros = (zeros + 1) & (2**bits - 1)
    scales = parts["scales"].float()
    size = -(-weights.shape[0] // scales.shape[0])
    groups = parts.get("g_idx", torch.arange(weights.shape[0]) // size).long()
    return ((weights - zeros[groups]) * scales[groups]).T


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register GPTQ."""
    register(Gptq.name, Gptq())
