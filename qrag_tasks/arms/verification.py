"""Whether a loaded model is the arm that it claims to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.adapters import is_adapter, name_without_adapter
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.layers import (
    Layer,
    WeightBytes,
    dtype_name,
    embedding_names,
    linear_layers,
    weights,
)
from qrag_tasks.arms.module_names import is_norm, matches
from qrag_tasks.errors import ModelError


@dataclass(frozen=True)
class LayerKind:
    """What linear layers have in common; see :class:`~qrag_tasks.arms.layers.Layer`."""

    kernel: str
    method: str
    bits: int | None
    quant_type: str | None
    group_size: int | None
    dtype: str | None
    details: str | None = None

    @classmethod
    def of(cls, layer: Layer) -> LayerKind:
        """Return the kind of ``layer``."""
        return cls(
            layer.kernel,
            layer.method,
            layer.bits,
            layer.quant_type,
            layer.group_size,
            layer.dtype,
            layer.details,
        )

    def __str__(self) -> str:
        parts = [self.kernel, self.quant_type, f"{self.bits} bits" if self.bits else None]
        parts += [f"groups of {self.group_size}" if self.group_size else None]
        parts += [f"computing in {self.dtype}" if self.dtype else None, self.details]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class VerifiedArm:
    """A model that is what its precision says.

    :ivar layers: kinds of linear layers -> how many there are.
    :ivar adapter: dtype -> how many of an adapter's parameters are in it; empty without one.
    :ivar unquantized: of a quantized arm, the names of what is not: embeddings, head, and what
        its checkpoint declares.
    """

    precision: str
    layers: tuple[tuple[LayerKind, int], ...]
    adapter: Mapping[str, int]
    unquantized: tuple[str, ...]
    weights: WeightBytes

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "precision": self.precision,
            "layers": [{**vars(kind), "count": count} for kind, count in self.layers],
            "adapter": dict(self.adapter),
            "unquantized": list(self.unquantized),
            "weights": self.weights.as_dict(),
            "bits_per_weight": self.weights.bits_per_weight,
            "linear_bits_per_weight": self.weights.linear_bits_per_weight,
        }

    def summary(self) -> str:
        """Return one line for the log."""
        kinds = "; ".join(f"{count} x {kind}" for kind, count in self.layers)
        for dtype, count in self.adapter.items():
            kinds += f"; an adapter's {count:,} parameters in {dtype}"
        kept = f"; not quantized: {some_names(self.unquantized)}" if self.unquantized else ""
        size = f"{self.weights.total / 1e6:,.1f} MB, {self.weights.parameters:,} parameters"
        if (bits := self.weights.linear_bits_per_weight) is not None:
            size += f", {bits:.2f} bits a weight in these layers"
        return f"linear layers: {kinds}{kept}; weights: {size}"


def verify(
    model: Any,
    precision: Precision,
    *,
    group_size: int | None = None,
    declared: Collection[str] = (),
) -> VerifiedArm:
    """Check every linear layer of a loaded model.

    :param group_size: that all quantized layers must have; ``None`` for any.
    :param declared: patterns of the modules that the checkpoint itself says are not quantized
        (:attr:`~qrag_tasks.arms.formats.facts.Declaration.unquantized`). What a run
        leaves out on loading is not among them, and an error.
    :raises ModelError: when the model is not what the precision says, with the layers that are
        not.
    """
    layers = [layer for layer in linear_layers(model) if layer.role != "adapter"]
    if precision.quantized:
        check_quantized(layers, precision, group_size, declared)
        kept = [layer.name for layer in layers if not layer.quantized]
        unquantized = tuple(map(name_without_adapter, (*embedding_names(model), *kept)))
    else:
        _check_plain(model, layers, precision)
        unquantized = ()
    kinds = kinds_of(layers)
    return VerifiedArm(precision.name, kinds, _adapter(model), unquantized, weights(model))


def kinds_of(layers: Sequence[Layer]) -> tuple[tuple[LayerKind, int], ...]:
    """Return the kinds of some layers, and how many of each there are."""
    return tuple(Counter(map(LayerKind.of, layers)).items())


def _adapter(model: Any) -> Mapping[str, int]:
    adapters, weights = is_adapter(model), Counter[str]()
    for name, parameter in model.named_parameters():
        if adapters(name):
            weights[dtype_name(parameter.dtype)] += parameter.numel()
    return weights


def check_quantized(
    layers: Sequence[Layer],
    precision: Precision,
    group_size: int | None,
    declared: Collection[str],
) -> None:
    """Check that layers are in a precision that quantizes.

    :param layers: all linear layers of a model.
    :param group_size: as of :func:`verify`.
    :param declared: as of :func:`verify`.
    :raises ModelError: with the layers of blocks that are not, and those elsewhere that are
        quantized otherwise.
    """

    def right(layer: Layer) -> bool:
        return precision.matches(layer.method, layer.bits, layer.quant_type) and (
            group_size is None or (layer.group_size == _group(group_size, layer))
        )

    block = [layer for layer in layers if layer.role == "block"]
    wrong = [
        layer
        for layer in block
        if not right(layer)
        and (layer.quantized or not matches(name_without_adapter(layer.name), declared))
    ]
    # Outside of blocks a layer may be left as it is, but not be of another kind.
    wrong += [
        layer for layer in layers if layer.role != "block" and layer.quantized and not right(layer)
    ]
    if not wrong and any(right(layer) for layer in block):
        return
    wrong = wrong or block
    groups = f" in groups of {group_size}" if group_size is not None else ""
    raise ModelError(
        f"precision={precision.name}{groups} was asked for, but {len(wrong)} of {len(block)} "
        f"linear layers in the model's blocks are not that: {some_names(wrong)}. This arm would "
        f"not be what it claims."
    )


def _group(size: int, layer: Layer) -> int:
    return layer.in_features if size == -1 else size


def _check_plain(model: Any, layers: Sequence[Layer], precision: Precision) -> None:
    if quantized := [layer for layer in layers if layer.quantized]:
        raise ModelError(
            f"precision={precision.name} was asked for, but {len(quantized)} of {len(layers)} "
            f"linear layers are quantized: {some_names(quantized)}. Take the checkpoint that this "
            f"one was made from."
        )
    other, total, adapters = [], 0, is_adapter(model)
    for name, parameter in model.named_parameters():
        if adapters(name) or not parameter.is_floating_point():
            continue
        total += 1
        dtype = dtype_name(parameter.dtype)
        if dtype != precision.dtype and not (dtype == "float32" and _keeps_float32(model, name)):
            other.append(f"{name} ({dtype})")
    if other:
        raise ModelError(
            f"precision={precision.name} was asked for, but {len(other)} of {total} weights are of "
            f"another dtype: {some_names(other)}. This arm would not be what it claims."
        )


def _keeps_float32(model: Any, name: str) -> bool:
    """Tell whether a weight is one that the architecture itself keeps in float32."""
    parts = name.split(".")
    kept = {
        part
        for attribute in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
        for part in getattr(model, attribute, None) or ()
    }
    return any(map(is_norm, parts)) or not kept.isdisjoint(parts)


def some_names(things: Sequence[object]) -> str:
    """Return the names of the first three of some things, and how many more there are."""
    more = f" and {len(things) - 3} more" if len(things) > 3 else ""
    return ", ".join(map(str, things[:3])) + more
