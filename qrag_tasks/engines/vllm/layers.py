"""What vLLM has loaded, layer by layer; read where the model lies.

vLLM merges layers that read the same input, as a block's query, key and value. Each is listed as
the layers that it was merged from, by the names that transformers gives them, so that the arms of
two engines can be compared; the bytes of a merged layer are shared out by their rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qrag_tasks.arms.components import digest_of, tensor_content, weights_digest
from qrag_tasks.arms.formats.facts import OTHER, PLAIN
from qrag_tasks.arms.layers import (
    Layer,
    Role,
    WeightBytes,
    bias_bytes,
    dtype_name,
    weights_of_blocks,
)
from qrag_tasks.arms.module_names import in_block
from qrag_tasks.engines.vllm.compressed import bytes_taken, facts_of, rounds_activations

_FP8_KINDS: Mapping[str, str | None] = {
    "Fp8PerTensorOnlineLinearMethod": None,
    "Fp8PtpcOnlineLinearMethod": "channel",
    "Fp8PerBlockOnlineLinearMethod": "block",
}
"""vLLM's class of what makes 8-bit floating point on loading -> ``quant_type`` of the row."""
_METHODS: Mapping[str, str] = {
    "UnquantizedLinearMethod": PLAIN,
    "BitsAndBytesLinearMethod": "bitsandbytes",
    **dict.fromkeys(_FP8_KINDS, "fp8"),
    **dict.fromkeys(("AutoGPTQLinearMethod", "GPTQMarlinLinearMethod", "GPTQLinearMethod"), "gptq"),
    **dict.fromkeys(("AutoAWQMarlinLinearMethod", "AutoAWQLinearMethod"), "awq"),
    **dict.fromkeys(("AWQMarlinLinearMethod", "AWQLinearMethod"), "awq"),
}
"""vLLM's class of what computes a layer -> the format that it computes."""
_INNER_METHODS = ("linear_method", "inner_method")
"""Where the scheme of an AutoRound checkpoint has what computes a layer; the second up to 0.24."""
# vLLM hands these layers their input in this dtype, whatever the model's.
_BITSANDBYTES_COMPUTES_IN = "bfloat16"
_STATES = "bnb_quant_state"


@dataclass(frozen=True)
class Loaded:
    """What one worker of vLLM has loaded.

    :ivar layers: its linear layers.
    :ivar weights: what all of it takes, wherever kernels have packed it.
    :ivar embeddings: names of the embeddings, the output head among them.
    :ivar dtypes: parameter -> dtype, of all that belong to no linear layer.
    :ivar classes: of all modules, and of what computes linear layers.
    :ivar attention: vLLM's names of its attention backends.
    :ivar digest: of all weights, bit by bit; ``None`` where a kernel has packed some of them into
        a place that cannot be read, as those for CPUs do.
    """

    layers: tuple[Layer, ...]
    weights: WeightBytes
    embeddings: tuple[str, ...]
    dtypes: Mapping[str, str]
    classes: tuple[str, ...]
    attention: tuple[str, ...]
    digest: str | None


def read(model: Any) -> Loaded:
    """Read all that a worker has loaded, for ``LLM.apply_model``.

    :param model: vLLM's ``torch.nn.Module``.
    """
    merged = getattr(model, "packed_modules_mapping", None) or {}
    parts = ("quantized", "full_precision", "head", "embeddings", "adapter", "other")
    sizes = dict.fromkeys(parts, 0)
    layers: list[Layer] = []
    embeddings: list[str] = []
    dtypes: dict[str, str] = {}
    classes: set[str] = set()
    attention: set[str] = set()
    seen: set[tuple[Any, ...]] = set()
    parameters, unreadable = 0, 0
    for name, module in model.named_modules():
        classes.update(map(_class_of, (module, *_computing(module))))
        backend: Any = getattr(module, "attn_backend", None)
        if hasattr(backend, "get_name"):
            attention.add(str(backend.get_name()))
        new: dict[str, Any] = {}
        for own, tensor in _held(module):
            place = (str(tensor.device), tensor.data_ptr(), tensor.shape, tensor.dtype)
            if tensor.numel() and place not in seen:
                seen.add(place)
                new[own] = tensor
        held = sum(tensor.nbytes + sum(map(_bytes, _states(tensor))) for tensor in new.values())
        found = _linear(name, module, merged) or _experts(name, module)
        if found:
            layers += found
            part = _part(found[0])
            parameters += sum(layer.in_features * layer.out_features for layer in found)
            if _packed_away(module):
                unreadable += 1
                held += _packed_bytes(module, found)
            if taken := bytes_taken(module, found):
                unreadable += 1
                held += taken
        else:
            part = "other"
            if _is_embedding(module):
                part = "head" if type(module).__name__ == "ParallelLMHead" else "embeddings"
                embeddings.append(name)
            for own, _ in module.named_parameters(recurse=False):
                if own in new:
                    parameters += new[own].numel()
                    if new[own].is_floating_point():
                        dtypes[f"{name}.{own}"] = dtype_name(new[own].dtype)
        sizes[part] += held
    return Loaded(
        layers=tuple(layers),
        weights=WeightBytes(
            total=sum(sizes.values()),
            parameters=parameters,
            **sizes,
            **weights_of_blocks(layers),
        ),
        embeddings=tuple(embeddings),
        dtypes=dtypes,
        classes=tuple(sorted(classes)),
        attention=tuple(sorted(attention)),
        digest=None if unreadable else _digest(model),
    )


