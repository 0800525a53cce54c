"""What the linear layers of a loaded model are, and how many bytes the model's weights take."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qrag_tasks.arms.adapters import is_adapter
from qrag_tasks.arms.formats.base import Format
from qrag_tasks.arms.formats.facts import OTHER, PLAIN, LayerFacts
from qrag_tasks.arms.module_names import in_block
from qrag_tasks.arms.module_tensors import held_tensors, place
from qrag_tasks.arms.precisions import special_first

Role = Literal["block", "head", "adapter", "other"]


@dataclass(frozen=True, kw_only=True)
class Layer(LayerFacts):
    """One linear layer: what its format knows of it, and its place in the model.

    :ivar kernel: name of its class.
    :ivar role: ``block`` for those of a transformer block.
    :ivar method: name of its format; ``other`` for what no format knows.
    :ivar bytes: of all it holds: weights, scales, zeros, bias.
    :ivar bias_bytes: of its bias alone.
    """

    name: str
    kernel: str
    role: Role
    method: str
    bytes: int
    bias_bytes: int = 0

    @property
    def weights(self) -> int:
        """How many weights it has, whatever they are packed into; the bias is none."""
        return self.in_features * self.out_features

    @property
    def weight_bytes(self) -> int:
        """Bytes of its weights, scales and zeros: as stored, where it holds them unpacked."""
        loaded = self.bytes - self.bias_bytes
        return loaded if self.stored_bytes is None else self.stored_bytes

    @property
    def quantized(self) -> bool:
        """Whether its weights are anything but plain floating-point numbers."""
        return self.method != PLAIN

    def __str__(self) -> str:
        parts = [self.kernel]
        if self.quantized:
            parts += [f"{self.bits} bits"] if self.bits else []
            parts += [self.quant_type] if self.quant_type else []
            parts += [f"groups of {self.group_size}"] if self.group_size else []
        elif self.dtype:
            parts.append(self.dtype)
        return f"{self.name} ({', '.join(parts)})"


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a model's weights; what is used twice is counted once.

    :ivar total: of all parameters and buffers.
    :ivar quantized: of quantized layers, their scales and zeros included.
    :ivar full_precision: of the linear layers in blocks that are not quantized.
    :ivar head: without what it shares with the embeddings.
    :ivar adapter: of an adapter, which PEFT keeps in a dtype of its own.
    :ivar other: norms and all the rest.
    :ivar parameters: how many weights there are, whatever they are packed into.
    :ivar linear_weights: how many of them are those of the linear layers in blocks, which a
        precision is about.
    :ivar linear_bytes: what these take with their scales and zeros: as stored, where the loaded
        layers hold them unpacked.
    """

    total: int
    quantized: int
    full_precision: int
    head: int
    embeddings: int
    adapter: int
    other: int
    parameters: int
    linear_weights: int
    linear_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits that a weight of the whole model takes."""
        return 8 * self.total / self.parameters

    @property
    def linear_bits_per_weight(self) -> float | None:
        """Bits that a weight of the linear layers in blocks takes; ``None`` without such layers."""
        return 8 * self.linear_bytes / self.linear_weights if self.linear_weights else None

    def as_dict(self) -> dict[str, int]:
        """Return all fields, as JSON has it; the total as ``bytes``."""
        fields = dataclasses.asdict(self)
        return {"bytes": fields.pop("total"), **fields}


def linear_layers(model: Any) -> list[Layer]:
    """Return the linear layers of a model, in its own order.

    The experts of a mixture that are one tensor of three dimensions are one layer.

    :param model: a ``torch.nn.Module`` of transformers, with or without an adapter.
    """
    head, adapters = _output_embeddings(model), is_adapter(model)
    formats, layers = special_first(), []
    for name, module in model.named_modules():
        known = _known(module, formats)
        if known is not None:
            method, facts = known
            held = sum(tensor.nbytes for tensor in held_tensors(module))
            role: Role = "adapter" if adapters(name) else _role(name, module is head)
            layers.append(
                Layer(
                    **vars(facts),
                    name=name,
                    kernel=type(module).__name__,
                    role=role,
                    method=method,
                    bytes=held,
                    bias_bytes=bias_bytes(module),
                )
            )
        elif in_block(name):
            layers += [
                Layer(
                    name=f"{name}.{own}",
                    kernel=type(module).__name__,
                    role="block",
                    method=PLAIN,
                    bits=8 * weight.element_size(),
                    dtype=dtype_name(weight.dtype),
                    in_features=weight.shape[2],
                    out_features=weight.shape[0] * weight.shape[1],
                    bytes=weight.nbytes,
                )
                for own, weight in _experts(module)
            ]
    return layers


def embedding_names(model: Any) -> list[str]:
    """Return the names of a model's embeddings."""
    return [name for name, module in model.named_modules() if _is_embedding(module)]


