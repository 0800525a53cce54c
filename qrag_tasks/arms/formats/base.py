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
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from qrag_tasks.arms.checkpoint_files import TensorFacts
from qrag_tasks.arms.formats.facts import Declaration, LayerFacts, Precision, StoredLayer
from qrag_tasks.errors import ModelError, SettingsError

WEIGHTS_ONLY = 1e-2
"""Sums and scales in 16 bits: bfloat16 rounds by up to 2 ** -9 = 0.2 %, some of it several times.
A kernel that takes one zero or scale for another is off by 10 % and more."""
WITH_ACTIVATIONS = 2e-2
"""Activations in 8 bits, too: a row's 255 steps reach to its largest value, some 3 to 4 standard
deviations, so they round by about 4 / 127 / sqrt(12) = 0.9 % of one."""


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
    """Tell whether a module is there, without importing it; of a package's part, the package is.

    A folder of the same name in the folder at work, such as a clone of the library, is not the
    module, although Python takes it for a namespace package.
    """
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the package itself is not there
        return False
    if spec is None or spec.origin is not None:
        return spec is not None
    places = spec.submodule_search_locations or ()
    return any(Path(place).parent != Path.cwd() for place in places)


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
