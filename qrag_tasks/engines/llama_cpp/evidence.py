"""What is known of a GGUF file's weights, as results have it: read in its header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from qrag_tasks.arms.formats.facts import PLAIN, Precision
from qrag_tasks.arms.formats.gguf import FLOATS, Gguf, matrices
from qrag_tasks.arms.gguf_files import GgufFile, GgufTensor
from qrag_tasks.arms.layers import WeightBytes
from qrag_tasks.arms.verification import LayerKind, VerifiedArm

_BITS = re.compile(r"\d+")
_MAKES_CACHE = re.compile(r"^blk\.\d+\.attn_[kv]\.weight$")
HEAD, EMBEDDINGS = "output.weight", "token_embd.weight"
"""Their names in a file; of a model that has one matrix for both, the second."""


def arm_of(file: GgufFile, row: Precision) -> dict[str, Any]:
    """Return what is known of a file's weights, as JSON has it.

    Beside what :class:`~qrag_tasks.arms.verification.VerifiedArm` says of every arm,
    ``tensor_kinds`` has each of ggml's kinds with its tensors, bytes, share of all bytes and bits
    a weight, scales included.
    """
    in_blocks = matrices(file)
    arm = VerifiedArm(
        row.name,
        tuple(Counter(map(_kind, in_blocks)).items()),
        adapter={},
        unquantized=_unquantized(file) if row.quant_type not in ("f32", "f16", "bf16") else (),
        weights=_weights(file, in_blocks),
    )
    kinds = dict.fromkeys(tensor.kind for tensor in file.tensors)
    by_kind = {kind: [t for t in file.tensors if t.kind == kind] for kind in kinds}
    return {
        **arm.as_dict(),
        "tensor_kinds": {
            kind: {
                "tensors": len(tensors),
                "bytes": _bytes(tensors),
                "share": _bytes(tensors) / file.bytes,
                "bits_per_weight": _bits(tensors),
            }
            for kind, tensors in by_kind.items()
        },
        "architecture": file.architecture,
    }


def summary(arm: Mapping[str, Any]) -> str:
    """Return one line for the log."""
    shares = ", ".join(
        f"{kind} {facts['share']:.1%} ({facts['tensors']} tensors)"
        for kind, facts in sorted(arm["tensor_kinds"].items(), key=lambda item: -item[1]["bytes"])
    )
    size = arm["weights"]["bytes"] / 1e6
    return f"{size:,.1f} MB, {arm['bits_per_weight']:.2f} bits a weight: {shares}"


def cached_numbers(file: GgufFile) -> int:
    """Return the numbers of a token's keys and values, in all layers; 0 where it is not known."""
    kept = [t for t in file.tensors if _MAKES_CACHE.search(t.name)]
    return sum(tensor.shape[0] for tensor in kept)


def _kind(tensor: GgufTensor) -> LayerKind:
    plain = tensor.kind in FLOATS
    bits = _BITS.search(tensor.kind)
    return LayerKind(
        "llama.cpp",
        PLAIN if plain else Gguf.name,
        int(bits.group()) if bits else None,
        None if plain else tensor.kind,
        None,
        FLOATS.get(tensor.kind),
    )


def _unquantized(file: GgufFile) -> tuple[str, ...]:
    """Return the names of the matrices, embeddings and head included, that are plain."""
    return tuple(t.name for t in file.tensors if len(t.shape) > 1 and t.kind in FLOATS)


def _weights(file: GgufFile, in_blocks: Sequence[GgufTensor]) -> WeightBytes:
    plain = [tensor for tensor in in_blocks if tensor.kind in FLOATS]
    packed = [tensor for tensor in in_blocks if tensor.kind not in FLOATS]
    head = [tensor for tensor in file.tensors if tensor.name == HEAD]
    embeddings = [tensor for tensor in file.tensors if tensor.name == EMBEDDINGS]
    named = sum(map(_bytes, (plain, packed, head, embeddings)))
    return WeightBytes(
        total=file.bytes,
        quantized=_bytes(packed),
        full_precision=_bytes(plain),
        head=_bytes(head),
        embeddings=_bytes(embeddings),
        adapter=0,
        other=file.bytes - named,
        parameters=_count(file.tensors),
        linear_weights=_count(in_blocks),
        linear_bytes=_bytes(in_blocks),
    )


def _bytes(tensors: Iterable[GgufTensor]) -> int:
    return sum(tensor.bytes for tensor in tensors)


def _count(tensors: Iterable[GgufTensor]) -> int:
    return sum(prod(tensor.shape) for tensor in tensors)


def _bits(tensors: Sequence[GgufTensor]) -> float:
    return 8 * _bytes(tensors) / _count(tensors)
