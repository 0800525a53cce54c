"""What a format of weights is, and what passes through it.

A format knows all that is special about one way to store the weights of linear layers: its
precisions, how a checkpoint declares and stores it, how it is loaded, what its loaded layers are,
which weights they stand for and how many bytes they take. Nothing else in the package asks which
format it has before it. Plugins register theirs by
:func:`~qrag_tasks.hookspecs.qrag_register_formats`;
:class:`~qrag_tasks.testing.FormatConformance` holds a format to what is written here.

A format's module is imported wherever precisions are listed: it must import its library, and
torch, only where a method needs them.
"""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.errors import ModelError, SettingsError

PLAIN = "none"
"""The method of weights that nobody has quantized."""
OTHER = "other"
"""The method of what is quantized in a way that no format knows."""

DEVICES = ("cpu", "cuda")
"""The kinds of device that are told apart, as torch names them."""

WEIGHTS_ONLY = 1e-2
"""Sums and scales in 16 bits: bfloat16 rounds by up to 2 ** -9 = 0.2 %, some of it several times.
A kernel that takes one zero or scale for another is off by 10 % and more."""
WITH_ACTIVATIONS = 2e-2
"""Activations in 8 bits, too: a row's 255 steps reach to its largest value, some 3 to 4 standard
deviations, so they round by about 4 / 127 / sqrt(12) = 0.9 % of one."""


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


class Format(ABC):
    """One way to store the weights of linear layers.

    One object serves a whole process. It keeps no state of a model, and its methods change none of
    what they are given.

    :cvar name: what results call ``method``; also the name that it is registered by.
    :cvar precisions: its rows; each has ``name`` of the format as its ``method``, and no two have
        the same bits and ``quant_type``.
    :cvar packages: top-level packages of its layers' classes, or of their weights' classes. Their
        versions are part of an arm's identity, so each must be a distribution's name, too.
    :cvar repacks: whether its layers pack their weights again at their first pass, on some device,
        so that an arm is known by what they held before it.
    :cvar has_kernels: whether users may choose the kernel that computes (``kernel=``).
    :cvar default_group_size: of what ``qrag quantize`` makes where nobody gives one; ``None``
        where there is no choice.
    :cvar engine: the only engine that loads its precisions, where transformers does not; empty
        where it does.
    :cvar has_checkpoints: whether checkpoints of it can be read; where not, it is made on loading
        and nowhere kept.
    :cvar unpacked_by: engines that unpack its weights when they load them, and hold and multiply
        them in the dtype that the arm computes in.
    :cvar quantizer: what makes checkpoints of it for ``qrag quantize``, as entry points are
        written: ``package.module:name`` of a :class:`~qrag_tasks.quantizing.quantizer.Quantizer`.
        Empty where nothing here does.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    packages: ClassVar[tuple[str, ...]] = ()
    repacks: ClassVar[bool] = False
    has_kernels: ClassVar[bool] = False
    default_group_size: ClassVar[int | None] = None
    engine: ClassVar[str] = ""
    has_checkpoints: ClassVar[bool] = True
    unpacked_by: ClassVar[frozenset[str]] = frozenset()
    quantizer: ClassVar[str] = ""

    # ------------------------------------------------------------------ what a checkpoint says
    @abstractmethod
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Tell whether a checkpoint's ``quantization_config`` is of this format.

        :param config: what the file says, of whatever format it is.
        """

    def declaration(self, config: Mapping[str, Any]) -> Declaration:
        """Read a ``quantization_config`` that the format claims.

        What is read here are the keys that many formats share. Bits and ``quant_type`` together
        say which of the format's precisions it is.
        """
        return common_declaration(self.name, config)

    @abstractmethod
    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterable[StoredLayer]:
        """Recognise what a checkpoint stores under one module of a transformer block.

        Only names, dtypes and shapes are known: no weight is read.

        :param module: its name in the file.
        :param parts: what follows the module's name in the names of its tensors (``weight``,
            ``weight.absmax``, ``qweight``, ...) -> dtype and shape.
        :returns: the linear layers there, one as a rule; nothing where it is none of this format.
        """

    def stores(self, row: Precision, layer: StoredLayer) -> bool:
        """Tell whether a stored layer is in a precision, as far as its tensors tell.

        :param row: of this format.
        :param layer: of any format; what its tensors do not tell of ``quant_type`` is ``None``.
        """
        return row.matches(layer.method, layer.bits, layer.quant_type or row.quant_type)

    # ------------------------------------------------------------------ loading
    def check_installed(self, row: Precision) -> None:
        """Check that what a precision needs can be imported, without importing it.

        :raises ModelError: with the command that brings what is missing.
        """
        missing = [name for name in row.needs if not is_importable(name)]
        if missing:
            raise ModelError(f"precision={row.name} needs {' and '.join(missing)}: {row.install}")

    def prepare(self) -> None:  # noqa: B027 - most formats have nothing to set up
        """Set up what loading a model in this format needs; called each time before it is.

        A quantizer is registered with transformers here, a warning of the library told once only.
        """

    def quantization_config(self, row: Precision, dtype: Any) -> Any:
        """Return what has transformers quantize a plain checkpoint while it loads it.

        :param dtype: ``torch.dtype`` in which the arm computes.
        :returns: a ``QuantizationConfigMixin`` for ``from_pretrained``; ``None`` where nothing is
            to be done, or the format is only read.
        :raises ModelError: when the library is missing, or refuses.
        """
        return None

    def config_changes(self, row: Precision, dtype: Any, kernel: str | None) -> dict[str, Any]:
        """Return what a checkpoint's own ``quantization_config`` is to say otherwise.

        Called when a checkpoint of this format is loaded.

        :param dtype: ``torch.dtype`` in which the arm computes.
        :param kernel: that the user chose; only where :attr:`has_kernels`.
        :raises SettingsError: for a kernel that there is not, listing those that there are.
        """
        if kernel is not None:
            raise SettingsError(f"kernel={kernel}: {row.name} has no kernels to choose from")
        return {}

    def settle(self, model: Any) -> None:  # noqa: B027 - most formats load what they run
        """Bring a model that transformers has loaded into the state in which it will answer.

        Called once, before anything is read of it. A library that unpacks all weights at the first
        pass is to do so here, so that what is verified, digested and measured is what answers.

        :param model: of this format; it is changed in place.
        """

    def not_loadable(self, config: Mapping[str, Any]) -> str:
        """Return why transformers, as it is installed, cannot load a checkpoint; empty if it can.

        :param config: its ``quantization_config``, which other engines may load.
        :returns: what follows the checkpoint's name, with what to do.
        """
        return ""

    def loading_config(
        self, own: Mapping[str, Any], row: Precision, dtype: Any, kernel: str | None
    ) -> dict[str, Any]:
        """Return the ``quantization_config`` that a checkpoint of this format is loaded with.

        :param own: what its file says.
        :param dtype: as of :meth:`config_changes`, which most formats need alone.
        :param kernel: as of :meth:`config_changes`.
        :raises SettingsError: as :meth:`config_changes`.
        """
        return {**own, **self.config_changes(row, dtype, kernel)}

    @abstractmethod
    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise a loaded layer of this format.

        :param module: any ``torch.nn.Module`` of a model; most are none of this format, many no
            linear layer. A library that nobody has imported has no layers: do not import it.
        :returns: ``None`` where it is not of this format.
        """

    # ------------------------------------------------------------------ the check of a kernel
    def dequantized(
        self, module: Any, name: str, declared: Declaration, folder: Path | None
    ) -> Any:
        """Return the weight that a layer stands for, by the format's formula and not by its kernel.

        Called before the layer runs for the first time.

        :param module: a layer for which :meth:`layer_facts` returns facts.
        :param name: of the layer in its model.
        :param declared: what the model's checkpoint declares.
        :param folder: with the checkpoint's files; ``None`` where it is not known.
        :returns: float32 ``torch.Tensor`` of shape (outputs, inputs), on any device.
        :raises ModelError: when it cannot be told.
        """
        raise ModelError(f"{name}: format {self.name} has no formula to check its kernel by")

    def rounded_inputs(self, module: Any, inputs: Any) -> Any:
        """Return the inputs of a layer as it rounds them before it multiplies, by a formula.

        Of a layer whose activations stay in 16 bits, or whose rounding :meth:`tolerance` allows
        for, the inputs themselves.

        :param inputs: ``torch.Tensor`` of shape (1, tokens, inputs).
        """
        return inputs

    def tolerance(self, facts: LayerFacts) -> float:
        """Return the largest relative error of a sound kernel: norm of difference over norm."""
        return WEIGHTS_ONLY

    # ------------------------------------------------------------------ planning
    def is_made_here(self, row: Precision) -> bool:
        """Tell whether ``qrag quantize`` makes checkpoints of a precision."""
        return bool(self.quantizer)

    @abstractmethod
    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of a loaded layer of that shape, scales included, the bias not.

        Called for the linear layers of blocks, where the checkpoint that is planned with is not
        quantized. Of weights that some engine unpacks, the bytes of the packed ones.
        """

    def loaded_bytes(
        self, row: Precision, outputs: int, inputs: int, engine: str, wide: int = 2
    ) -> int:
        """Return the bytes of a loaded layer of that shape, as an engine holds it.

        :param wide: bytes of a number in the dtype that the arm computes in.
        """
        packed = self.layer_bytes(row, outputs, inputs)
        if engine not in self.unpacked_by:
            return packed
        return packed + outputs * inputs * wide - outputs * inputs * row.bits // 8


