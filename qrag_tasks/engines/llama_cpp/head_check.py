"""A first pass that compares one kernel of llama.cpp with the weights that it should compute with.

llama.cpp shows what goes into a model's head, and the logits that come out; the weights between
them are read from the file and unpacked by their kind's formula, which is the package ``gguf``'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qrag_tasks.arms.formats.base import WITH_ACTIVATIONS
from qrag_tasks.arms.formats.gguf import FLOATS
from qrag_tasks.arms.gguf_files import GgufFile, GgufTensor
from qrag_tasks.arms.smoke import SmokeResult
from qrag_tasks.engines.llama_cpp.evidence import EMBEDDINGS, HEAD
from qrag_tasks.engines.llama_cpp.native import Native
from qrag_tasks.errors import ModelError

TOKENS = 8
ROWS = 1024
"""Of the head: spread over the vocabulary, as to unpack all of a large one takes seconds."""
SAME = 1e-4
"""Sums of float32 in another order."""
# Architectures with one of these change logits after the head.
_AFTERWARDS = ("logit_scale", "final_logit_softcapping")


def check_head(native: Native, file: GgufFile) -> SmokeResult | None:
    """Run some tokens, and compare their logits with the head's unpacked weights.

    Kernels of quantized matrices round activations to 8 bits.

    :returns: ``None`` where the architecture does more to logits than its head says.
    :raises ModelError: when the kernel computes something else than its weights say.
    """
    if any(f"{file.architecture}.{name}" in file.metadata for name in _AFTERWARDS):
        return None
    by_name = {tensor.name: tensor for tensor in file.tensors}
    head = by_name.get(HEAD) or by_name.get(EMBEDDINGS)
    if head is None or "output.bias" in by_name:
        return None
    first = native.vocabulary // 2
    inputs, logits = native.around_head(range(first, min(first + TOKENS, native.vocabulary)))
    rows = np.unique(np.linspace(0, head.shape[0] - 1, ROWS, dtype=int))
    expected = inputs @ _unpacked(head, rows).T
    error = np.linalg.norm(logits[:, rows] - expected) / np.linalg.norm(expected)
    tolerance = SAME if head.kind == "F32" else WITH_ACTIVATIONS
    result = SmokeResult(head.name, f"llama.cpp, {head.kind}", float(error), tolerance)
    if not result.error <= tolerance:
        raise ModelError(
            f"pretrained={file.path}: llama.cpp's kernel of {head} computes something else than "
            f"its weights say: relative error {result.error:.2g}, where {tolerance:.2g} is "
            f"allowed. Its answers would mean nothing; take another version of llama-cpp-python"
        )
    return result


def _unpacked(tensor: GgufTensor, rows: Any) -> Any:
    """Return rows of a matrix in float32."""
    from gguf import GGMLQuantizationType, dequantize

    part, begin = tensor.place
    shape = (tensor.shape[0], tensor.bytes // tensor.shape[0])
    packed = np.memmap(part, np.uint8, "r", begin, shape)[rows]
    if tensor.kind in FLOATS and tensor.kind != "BF16":
        return packed.view(np.dtype(FLOATS[tensor.kind])).astype(np.float32)
    return dequantize(packed, GGMLQuantizationType[tensor.kind])
