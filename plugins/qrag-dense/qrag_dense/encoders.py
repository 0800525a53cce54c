"""Loaded encoders: texts in, vectors out. The only module that imports transformers.

An encoder is only ever given texts of equal token counts together, so nothing is padded: no work
goes into padding, and the vector of a text does not depend on the lengths of its company. What is
left is the rounding of kernels that are chosen by the size of a batch: in float32 on a CPU we saw
none from 8 tokens on, and some in the last bits below. Texts that the tokenizer sees alike are
encoded as one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from qrag_tasks.errors import RetrieverError

from qrag_dense.models import Model, read_config
from qrag_dense.specs import EncoderSpec

# These count positions from behind the padding index, so two of them are never used.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
_TOKENIZED_AT_ONCE = 1024

Tokens = tuple[int | str, ...]
"""What a model sees of a text: equal tokens, equal vectors."""


class Encoder(Protocol):
    """A loaded model that turns texts into vectors."""

    def tokens(self, texts: Sequence[str], prompt: str) -> list[Tokens]:
        """Return what the model sees of each text with its prompt, after cutting."""
        ...

    def encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Return one vector a text, shape ``(len(texts), dimensions)``.

        :param texts: with equal numbers of :meth:`tokens`.
        """
        ...


class TransformerEncoder:
    """A plain transformer, pooled by us.

    :param model: on its device, in its precision.
    :param tokenizer: the model's.
    :param pooling: ``mean``, ``cls`` or ``pooler``.
    :param max_tokens: texts are cut after so many tokens.
    """

    def __init__(self, model: Any, tokenizer: Any, pooling: str, max_tokens: int | None) -> None:
        self._max_tokens = max_tokens
        self._model = model
        self._tokenizer = tokenizer
        self._pooling = pooling

    def tokens(self, texts: Sequence[str], prompt: str) -> list[Tokens]:
        """Return the tokens of each text; see :class:`Encoder`."""
        return [tuple(ids) for ids in self._ids(texts, prompt)]

    def encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Return one vector a text; see :class:`Encoder`."""
        ids = torch.tensor(self._ids(texts, prompt), dtype=torch.long, device=self._model.device)
        if not ids.shape[1]:
            # A tokenizer without special tokens makes nothing of an empty text.
            return np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        with torch.inference_mode():
            output = self._model(input_ids=ids, attention_mask=torch.ones_like(ids))
        if self._pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                kind = type(self._model).__name__
                raise RetrieverError(
                    f"pooling is 'pooler', but a {kind} has none: take mean or cls"
                )
            pooled = output.pooler_output.float()
        else:
            states = output.last_hidden_state.float()  # (texts, tokens, dimensions)
            # No token is padding, so the mean over the attention mask is the mean over all.
            pooled = states[:, 0] if self._pooling == "cls" else states.mean(dim=1)
        vectors: NDArray[np.float32] = pooled.cpu().numpy()
        return vectors

    def _ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        told = self._tokenizer(
            [prompt + text for text in texts],
            truncation=self._max_tokens is not None,
            max_length=self._max_tokens,
            verbose=False,
        )
        ids: list[list[int]] = told["input_ids"]
        return ids


class SentenceEncoder:
    """A sentence-transformers model; its own modules pool and normalize.

    :param model: a ``SentenceTransformer``, on its device, in its precision.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def tokens(self, texts: Sequence[str], prompt: str) -> list[Tokens]:
        """Return the tokens of each text; see :class:`Encoder`."""
        tokenize = getattr(self._model, "preprocess", None) or self._model.tokenize
        features = tokenize([prompt + text for text in texts])
        if "attention_mask" not in features:
            # Static embeddings sum words and have nothing to pad, so any batch will do.
            return [(text,) for text in texts]
        return [
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(features["input_ids"], features["attention_mask"], strict=True)
        ]

    def encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Return one vector a text; see :class:`Encoder`."""
        vectors = self._model.encode(
            list(texts),
            # Not None, which would stand for the model's default prompt.
            prompt=prompt,
            batch_size=len(texts),
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def load_encoder(source: Model, spec: EncoderSpec, device: str, dtype: str) -> Encoder:
    """Load a model.

    :param device: ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    :param dtype: ``float32``, ``float16`` or ``bfloat16``.
    :raises RetrieverError: when it cannot be loaded, or changed on disk meanwhile.
    """
    folder = source.folder()
    modular = spec.pooling == "auto" and bool(source.config("modules.json"))
    try:
        if modular:
            encoder = _load_sentence_encoder(source, folder, spec, device, dtype)
        else:
            # The transformer of a sentence-transformers model may lie in a folder of its own.
            modules = read_config(folder, "modules.json")
            place = folder / modules[0]["path"] if modules else folder
            encoder = _load_transformer(source, place, spec, device, dtype)
    except torch.OutOfMemoryError as error:
        raise RetrieverError(
            f"the model {source.name!r} does not fit on {device}: write device=cpu, or another "
            f"device ({error})"
        ) from error
    except RetrieverError:
        raise
    except Exception as error:
        # Loaders raise what they like: OSError, ValueError, SafetensorError, UnpicklingError.
        raise RetrieverError(
            f"the model {source.name!r} in {folder} cannot be loaded ({type(error).__name__}: "
            f"{error}): {source.remedy}"
        ) from error
    source.check_unchanged()
    return encoder


def _load_sentence_encoder(
    source: Model, folder: Path, spec: EncoderSpec, device: str, dtype: str
) -> Encoder:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device=device, local_files_only=True)
    model.to(device=device, dtype=getattr(torch, dtype))
    model.eval()
    if spec.max_tokens:
        # Not asking the tokenizer for a limit: its own is the one that is being replaced.
        limit = _position_limit(None, model[0])
        _check_max_tokens(source, spec.max_tokens, limit, model.tokenizer)
        model.max_seq_length = spec.max_tokens
    return SentenceEncoder(model)


def _load_transformer(
    source: Model, folder: Path, spec: EncoderSpec, device: str, dtype: str
) -> Encoder:
    kind = "AutoModel" if spec.architecture == "auto" else spec.architecture
    model, info = getattr(transformers, kind).from_pretrained(
        folder, local_files_only=True, dtype=getattr(torch, dtype), output_loading_info=True
    )
    pooling = "mean" if spec.pooling == "auto" else spec.pooling
    # A pooler that is not used may be missing: Contriever was saved without one.
    missing = [k for k in info["missing_keys"] if pooling == "pooler" or "pooler." not in k]
    if missing or info["mismatched_keys"]:
        listed = ", ".join(sorted(map(str, missing or info["mismatched_keys"]))[:3])
        raise RetrieverError(
            f"the model {source.name!r} is no {type(model).__name__} with all its weights: "
            f"{len(missing) or len(info['mismatched_keys'])} are missing or of another shape, "
            f"such as {listed}"
        )
    if model.config.is_encoder_decoder:
        raise RetrieverError(
            f"the model {source.name!r} is an encoder with a decoder: name one that "
            f"sentence-transformers saved (with modules.json)"
        )
    model.to(device).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    limit = _position_limit(tokenizer, model)
    if spec.max_tokens:
        _check_max_tokens(source, spec.max_tokens, limit, tokenizer)
    own = read_config(folder, "sentence_bert_config.json").get("max_seq_length")
    most = [n for n in (limit, own, spec.at_most) if n]
    max_tokens = spec.max_tokens or (min(most) if most else None)
    return TransformerEncoder(model, tokenizer, pooling, max_tokens)


def _position_limit(tokenizer: Any, model: Any) -> int | None:
    """Return how many tokens fit, as tokenizer and config say; ``None`` where neither does."""
    config = getattr(model, "config", None) or getattr(
        getattr(model, "auto_model", None), "config", None
    )
    positions = getattr(config, "max_position_embeddings", None)
    if positions and getattr(config, "model_type", "") in _OFFSET_POSITIONS:
        positions -= 2
    told = getattr(tokenizer, "model_max_length", None)
    limits = [n for n in (positions, told) if n and n < 1 << 30]
    return min(limits) if limits else None


def _check_max_tokens(source: Model, asked: int, limit: int | None, tokenizer: Any) -> None:
    if limit is not None and asked > limit:
        raise RetrieverError(
            f"max_tokens is {asked}, but the model {source.name!r} takes at most {limit}"
        )
    count = getattr(tokenizer, "num_special_tokens_to_add", None)
    special = int(count()) if count else 0
    # Tokenizers then ignore the limit, or leave nothing of any text.
    if asked <= special:
        raise RetrieverError(
            f"max_tokens is {asked}, but the model {source.name!r} adds {special} special tokens "
            f"to each text: write at least {special + 1}"
        )


def encode_in_batches(
    encoder: Encoder, texts: Sequence[str], prompt: str, batch_tokens: int
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Encode texts in batches of equal token counts, the longest first.

    :param texts: all different.
    :param batch_tokens: how many tokens a batch may hold; at least one text is in each.
    :returns: for each batch the indices of its texts, and their vectors as rows.
    """
    alike: dict[Tokens, list[int]] = {}
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        part = encoder.tokens(texts[start : start + _TOKENIZED_AT_ONCE], prompt)
        for index, tokens in enumerate(part, start):
            alike.setdefault(tokens, []).append(index)
    by_length: dict[int, list[list[int]]] = {}
    for tokens, indices in alike.items():
        by_length.setdefault(len(tokens), []).append(indices)
    for length, groups in sorted(by_length.items(), reverse=True):
        size = max(1, batch_tokens // max(1, length))
        for start in range(0, len(groups), size):
            batch = groups[start : start + size]
            rows = _encode_that_fits(encoder, [texts[group[0]] for group in batch], prompt)
            repeats = [len(group) for group in batch]
            yield [index for group in batch for index in group], np.repeat(rows, repeats, axis=0)


def _encode_that_fits(encoder: Encoder, texts: list[str], prompt: str) -> NDArray[np.float32]:
    """Encode a batch, in halves where the device has not the memory for it.

    The language model under test may lie on the same device.
    """
    with contextlib.suppress(torch.OutOfMemoryError):
        return encoder.encode(texts, prompt)
    if len(texts) == 1:
        raise RetrieverError(
            "the device has not enough memory to encode one text: write device=cpu, or give "
            "max_tokens a lower number"
        )
    torch.cuda.empty_cache()
    middle = len(texts) // 2
    return np.concatenate(
        [_encode_that_fits(encoder, half, prompt) for half in (texts[:middle], texts[middle:])]
    )
