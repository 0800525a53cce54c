"""What GPTQ and AWQ share: both are read, and made, by GPT-QModel."""

from __future__ import annotations

import os
import re
import sys
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from qrag_tasks.arms.adapters import name_without_adapter
from qrag_tasks.arms.checkpoint_files import TensorFacts, read_parts
from qrag_tasks.arms.formats import auto_round
from qrag_tasks.arms.formats.base import Format, common_declaration, setting
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision
from qrag_tasks.errors import ModelError, SettingsError, did_you_mean

NEEDS = ("gptqmodel", "optimum")
# GPT-QModel's build looks for the torch that is installed.
INSTALL = "pip install 'qrag-tasks[gptq]' --no-build-isolation"
GROUP_SIZE = 128
_WORD_BITS = {"I64": 64, "I32": 32, "I16": 16, "I8": 8}
_PARTS = ("qweight", "qzeros", "scales", "g_idx")


class Packed(NamedTuple):
    """The shapes of a layer that is packed into words.

    :ivar rows: of the packed weights.
    :ivar columns: of the packed weights, in words or outputs.
    :ivar zero_columns: of the packed zeros, in words.
    :ivar word: bits of a word.
    :ivar bits: of a weight.
    """

    rows: int
    columns: int
    zero_columns: int
    groups: int
    outputs: int
    word: int
    bits: int
    dtype: str

    @classmethod
    def of(cls, parts: Mapping[str, TensorFacts]) -> Packed | None:
        """Return the shapes of a module's tensors; ``None`` where they are not such a layer's."""
        weight, scales, zeros = (parts.get(name) for name in ("qweight", "scales", "qzeros"))
        if weight is None or scales is None or zeros is None:
            return None
        word = _WORD_BITS.get(weight.dtype)
        if word is None or not len(weight.shape) == len(scales.shape) == len(zeros.shape) == 2:
            return None
        (rows, columns), (groups, outputs) = weight.shape, scales.shape
        bits = word * zeros.shape[1] // outputs
        return cls(rows, columns, zeros.shape[1], groups, outputs, word, bits, weight.dtype)