# ---------------------------------------------------------------------- linear layers
def _linear(name: str, module: Any, merged: Mapping[str, Any]) -> list[Layer]:
    """Return the layers that one of vLLM's linear layers stands for; none where it is no such."""
    from vllm.model_executor.layers.linear import LinearBase

    if not isinstance(module, LinearBase):
        return []
    inputs = int(getattr(module, "input_size_per_partition", module.input_size))
    outputs = int(getattr(module, "output_size_per_partition", module.output_size))
    own = facts_of(module, dict(_held(module)), inputs, outputs)
    method, bits, quant_type, group_size, dtype = (
        (own.method, own.bits, own.quant_type, own.group_size, own.dtype)
        if own is not None
        else _facts(module, inputs, outputs)
    )
    held = sum(tensor.nbytes + sum(map(_bytes, _states(tensor))) for _, tensor in _held(module))
    before, _, last = name.rpartition(".")
    names = [f"{before}.{part}".lstrip(".") for part in merged.get(last, ())]
    rows = [int(rows) for rows in getattr(module, "output_partition_sizes", ())]
    if len(names) != len(rows) or sum(rows) != outputs:
        names, rows = [name], [outputs]
    if _packed_away(module):
        held += inputs * outputs * module.weight.element_size()
    held += own.unread if own is not None else 0
    return [
        Layer(
            in_features=inputs,
            out_features=count,
            bits=bits,
            quant_type=quant_type,
            group_size=group_size,
            dtype=dtype,
            details=own.details if own is not None and own.details else None,
            name=each,
            kernel=_kernel(module),
            role=_role(name),
            method=method,
            bytes=held * count // max(outputs, 1),
            bias_bytes=bias_bytes(module) * count // max(outputs, 1),
        )
        for each, count in zip(names, rows, strict=True)
    ]