class FormatOfEngine(Format):
    """A format that one engine alone loads: that engine reads files and layers itself.

    No checkpoint of safetensors declares or holds it, and no layer of torch's own is ever in it.
    """

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Claim nothing."""
        return False

    def stored_layers(self, module: str, parts: Mapping[str, TensorFacts]) -> Iterable[StoredLayer]:
        """Recognise nothing."""
        return ()

    def layer_facts(self, module: Any) -> LayerFacts | None:
        """Recognise nothing."""
        return None


def words_for_bits(bits: int) -> tuple[str, ...]:
    """Return what people write for weights of so many bits, whoever quantizes them."""
    return f"int{bits}", f"{bits}bit", f"{bits}-bit", f"w{bits}"


def is_importable(module: str) -> bool:
    """Tell whether a module is there, without importing it; of a package's part, the package is."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package itself is not there
        return False


def common_declaration(method: str, config: Mapping[str, Any]) -> Declaration:
    """Read those keys of a ``quantization_config`` that many formats share."""
    bits, size = setting(config, "bits", "w_bit"), setting(config, "group_size", "q_group_size")
    return Declaration(
        method,
        bits=bits if isinstance(bits, int) else None,
        group_size=size if isinstance(size, int) else None,
        unquantized=tuple(
            str(name)
            for key in ("modules_to_not_convert", "llm_int8_skip_modules")
            for name in setting(config, key) or ()
        ),
    )


def declared_method(config: Mapping[str, Any]) -> str | None:
    """Return who quantized a checkpoint, as its ``quantization_config`` names it, if it does."""
    named = config.get("quant_method") or config.get("method")
    return str(named).lower() if named else None


def setting(config: Mapping[str, Any], *keys: str) -> Any:
    """Return the first of several settings that is given; ``None`` where none is."""
    return next((config[key] for key in keys if config.get(key) is not None), None)