class GptqModelFormat(Format):
    """A format whose kernels are GPT-QModel's.

    :cvar layouts: of its tensors, that are read; the first where a file names none.
    """

    layouts: ClassVar[tuple[str, ...]]
    layout_keys: ClassVar[tuple[str, ...]] = ("checkpoint_format", "format")
    packages = ("gptqmodel",)
    repacks = True
    has_kernels = True
    default_group_size = GROUP_SIZE

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what is stored so, by AutoRound, too."""
        return self.claims_own(auto_round.in_others_words(config))

    @abstractmethod
    def claims_own(self, config: Mapping[str, Any]) -> bool:
        """Tell whether a ``quantization_config``, none of AutoRound's, is of this format."""

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read bits, group size and layout, and what is left as it was."""
        not_read, config = auto_round.refused(config), auto_round.in_others_words(config)
        shared = common_declaration(self.name, config)
        layout = str(setting(config, *self.layout_keys) or self.layouts[0]).lower()
        unquantized = list(shared.unquantized)
        if only := setting(config, "modules_in_block_to_quantize"):
            names = [name for part in only for name in ([part] if isinstance(part, str) else part)]
            ends = "|".join(map(re.escape, names))
            unquantized.append(rf"(?!.*(?:{ends})$)(?:.*\.)?\d+\..*")
        refused = not_read or self._refused(shared, layout, config)
        return replace(shared, layout=layout, unquantized=tuple(unquantized), refused=refused)

    def _refused(self, shared: Declaration, layout: str, config: Mapping[str, Any]) -> str:
        if layout not in self.layouts:
            return (
                f"is {shared} in the layout {layout}, which is not read "
                f"(known: {', '.join(self.layouts)}); quantize again with `qrag quantize`"
            )
        if dynamic := config.get("dynamic"):
            return (
                f"its quantization_config treats some modules otherwise (dynamic: "
                f"{', '.join(dynamic)}). transformers does not read that, "
                f"and would load these without their weights: quantize again without dynamic"
            )
        return ""

    # ------------------------------------------------------------------ loading
    def prepare(self) -> None:
        """Give GPT-QModel two workers: with one it fails at import, its default on two cores."""
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))

    def config_changes(self, row: Precision, dtype: Any, kernel: str | None) -> dict[str, Any]:
        """Name the kernel that was chosen."""
        if kernel is None:
            return {}
        known = self.kernels()
        if kernel not in known:
            raise SettingsError(
                f"kernel={kernel}: unknown for {row.name} (known: {', '.join(known)})."
                + did_you_mean(kernel, known)
            )
        return {"backend": kernel}

    def loading_config(
        self, own: Mapping[str, Any], row: Precision, dtype: Any, kernel: str | None
    ) -> dict[str, Any]:
        """Return what the file says, AutoRound's in the words of this format."""
        return super().loading_config(auto_round.in_others_words(own), row, dtype, kernel)

    def settle(self, model: Any) -> None:
        """Say which group each input is in, where a checkpoint does not: AutoRound's leave it out.

        They are in order then. transformers leaves such a tensor as the memory was, so that it is
        known by groups that have not as many inputs as they should.
        """
        import torch

        for module in model.modules():
            groups: Any = getattr(module, "g_idx", None)
            facts = None if groups is None or not groups.numel() else self.layer_facts(module)
            if facts is not None and groups.numel() == facts.in_features:
                size = facts.group_size or -1
                in_order = torch.arange(groups.numel()) // (size if size > 0 else groups.numel())
                if sorted(groups.tolist()) != in_order.tolist():
                    groups.data.copy_(in_order)

    @abstractmethod
    def kernels(self) -> list[str]:
        """Return the names of the kernels that there are."""

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a layer of GPT-QModel's that has this method, and none before it."""
        library = sys.modules.get("gptqmodel.nn_modules.qlinear")
        if library is None or not isinstance(module, library.BaseQuantLinear):
            return None
        methods = {getattr(method, "value", method) for method in module.SUPPORTS_METHODS or ()}
        if next((name for name in ("gptq", "awq") if name in methods), None) != self.name:
            return None
        scales = getattr(module, "scales", None)
        return LayerFacts(
            module.in_features,
            module.out_features,
            bits=module.bits,
            group_size=getattr(module, "group_size", None),
            dtype=None if scales is None else str(scales.dtype).removeprefix("torch."),
        )

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weight that a layer's tensors in the checkpoint stand for.

        Kernels pack weights again, each in its own way: the loaded ones tell nothing.
        """
        if folder is None:
            raise ModelError(
                f"{name}: its kernel cannot be checked without the folder of its checkpoint"
            )
        name = name_without_adapter(name)
        parts = read_parts(folder, name, _PARTS)
        if not parts:
            raise ModelError(
                f"{folder}: holds no {name}.{_PARTS[0]} in safetensors, so that the kernel "
                f"of this layer cannot be checked"
            )
        return self.unpacked(parts, declared)

    @abstractmethod
    def unpacked(self, parts: Mapping[str, Any], declared: Declaration) -> Any:
        """Return the weight that tensors stand for: float32, of shape (outputs, inputs).

        :param parts: ``qweight``, ``qzeros``, ``scales`` and, where it is stored, ``g_idx``.
        """

    # ------------------------------------------------------------------ planning
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of codes, and of a 16-bit scale and a zero in codes a group."""
        groups = outputs * ceil(inputs / GROUP_SIZE)
        return outputs * inputs * row.bits // 8 + groups * 2 + groups * row.bits // 8


def codes(packed: Any, bits: int) -> Any:
    """Return the codes in words of 32 bits: from (rows, words) to (rows, words * 32 / bits).

    Codes follow one another from the lowest bits of the first word on. Those of 3 bits, of which 32
    are in three words, reach from one word into the next.
    """
    import torch

    words = packed.long() & 0xFFFFFFFF
    first = torch.arange(0, 32 * packed.shape[1], bits)
    first = first[: 32 * packed.shape[1] // bits]
    place, shift = first // 32, first % 32
    following = words[:, (place + 1).clamp(max=packed.shape[1] - 1)]
    pairs = words[:, place] | ((following & (2**bits - 1)) << 32)
    return (pairs >> shift) & (2**bits - 1)