def weights_of_blocks(layers: Iterable[Layer]) -> dict[str, int]:
    """Return what :class:`WeightBytes` says of the linear layers in blocks alone."""
    own = [layer for layer in layers if layer.role == "block"]
    return {
        "linear_weights": sum(layer.weights for layer in own),
        "linear_bytes": sum(layer.weight_bytes for layer in own),
    }


def weights(model: Any) -> WeightBytes:
    """Return what a model's weights take, wherever they lie."""
    layers = linear_layers(model)
    linear = {layer.name: layer for layer in layers}
    modules = sorted(model.named_modules(), key=lambda item: not _is_embedding(item[1]))
    adapters = is_adapter(model)
    parts = ("quantized", "full_precision", "head", "embeddings", "adapter", "other")
    sizes = dict.fromkeys(parts, 0)
    seen: set[Any] = set()
    parameters = 0
    for name, module in modules:
        layer = linear.get(name)
        if adapters(name):
            part = "adapter"
        elif _is_embedding(module):
            part = "embeddings"
        elif layer is None:
            part = "full_precision" if _experts(module) and in_block(name) else "other"
        elif layer.quantized:
            part = "quantized"
        elif layer.role == "head":
            part = "head"
        else:
            part = "full_precision" if layer.role == "block" else "other"
        new = [tensor for tensor in held_tensors(module) if place(tensor) not in seen]
        seen.update(map(place, new))
        sizes[part] += sum(tensor.nbytes for tensor in new)
        if layer is not None and layer.quantized:
            bias = getattr(module, "bias", None)
            parameters += layer.in_features * layer.out_features
            parameters += 0 if bias is None else bias.numel()
        else:
            own = {place(tensor) for tensor in module.parameters(recurse=False)}
            parameters += sum(tensor.numel() for tensor in new if place(tensor) in own)
    return WeightBytes(
        total=sum(sizes.values()), parameters=parameters, **sizes, **weights_of_blocks(layers)
    )


def bias_bytes(module: Any) -> int:
    """Return the bytes of a linear layer's bias; 0 where it has none."""
    bias = getattr(module, "bias", None)
    return int(getattr(bias, "nbytes", 0))


def dtype_name(dtype: Any) -> str:
    """Return the name of a ``torch.dtype`` without its package."""
    return str(dtype).removeprefix("torch.")


# ---------------------------------------------------------------------- one module
def _known(module: Any, formats: Sequence[Format]) -> tuple[str, LayerFacts] | None:
    """Return the method and the facts of a linear layer; ``None`` where it is none."""
    for one in formats:
        if (facts := one.layer_facts(module)) is not None:
            return one.name, facts
    inputs, outputs = (getattr(module, name, None) for name in ("in_features", "out_features"))
    if not isinstance(inputs, int) or not isinstance(outputs, int):
        return None
    if hasattr(module, "base_layer") or not any(True for _ in held_tensors(module)):
        return None
    # Linear, but in a form that no format knows.
    bits = getattr(module, "bits", None)
    return OTHER, LayerFacts(inputs, outputs, bits if isinstance(bits, int) else None)


def _experts(module: Any) -> list[tuple[str, Any]]:
    return [
        (name, weight)
        for name, weight in module.named_parameters(recurse=False, remove_duplicate=False)
        if weight.is_floating_point() and weight.dim() == 3 and min(weight.shape) > 1
    ]


def _role(name: str, is_head: bool) -> Role:
    if is_head:
        return "head"
    return "block" if in_block(name) else "other"


def _output_embeddings(model: Any) -> Any:
    find = getattr(model, "get_output_embeddings", None)
    return find() if callable(find) else None


def _is_embedding(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Embedding)
