"""What the linear layers of a loaded model are, and how many bytes the model's weights take."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Any, Literal

from qrag_tasks.arms.adapters import is_adapter
from qrag_tasks.arms.module_tensors import held_tensors, place
from qrag_tasks.arms.precisions import Method
from qrag_tasks.arms.stored_layers import in_block

Role = Literal["block", "head", "adapter", "other"]


@dataclass(frozen=True)
class Layer:
    """One linear layer.

    :ivar kernel: name of its class.
    :ivar role: ``block`` for those of a transformer block.
    :ivar method: who quantized it; ``other`` for what is neither plain nor known.
    :ivar bits: of a weight.
    :ivar quant_type: bitsandbytes' 4-bit data type.
    :ivar group_size: weights that share a scale; ``None`` where a row does, or nothing.
    :ivar dtype: as torch names it: of an unquantized layer's weights, of GPTQ's and AWQ's scales;
        in which bitsandbytes computes.
    :ivar bytes: of all it holds: weights, scales, zeros, bias.
    """

    name: str
    kernel: str
    role: Role
    method: Method | Literal["other"]
    bits: int | None
    quant_type: str | None
    group_size: int | None
    dtype: str | None
    in_features: int
    out_features: int
    bytes: int

    @property
    def quantized(self) -> bool:
        """Whether its weights are anything but plain floating-point numbers."""
        return self.method != "none"

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
    """

    total: int
    quantized: int
    full_precision: int
    head: int
    embeddings: int
    adapter: int
    other: int
    parameters: int

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
    found = []
    for name, module in model.named_modules():
        facts = _facts(module)
        if facts is not None:
            held = sum(tensor.nbytes for tensor in held_tensors(module))
            role: Role = "adapter" if adapters(name) else _role(name, module is head)
            found.append(Layer(name, type(module).__name__, role, *facts, bytes=held))
        elif in_block(name):
            found += [
                Layer(
                    name=f"{name}.{own}",
                    kernel=type(module).__name__,
                    role="block",
                    method="none",
                    bits=8 * weight.element_size(),
                    quant_type=None,
                    group_size=None,
                    dtype=dtype_name(weight.dtype),
                    in_features=weight.shape[2],
                    out_features=weight.shape[0] * weight.shape[1],
                    bytes=weight.nbytes,
                )
                for own, weight in _experts(module)
            ]
    return found


def embedding_names(model: Any) -> list[str]:
    """Return the names of a model's embeddings."""
    return [name for name, module in model.named_modules() if _is_embedding(module)]


def weights(model: Any) -> WeightBytes:
    """Return what a model's weights take, wherever they lie."""
    linear = {layer.name: layer for layer in linear_layers(model)}
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
    return WeightBytes(total=sum(sizes.values()), parameters=parameters, **sizes)


def dtype_name(dtype: Any) -> str:
    """Return the name of a ``torch.dtype`` without its package."""
    return str(dtype).removeprefix("torch.")


# ---------------------------------------------------------------------- one module
_Facts = tuple[Any, int | None, str | None, int | None, str | None, int, int]


def _facts(module: Any) -> _Facts | None:
    """Return method, bits, data type, group size, dtype, inputs and outputs of a linear layer."""
    import torch

    # A quantizer that nobody has imported has no layers here.
    bitsandbytes = sys.modules.get("bitsandbytes")
    gptqmodel = sys.modules.get("gptqmodel.nn_modules.qlinear")
    transformers = sys.modules.get("transformers.pytorch_utils")
    if bitsandbytes is not None and (kind := _of_bitsandbytes(module, bitsandbytes.nn)):
        return (*kind, module.in_features, module.out_features)
    if gptqmodel is not None and isinstance(module, gptqmodel.BaseQuantLinear):
        return _of_gptqmodel(module)
    if isinstance(module, torch.nn.Linear):
        return (*_plain(module.weight), module.in_features, module.out_features)
    if transformers is not None and isinstance(module, transformers.Conv1D):
        return (*_plain(module.weight), *module.weight.shape)
    features = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if all(isinstance(n, int) for n in features) and not hasattr(module, "base_layer"):
        return _foreign(module, *features)
    return None


def _of_bitsandbytes(module: Any, classes: Any) -> Any:
    import torch

    if isinstance(module, classes.Linear4bit):
        state = getattr(module.weight, "quant_state", None)
        if state is not None:
            dtype = dtype_name(module.compute_dtype or state.dtype)
            return "bitsandbytes", 4, state.quant_type, state.blocksize, dtype
    elif isinstance(module, classes.Linear8bitLt) and module.weight.dtype == torch.int8:
        # Whatever it is given, it casts to float16.
        return "bitsandbytes", 8, None, None, "float16"
    return None


def _plain(weight: Any) -> Any:
    import torch

    is_plain = type(weight.data) is torch.Tensor and weight.dtype.itemsize > 1
    if is_plain and weight.is_floating_point():
        return "none", 8 * weight.element_size(), None, None, dtype_name(weight.dtype)
    return "other", None, None, None, None


def _of_gptqmodel(module: Any) -> _Facts:
    methods = {getattr(method, "value", method) for method in module.SUPPORTS_METHODS or ()}
    method = next((name for name in ("gptq", "awq") if name in methods), "other")
    scales = getattr(module, "scales", None)
    return (
        method,
        module.bits,
        None,
        getattr(module, "group_size", None),
        None if scales is None else dtype_name(scales.dtype),
        module.in_features,
        module.out_features,
    )


def _foreign(module: Any, inputs: Any, outputs: Any) -> _Facts | None:
    """Tell of a layer that is no ``torch.nn.Linear``, AutoAWQ's own among them."""
    if not any(True for _ in held_tensors(module)):
        return None
    if type(module).__module__.startswith("awq.") and hasattr(module, "w_bit"):
        dtype = dtype_name(module.scales.dtype)
        return "awq", module.w_bit, None, module.group_size, dtype, inputs, outputs
    bits = getattr(module, "bits", None)
    return "other", bits if isinstance(bits, int) else None, None, None, None, inputs, outputs


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
