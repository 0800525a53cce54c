"""HQQ, half-quadratic quantization: 8 to 2 bits, made on loading, or read from what was saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.base import Format, common_declaration, declared_method, words_for_bits
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

GROUP_SIZE = 64
"""Weights that share a scale and a zero, along the input; the library's own default."""
_NAME = "hqq"
_INSTALL = "pip install 'qrag-tasks[hqq]'"
_BESIDE = 2 + 2  # bytes: a group has a scale and a zero, of 16 bits each
_THREES = 10  # codes of 3 bits in a word of 32


class Hqq(Format):
    """Weights of 8 to 2 bits in groups with a scale and a zero, fitted without any text.

    https://mobiusml.github.io/hqq_blog: zeros are chosen so that the error is small in a norm that
    lets outliers be, by half-quadratic splitting.
    """

    name = _NAME
    precisions = tuple(
        Precision(
            f"int{bits}-hqq",
            bits,
            _NAME,
            f"HQQ, {bits}-bit weights in groups of {GROUP_SIZE}, fitted without text: weights only",
            has_groups=True,
            # Of 8 bits, "8bit" means those of bitsandbytes to all.
            aliases=words + words_for_bits(bits) if bits < 8 else (),
            needs=(_NAME,),
            install=_INSTALL,
            ci="extras",
        )
        for bits, words in ((8, ()), (4, ("hqq",)), (3, ()), (2, ()))
    )
    packages = (_NAME,)
    quantizer = "qrag_tasks.quantizing.saving:HqqQuantizer"

    # ------------------------------------------------------------------ what a checkpoint says
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim what names HQQ."""
        return declared_method(config) == _NAME

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read bits and group size, which are one level down, and what is left as it was."""
        written = config.get("quant_config")
        settings = written.get("weight_quant_params") if isinstance(written, Mapping) else None
        if not isinstance(settings, Mapping):
            shared = common_declaration(_NAME, {})
            return replace(shared, refused="its layers are quantized by settings of their own each")
        bits = {"bits": settings.get("nbits"), "group_size": settings.get("group_size")}
        left = tuple(str(name) for name in config.get("skip_modules") or ())
        return replace(common_declaration(_NAME, bits), unquantized=left)

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterator[StoredLayer]:
        """Recognise packed codes beside scales; bits by how many groups the codes are packed into.

        Codes are a matrix of one row a group, packed along its rows: the scales tell the rows.
        """
        codes, scales = parts.get("W_q"), parts.get("scale")
        if codes is None or scales is None or len(codes.shape) != 2:
            return
        groups = max(scales.shape, default=0)
        kinds = [bits for bits in (8, 4, 3, 2) if packed_rows(groups, bits) == codes.shape[0]]
        yield StoredLayer(module, _NAME, kinds[0] if kinds else None, codes.dtype)

    # ------------------------------------------------------------------ loading
    def prepare(self) -> None:
        """Register what loads it: transformers 5 has a class for HQQ that loads nothing."""
        from qrag_tasks.arms.formats import hqq_loading

        hqq_loading.register()

    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return an ``HqqConfig``."""
        try:
            from transformers import HqqConfig

            return HqqConfig(nbits=row.bits, group_size=GROUP_SIZE, axis=1)
        except ImportError as error:
            raise ModelError(
                f"precision={row.name}: hqq cannot be imported ({error}): {_INSTALL}"
            ) from error

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise an ``HQQLinear`` that holds its weights."""
        library = sys.modules.get("hqq.core.quantize")
        if library is None or not isinstance(module, library.HQQLinear) or not module.ready:
            return None
        return LayerFacts(
            module.in_features,
            module.out_features,
            bits=module.meta["nbits"],
            quant_type=None if module.meta["axis"] == 1 else "over-outputs",
            group_size=module.meta["group_size"],
            dtype=str(module.meta["scale"].dtype).removeprefix("torch."),
        )

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return (code - zero) * scale, groups being rows of a matrix as long as a group."""
        meta = module.meta
        if meta["axis"] != 1:
            raise ModelError(f"{name}: HQQ's groups over outputs have no formula to check them by")
        codes = unpacked(module.W_q.data, meta["nbits"])[: meta["scale"].shape[0]]
        weight = (codes.float() - meta["zero"].float()) * meta["scale"].float()
        return weight.reshape(tuple(meta["shape"]))

    # ------------------------------------------------------------------ planning
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of codes, those of 3 bits ten to a word, and of scales and zeros."""
        groups = outputs * inputs // GROUP_SIZE
        word = 4 if row.bits == 3 else 1
        return packed_rows(groups, row.bits) * GROUP_SIZE * word + groups * _BESIDE


def packed_rows(rows: int, bits: int) -> int:
    """Return how many rows of words so many rows of codes are packed into."""
    return -(-rows // _THREES) if bits == 3 else rows * bits // 8


def unpacked(words: Any, bits: int) -> Any:
    """Return the codes of packed rows; the first rows are in the highest bits of all words."""
    import torch

    count = _THREES if bits == 3 else 8 // bits
    shifts = [bits * (count - 1 - place) for place in range(count)]
    return torch.cat([(words >> shift) & (2**bits - 1) for shift in shifts])


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of HQQ."""
    register(Hqq.name, Hqq())