def _facts(
    module: Any, inputs: int, outputs: int
) -> tuple[str, int | None, str | None, int | None, str | None]:
    """Return method, bits, kind, group size and dtype, by what the tensors of a layer are.

    The class of what computes it names the method; bits are those that its largest tensor has for
    a weight, whatever the class claims.
    """
    method = _METHODS.get(type(_method_of(module)).__name__, OTHER)
    method = OTHER if rounds_activations(module) else method
    tensors = dict(_held(module))
    if method == PLAIN:
        weight: Any = tensors.get("weight")
        plain = weight is not None and weight.is_floating_point() and weight.element_size() > 1
        whole = plain and (weight.numel() == inputs * outputs or _packed_away(module))
        if not whole:
            return OTHER, None, None, None, None
        return PLAIN, 8 * weight.element_size(), None, None, dtype_name(weight.dtype)
    main = max(tensors.values(), key=_bytes, default=None)
    if main is None:
        return OTHER, None, None, None, None
    bits = round(8 * main.nbytes / (inputs * outputs))
    if method == "bitsandbytes":
        states = list((getattr(main, _STATES, None) or {}).values())
        kinds = {getattr(state, "quant_type", None) for state in states}
        blocks = {getattr(state, "blocksize", None) for state in states}
        kind = kinds.pop() if len(kinds) == 1 else None
        block = blocks.pop() if len(blocks) == 1 else None
        return method, bits, kind, block, _BITSANDBYTES_COMPUTES_IN
    if method == "fp8":
        # Where a GPU has no arithmetic in 8 bits, the weights alone are in them.
        kind = _FP8_KINDS[type(module.quant_method).__name__]
        kind = kind if "float8" in str(main.dtype) else "weights-only"
        return method, bits, kind, None, dtype_name(main.dtype)
    scales = tensors.get("scales")
    if scales is None or main.is_floating_point():
        return OTHER, bits, None, None, None
    groups = max(1, scales.numel() // outputs)
    return method, bits, None, inputs // groups, dtype_name(scales.dtype)


def _experts(name: str, module: Any) -> list[Layer]:
    """Return the experts of a mixture, which vLLM keeps in tensors of three dimensions."""
    method = getattr(module, "quant_method", None)
    if method is None or "MoE" not in type(method).__name__ or not in_block(name):
        return []
    plain = type(method).__name__.startswith("Unquantized")
    return [
        Layer(
            in_features=int(weight.shape[2]),
            out_features=int(weight.shape[0] * weight.shape[1]),
            bits=8 * weight.element_size() if plain else None,
            dtype=dtype_name(weight.dtype),
            name=f"{name}.{own}",
            kernel=type(method).__name__,
            role="block",
            method=PLAIN if plain and weight.is_floating_point() else OTHER,
            bytes=weight.nbytes,
        )
        for own, weight in module.named_parameters(recurse=False)
        if weight.dim() == 3
    ]


def _packed_away(module: Any) -> bool:
    """Tell whether a kernel has taken the weight of a plain layer, and left an empty one."""
    weight = getattr(module, "weight", None)
    return (
        type(getattr(module, "quant_method", None)).__name__ == "UnquantizedLinearMethod"
        and weight is not None
        and weight.numel() == 0
        and callable(getattr(module, "cpu_linear", None))
    )


def _packed_bytes(module: Any, layers: list[Layer]) -> int:
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    return weights * int(module.weight.element_size())


def _part(layer: Layer) -> str:
    if layer.quantized:
        return "quantized"
    return "full_precision" if layer.role == "block" else "other"


def _role(name: str) -> Role:
    return "block" if in_block(name) else "other"


# ---------------------------------------------------------------------- modules and tensors
def _kernel(module: Any) -> str:
    names = " with ".join(type(one).__name__ for one in _computing(module))
    return f"{names}, activations rounded to 8 bits" if rounds_activations(module) else names


def _computing(module: Any) -> Iterator[Any]:
    """Yield what computes a layer: its method, and that one's kernels."""
    method = _method_of(module)
    if method is None:
        return
    yield method
    scheme = getattr(module, "scheme", None)
    of_scheme = () if scheme is None else vars(scheme).values()
    for value in (*vars(method).values(), *vars(module).values(), *of_scheme):
        if type(value).__module__.startswith("vllm.model_executor.kernels."):
            yield value


def _method_of(module: Any) -> Any:
    """Return what computes a layer; of AutoRound's checkpoints, that is inside of what is named."""
    method = getattr(module, "quant_method", None)
    scheme = getattr(method, "scheme", None)
    inner = (getattr(scheme, name, None) for name in _INNER_METHODS)
    return next((each for each in inner if each is not None), method)


def _is_embedding(module: Any) -> bool:
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    return isinstance(module, VocabParallelEmbedding)


def _held(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _states(tensor: Any) -> Iterator[Any]:
    """Yield the tensors that bitsandbytes needs beside packed codes."""
    for state in (getattr(tensor, _STATES, None) or {}).values():
        for owner in (state, getattr(state, "state2", None)):
            for value in vars(owner).values() if owner is not None else ():
                if hasattr(value, "data_ptr"):
                    yield value


def _bytes(tensor: Any) -> int:
    return int(tensor.nbytes)


def _class_of(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _digest(model: Any) -> str:
    """Return a sha256 over all weights, and what bitsandbytes keeps beside them."""
    beside = [
        [name, tensor_content(each)]
        for name, tensor in model.named_parameters()
        for each in _states(tensor)
    ]
    return digest_of([weights_digest(model), beside])
