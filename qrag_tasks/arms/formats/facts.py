"""What is said of a precision, of a checkpoint's declaration, and of layers, stored or loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass

PLAIN = "none"
"""The method of weights that nobody has quantized."""
OTHER = "other"
"""The method of what is quantized in a way that no format knows."""

DEVICES = ("cpu", "cuda")
"""The kinds of device that are told apart, as torch names them."""


@dataclass(frozen=True)
class Precision:
    """One precision: what users call it, and what is known of it without any library.

    :ivar name: what users write: ``int4-nf4``. No two formats may bring the same name.
    :ivar bits: of a weight of a linear layer; embeddings and head stay in 16 or 32 bits.
    :ivar mixed: whether some layers are in more bits than most: ``bits`` and
        :meth:`Format.layer_bytes` are then those of most.
    :ivar method: name of the format that brings it; results say who quantized a layer by it.
    :ivar summary: what it is, with its source, in one line.
    :ivar dtype: name of the ``torch.dtype`` of all weights, where none is quantized. Quantized
        arms compute in the dtype that :func:`~qrag_tasks.arms.loading.computing_dtype` decides.
    :ivar quant_type: what tells it from the format's other rows of the same bits.
    :ivar family: what it and its like at other bits are called, where its name does not tell; see
        :attr:`line`.
    :ivar made_on_loading: whether it is made of a checkpoint that is not quantized, while that is
        loaded; else it is read from a checkpoint that was made beforehand.
    :ivar has_groups: whether a scale belongs to a group of weights, and not to a whole row.
    :ivar aliases: what people write for it, in lower case; it is advised to them.
    :ivar needs: modules that must be importable.
    :ivar install: the command that brings them.
    :ivar devices: kinds of device, as torch names them, on which the engine of its format
        (:attr:`Format.engine`, or transformers) loads it and computes.
    :ivar ci: the environment of ``tox.ini`` whose tests load it by that engine; empty where
        continuous integration has none, and for what plugins bring.
    """

    name: str
    bits: int
    method: str
    summary: str
    dtype: str | None = None
    quant_type: str | None = None
    made_on_loading: bool = True
    has_groups: bool = False
    aliases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    install: str = "pip install 'qrag-tasks[hf]'"
    devices: tuple[str, ...] = DEVICES
    ci: str = ""
    family: str = ""
    mixed: bool = False

    @property
    def quantized(self) -> bool:
        """Whether linear layers hold anything but plain floating-point weights."""
        return self.method != PLAIN

    @property
    def line(self) -> str:
        """What it and its like at other bits are called, where a score is drawn against bits.

        Its name without the bits of its weights: ``gptq`` of ``int3-gptq``, ``wNa16`` of ``w4a16``.
        """
        return self.family or re.sub(r"^w\d+", "wN", re.sub(r"^int\d+-", "", self.name))

    def matches(self, method: str, bits: int | None, quant_type: str | None) -> bool:
        """Tell whether what is declared, stored or loaded so is in this precision."""
        return (method, bits, quant_type) == (self.method, self.bits, self.quant_type)


@dataclass(frozen=True)
class Declaration:
    """What a checkpoint's ``quantization_config`` declares.

    :ivar method: who quantized it: a format's name, or what the file says where no format claims
        it; ``none`` where nothing is declared.
    :ivar bits: of a weight; ``None`` where the file does not say.
    :ivar quant_type: as in the format's :class:`Precision`.
    :ivar group_size: weights that share a scale; -1 for a whole row, ``None`` where the file does
        not say.
    :ivar layout: of the stored tensors, where the format has several.
    :ivar unquantized: patterns of the modules that are declared not to be quantized; see
        :func:`~qrag_tasks.arms.module_names.matches`.
    :ivar refused: why such a checkpoint cannot be read, to follow ``pretrained=NAME:``; empty
        where it can.
    """

    method: str = PLAIN
    bits: int | None = None
    quant_type: str | None = None
    group_size: int | None = None
    layout: str | None = None
    unquantized: tuple[str, ...] = ()
    refused: str = ""

    def __str__(self) -> str:
        bits = f", {self.bits} bits" if self.bits else ""
        kind = f" {self.quant_type}" if self.quant_type else ""
        return f"{self.method}{bits}{kind}"


@dataclass(frozen=True)
class StoredLayer:
    """A linear layer of a transformer block, as a file holds it.

    :ivar name: of the module.
    :ivar method: name of the format; ``other`` for integers or 8-bit floats in a layout that no
        format knows.
    :ivar bits: of a weight; ``None`` where the layer is not quantized, or it cannot be told.
    :ivar dtype: of the stored tensor, as safetensors names it: ``BF16``, ``I32``, ...
    :ivar quant_type: as in the format's precision; ``None`` where the tensors do not tell.
    :ivar groups: of weights that share a scale, along the input; ``None`` where there are none, or
        it cannot be told.
    :ivar in_features: of the layer, where it is told, as it is where ``groups`` is.
    :ivar out_features: of the layer, where it is told.
    :ivar left_out: whether it is not quantized, and the checkpoint declares so. Formats leave it.
    """

    name: str
    method: str
    bits: int | None
    dtype: str
    quant_type: str | None = None
    groups: int | None = None
    in_features: int | None = None
    out_features: int | None = None
    left_out: bool = False

    @property
    def quantized(self) -> bool:
        """Whether it holds anything but plain floating-point weights."""
        return self.method != PLAIN

    def __str__(self) -> str:
        if not self.quantized:
            return f"{self.name} ({self.dtype}, not quantized)"
        bits = f" {self.bits} bits" if self.bits else ""
        kind = f" {self.quant_type}" if self.quant_type else ""
        return f"{self.name} ({self.method}{bits}{kind})"


@dataclass(frozen=True)
class LayerFacts:
    """What a format knows of a loaded linear layer of its own.

    :ivar in_features: length of the rows that the layer takes.
    :ivar out_features: length of the rows that it returns.
    :ivar bits: of a weight.
    :ivar quant_type: as in the format's precision.
    :ivar group_size: weights that share a scale; ``None`` where a row does, or nothing.
    :ivar dtype: as torch names it, without ``torch.``: in which the layer computes, or of its
        scales; of a layer that is not quantized, of its weights.
    :ivar stored_bytes: of codes, scales and zeros as the checkpoint stores them, the bias not,
        where the loaded layer holds them unpacked; ``None`` where it holds what is stored, or a
        kernel's arrangement of it. Bits a weight are counted from it.
    :ivar details: what else results should say of it, in words: how activations are rounded, or
        that its weights were unpacked when they were loaded; ``None`` for nothing.
    """

    in_features: int
    out_features: int
    bits: int | None
    quant_type: str | None = None
    group_size: int | None = None
    dtype: str | None = None
    stored_bytes: int | None = None
    details: str | None = None
