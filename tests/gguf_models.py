"""Models of transformers, written as GGUF files."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.formats.gguf import MIXTURES
from qrag_tasks.arms.gguf_files import UNUSED
from qrag_tasks.engines.base import Engine
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES

NORMAL, CONTROL = 1, 3
"""What tokens are, as llama.cpp numbers it."""


def write_gguf(
    folder: Path,
    file: Path,
    file_type: str = "f32",
    *,
    metadata: Mapping[str, Any] | None = None,
    change: Callable[[str, Any], Any] | None = None,
    plain: Collection[str] = (),
    tensors_a_part: int = 0,
) -> Path:
    """Write a Llama or a Qwen2 with byte-level BPE as a GGUF file, as llama.cpp's converter does.

    :param folder: of the checkpoint and its tokenizer.
    :param file_type: all matrices are in its base: ``f32``, ``f16``, ``bf16``, ``q8_0``, ``q4_0``.
    :param metadata: values that the file is to have otherwise; without those that are ``None``.
    :param change: (name, float32 array) -> the array that is written.
    :param plain: names of the matrices that stay in float32.
    :param tensors_a_part: how many of a model that is split; it is not, by default.
    :returns: the file, or its first part.
    """
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    architecture, base = config["model_type"], MIXTURES[file_type].base
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    hidden = config["hidden_size"]
    values: dict[str, Any] = {
        "general.file_type": MIXTURES[file_type].number,
        "context_length": config["max_position_embeddings"],
        "embedding_length": hidden,
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.freq_base": float(_rope_base(config)),
        "rope.dimension_count": config.get("head_dim") or hidden // heads,
        **_vocabulary(folder, config["vocab_size"]),
        **(metadata or {}),
    }
    writer = gguf.GGUFWriter(file, architecture, split_max_tensors=tensors_a_part)
    for name, value in values.items():
        key = name if name.startswith(("general.", "tokenizer.")) else f"{architecture}.{name}"
        if value is not None:
            _adder(writer, value)(key, value)
    names = gguf.get_tensor_name_map(
        {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}[architecture],
        config["num_hidden_layers"],
    )
    for name, array in _weights(folder).items():
        if config.get("tie_word_embeddings") and name == "lm_head.weight":
            continue
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            array = _interleaved(array, heads if "q_proj" in name else kv_heads)
        written = names.get_name(name, try_suffixes=(".weight", ".bias"))
        array = array if change is None else change(written, array)
        packed = array.ndim > 1 and written not in plain
        kind = gguf.GGMLQuantizationType[base if packed else "F32"]
        writer.add_tensor(written, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(file.parent.glob(f"{file.stem}-00001-of-*.gguf"))
    return parts[0] if tensors_a_part else file


def quantize_gguf(source: Path, file: Path, file_type: str, *, pure: bool = False) -> Path:
    """Have llama.cpp make a mixture of a file in 32 or 16 bits.

    :param pure: whether all matrices are to be in the mixture's base.
    """
    import llama_cpp

    from qrag_tasks.engines.llama_cpp import messages

    messages.listen()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.pure = MIXTURES[file_type].number, 1, pure
    state = llama_cpp.llama_model_quantize(str(source).encode(), str(file).encode(), params)
    assert state == 0, messages.ERRORS
    return file


def load_gguf(file: Path, **arguments: Any) -> Engine:
    """Load a file in llama.cpp; further arguments are the engine's."""
    given = {"pretrained": str(file), **arguments}
    factory = ENGINES.get("llama_cpp").value
    factory.check(given)
    return factory.load(given, Meter(checked_device("cpu")))


def _adder(writer: Any, value: Any) -> Any:
    if isinstance(value, bool):
        return writer.add_bool
    if isinstance(value, int):
        return writer.add_uint32
    if isinstance(value, float):
        return writer.add_float32
    return writer.add_string if isinstance(value, str) else writer.add_array


def _rope_base(config: Mapping[str, Any]) -> float:
    parameters = config.get("rope_parameters") or {}
    return float(parameters.get("rope_theta") or config.get("rope_theta") or 10_000.0)


def _weights(folder: Path) -> dict[str, Any]:
    """Return all weights in float32; numpy has no bfloat16."""
    import torch
    from safetensors.torch import load_file

    loaded = {}
    for file in sorted(folder.glob("*.safetensors")):
        loaded |= load_file(file)
    return {name: tensor.to(torch.float32).numpy() for name, tensor in loaded.items()}


def _interleaved(weight: Any, heads: int) -> Any:
    """Return rows of queries or keys in the order of llama.cpp's Llama.

    It turns neighbours by an angle, where transformers turns the one half of a head by the other.
    """
    rows, inputs = weight.shape
    parted = weight.reshape(heads, 2, rows // heads // 2, inputs)
    return np.ascontiguousarray(parted.swapaxes(1, 2).reshape(rows, inputs))


def _vocabulary(folder: Path, size: int) -> dict[str, Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    known = tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))
    # Some vocabularies are filled up to a round number.
    pieces = [*known, *(f"[PAD{token}]" for token in range(len(known), size))]
    kinds = [CONTROL if token in special else NORMAL for token in range(len(known))]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": [*kinds, *[UNUSED] * (size - len(known))],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.ggml.bos_token_id": tokenizer.bos_token_id,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": tokenizer.chat_template,
    }
