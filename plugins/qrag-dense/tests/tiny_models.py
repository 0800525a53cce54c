"""Random models that are quick to save and load, and what plain numpy makes of their states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
    PreTrainedTokenizerFast,
)
from words import WORDS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
CYRILLIC = "".join(map(chr, range(ord("а"), ord("я") + 1)))
GREEK = "".join(map(chr, range(ord("α"), ord("ω") + 1)))
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 96,
}


def save_tokenizer(folder: Path) -> int:
    """Save a lower-casing WordPiece tokenizer of :data:`WORDS` and letters; return its size."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:!?" + CYRILLIC + GREEK
    entries = [*SPECIAL, *WORDS, *(c for c in letters if c != "a"), *(f"##{c}" for c in letters)]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
    return len(vocabulary)


def save_bert(folder: Path, seed: int = 0) -> Path:
    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    # Larger than usual, so that different texts get clearly different vectors.
    BertModel(BertConfig(vocab_size=size, initializer_range=0.3, **SHAPE)).save_pretrained(folder)
    return folder


def save_dpr(folder: Path, kind: str, seed: int) -> Path:
    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    encoder = {"question": DPRQuestionEncoder, "context": DPRContextEncoder}[kind]
    encoder(DPRConfig(vocab_size=size, initializer_range=0.3, **SHAPE)).save_pretrained(folder)
    return folder


def save_sentence_config(folder: Path, **config: Any) -> None:
    """Write a sentence-transformers config beside a model."""
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(config), encoding="utf-8")


def reference(
    folder: Path, texts: Sequence[str], pooling: str, kind: str = "AutoModel", max_tokens: int = 96
) -> np.ndarray:
    """Return the vectors of texts by numpy from the model's states, all padded to one length."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
    tokens = tokenizer(
        list(texts), padding=True, truncation=True, max_length=max_tokens, return_tensors="pt"
    )
    with torch.inference_mode():
        out = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            output_hidden_states=True,
        )
    states = out.hidden_states[-1].numpy()
    mask = tokens["attention_mask"].numpy()[..., None]
    if pooling == "mean":
        return (states * mask).sum(axis=1) / mask.sum(axis=1)
    if pooling == "cls" or kind.startswith("DPR"):
        return states[:, 0]
    dense = model.pooler.dense
    weight, bias = dense.weight.detach().numpy(), dense.bias.detach().numpy()
    return np.tanh(states[:, 0] @ weight.T + bias)
