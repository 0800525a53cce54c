"""AWQ, arXiv 2306.00978: made beforehand, read by GPT-QModel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import declared_method, words_for_bits
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.arms.formats.gptqmodel import INSTALL, NEEDS, GptqModelFormat, Packed, codes
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight columns a 32-bit word of the GEMM layout holds, from its lowest bits on."""


class Awq(GptqModelFormat):
    """4-bit weights with a scale a group, scaled by activations; packed along the outputs."""

    name = "awq"
    precisions = (
        Precision(
            "int4-awq",
            4,
            "awq",
            "AWQ, arXiv 2306.00978: 4-bit weights scaled by activations",
            made_on_loading=False,
            has_groups=True,
            aliases=("awq", *words_for_bits(4), "load_in_4bit"),
            needs=NEEDS,
            install=INSTALL,
            ci="extras",
        ),
    )
    layouts = ("gemm",)
    layout_keys = ("checkpoint_format", "format", "version")
    quantizer = "qrag_tasks.quantizing.gptqmodel_runs:AwqQuantizer"

    def claims_own(self, config: Mapping[str, Any]) -> bool:
        """Claim what names AWQ; and, as AutoAWQ wrote it, bits as ``w_bit``."""
        method = declared_method(config)
        return method == "awq" or (method is None and "w_bit" in config)

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise words along the output: as many columns as the zeros have."""
        packed = Packed.of(parts)
        if packed is not None and packed.columns == packed.zero_columns != packed.outputs:
            yield StoredLayer(
                *(module, self.name, packed.bits, packed.dtype),
                groups=packed.groups,
                in_features=packed.rows,
            )

    def kernels(self) -> list[str]:
        """Return transformers' names of the kernels for AWQ."""
        from transformers.utils.quantization_config import AwqBackend

        return [str(kernel.value) for kernel in AwqBackend]

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise GPT-QModel's layers, and AutoAWQ's own."""
        if type(module).__module__.startswith("awq.") and hasattr(module, "w_bit"):
            return LayerFacts(
                module.in_features,
                module.out_features,
                bits=module.w_bit,
                group_size=module.group_size,
                dtype=str(module.scales.dtype).removeprefix("torch."),
            )
        return super().layer_facts(module)

    def unpacked(self, parts: Mapping[str, Any], declared: Declaration) -> Any:
        """See :func:`awq_weight`."""
        return awq_weight(parts, declared.bits or 4)


def awq_weight(parts: Mapping[str, Any], bits: int) -> Any:
    """Return (code - zero) * scale of an AWQ layer, arXiv 2306.00978, in the layout GEMM.

    :param parts: ``qweight``, ``qzeros`` and ``scales``; codes packed along outputs.
    :returns: float32 tensor of shape (outputs, inputs).
    """
    import torch

    order = torch.tensor(ORDER).argsort()

    def in_order(packed: Any) -> Any:
        values = codes(packed, bits)
        return values.reshape(len(values), -1, len(ORDER))[:, :, order].reshape(values.shape)

    weights, zeros, scales = in_order(parts["qweight"]), in_order(parts["qzeros"]), parts["scales"]
    groups = torch.arange(len(weights)) // -(-len(weights) // len(scales))
    return ((weights - zeros[groups]) * scales.float()[groups]).T


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register AWQ."""
    register(Awq.name, Awq())
