"""From texts to vectors: what is known comes from the cache, the rest from the model."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qrag_tasks.errors import RetrieverError

from qrag_dense.cache import EmbeddingCache, Vector, text_key
from qrag_dense.devices import resolve_device, resolve_dtype
from qrag_dense.models import Model
from qrag_dense.specs import EncoderSpec, Hardware

if TYPE_CHECKING:
    from qrag_dense.encoders import Encoder

FORMAT = "1"
"""Part of every cache key: raised when the same settings come to give other vectors."""

_SAVE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Embedder:
    """A model that is loaded when a text first has to be encoded.

    A pickled copy leaves the loaded model behind.
    """

    def __init__(self, source: Model, spec: EncoderSpec, hardware: Hardware) -> None:
        self.source = source
        self._spec = spec
        self._hardware = hardware
        self._encoder: Encoder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None}

    def embed(self, texts: Iterable[str], prompt: str) -> dict[str, Vector]:
        """Return the vector of each text, shape ``(dimensions,)``, finite.

        The vectors are those of the cache, also where they were encoded a moment ago: a text has
        the same vector now and in every later run.

        :param prompt: put before each text.
        :raises RetrieverError: when the model cannot be had or the cache cannot be written.
        """
        keys = {text: text_key(_encodable(text), _encodable(prompt)) for text in set(texts)}
        cache = EmbeddingCache(
            {
                **self.source.identity,
                **self._spec.as_dict(),
                # What auto comes to: vectors of different precisions must not meet.
                "dtype": resolve_dtype(self._hardware.dtype, self._hardware.device),
                "format": FORMAT,
            }
        )
        vectors = cache.get(list(keys.values()))
        missing = {key: _encodable(text) for text, key in keys.items() if key not in vectors}
        if missing:
            self._encode(missing, _encodable(prompt), cache, vectors)
        return {text: vectors[key] for text, key in keys.items()}

    def _encode(
        self,
        texts: Mapping[bytes, str],
        prompt: str,
        cache: EmbeddingCache,
        vectors: dict[bytes, Vector],
    ) -> None:
        from qrag_dense.encoders import encode_in_batches

        # Sorted, so that batches do not hang on the order of a set.
        keys = sorted(texts)
        encoder = self._loaded()
        unsaved: dict[bytes, Vector] = {}
        saved_at = time.monotonic()
        batches = encode_in_batches(
            encoder, [texts[key] for key in keys], prompt, self._hardware.batch_tokens
        )
        for indices, rows in batches:
            if not np.isfinite(rows).all():
                raise RetrieverError(
                    f"the model {self.source.name!r} gives vectors that are not finite in dtype "
                    f"{self._hardware.dtype!r} on device {self._hardware.device!r}: "
                    f"write dtype=float32 or dtype=bfloat16"
                )
            unsaved.update((keys[i], row) for i, row in zip(indices, rows, strict=True))
            if time.monotonic() - saved_at > _SAVE_SECONDS:
                _save(cache, unsaved, vectors)
                unsaved, saved_at = {}, time.monotonic()
        _save(cache, unsaved, vectors)
        _log.info("%s: encoded %d texts", self.source.name, len(keys))

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            from qrag_dense.encoders import load_encoder

            device = resolve_device(self._hardware.device)
            dtype = resolve_dtype(self._hardware.dtype, device)
            self._encoder = load_encoder(self.source, self._spec, device, dtype)
        return self._encoder


def _save(
    cache: EmbeddingCache, unsaved: Mapping[bytes, Vector], vectors: dict[bytes, Vector]
) -> None:
    if unsaved:
        cache.add(unsaved)
        vectors.update(unsaved)
        # Another process may have been first: then its vectors are the ones kept.
        vectors.update(cache.get(list(unsaved)))


def _encodable(text: str) -> str:
    """Return ``text`` with a question mark for each lone surrogate, which JSON files may hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
