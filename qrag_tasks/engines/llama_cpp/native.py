"""One model in llama.cpp: loaded, fed with tokens, asked for logits. All ctypes is here."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import gguf
import llama_cpp
import numpy as np

from qrag_tasks.arms.gguf_files import GgufFile
from qrag_tasks.engines.llama_cpp import messages
from qrag_tasks.engines.llama_cpp.arguments import Settings
from qrag_tasks.errors import ModelError

_CELLS = 256
"""llama.cpp rounds the cells of a cache up to a multiple of these."""
_OUT_OF_MEMORY = (1, -2)
"""What ``llama_decode`` returns where the cache has no room, and where a buffer cannot be had."""


def own_tokens(file: GgufFile, texts: Sequence[str]) -> list[list[int]]:
    """Return texts as llama.cpp tokenizes them by a file's vocabulary; no weights are loaded.

    :raises ModelError: when it cannot read the vocabulary.
    """
    messages.listen()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    messages.ERRORS.clear()
    model = llama_cpp.llama_model_load_from_file(str(file.path).encode(), params)
    if not model:
        raise _unread(file)
    try:
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        found = []
        for text in texts:
            raw = text.encode()
            room = (llama_cpp.llama_token * (len(raw) + 16))()
            count = llama_cpp.llama_tokenize(
                vocabulary, raw, len(raw), room, len(room), False, True
            )
            found.append(list(room[:count]))
        return found
    finally:
        llama_cpp.llama_model_free(model)


def _unread(file: GgufFile) -> ModelError:
    return ModelError(
        f"pretrained={file.path}: llama.cpp {llama_cpp.llama_version().decode()} cannot load it: "
        f"{messages.first_error()}. A newer llama-cpp-python knows newer architectures; a damaged "
        f"file has to be made again; and the weights take {file.bytes / 1e9:,.2f} GB of memory"
    )


def kind_number(kind: str) -> int:
    """Return ggml's number for a kind of numbers, which llama-cpp-python does not name in full."""
    return int(gguf.GGMLQuantizationType[kind.upper()])


class OutOfMemoryError(Exception):
    """llama.cpp found no room for tokens."""


class Native:
    """A model in llama.cpp, and the key-value cache of one sequence.

    :param settings: with all that is left open filled in.
    :ivar held: token ids whose keys and values are in the cache, from the beginning.
    :ivar whole: how many of them, from the beginning, ran in pieces of ``n_ubatch``. These have
        the same keys and values to the bit whatever was run before: kernels choose the order of
        their sums by the number of tokens that run together.
    :raises ModelError: when llama.cpp cannot load the file, with its own reason.
    """

    def __init__(self, file: GgufFile, settings: Settings) -> None:
        messages.listen()
        self._settings = settings
        self._context: Any = None
        self._cells = self._outputs = 0
        self.held: list[int] = []
        self.whole = 0
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = settings.n_gpu_layers
        # Numbers that are none are found here, and not in an answer.
        params.check_tensors = True
        messages.ERRORS.clear()
        self._model = llama_cpp.llama_model_load_from_file(str(file.path).encode(), params)
        if not self._model:
            raise _unread(file)
        if llama_cpp.llama_model_has_encoder(self._model):
            llama_cpp.llama_model_free(self._model)
            raise ModelError(
                f"pretrained={file.path} has an encoder ({file.architecture}): engine=llama_cpp "
                f"runs decoder-only models"
            )
        self._free_model = weakref.finalize(self, llama_cpp.llama_model_free, self._model)
        self._free_context: Any = None
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model)
        )

    def close(self) -> None:
        """Give the memory back."""
        if self._free_context is not None:
            self._free_context()
        self._free_model()

    def make_room(self, tokens: int, outputs: int = 1) -> None:
        """Have a cache for so many tokens; what a smaller one held is lost.

        :param outputs: positions of which logits are wanted at once.
        :raises ModelError: when there is no memory for it.
        """
        if tokens <= self._cells and outputs <= self._outputs:
            return
        self._cells = max(self._cells, -(-tokens // _CELLS) * _CELLS)
        self._outputs = max(self._outputs, outputs)
        self._forget()
        if self._free_context is not None:
            self._free_context()
        settings = self._settings
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self._cells
        params.n_batch = params.n_ubatch = min(settings.n_ubatch, self._cells)
        params.n_seq_max = 1
        params.n_outputs_max = self._outputs
        params.n_threads = settings.n_threads
        params.n_threads_batch = settings.n_threads_batch
        params.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if settings.flash_attn
            else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.type_k, params.type_v = (
            kind_number(str(kind)) for kind in (settings.type_k, settings.type_v)
        )
        # Or a prefix could not be used again in a model whose layers see a part of it only.
        params.swa_full = True
        params.no_perf = True
        # Or a llama.cpp that was built for a GPU would run long prompts there, layers or none.
        params.offload_kqv = params.op_offload = settings.n_gpu_layers != 0
        messages.ERRORS.clear()
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            self._cells = self._outputs = 0
            raise ModelError(
                f"llama.cpp has no memory for a cache of {tokens:,} tokens "
                f"({messages.first_error()}): give a smaller max_length, or "
                f"type_k=q8_0,type_v=q8_0,flash_attn=True"
            )
        self._free_context = weakref.finalize(self, llama_cpp.llama_free, self._context)
        self._free_context.atexit = False  # the model's comes first there, and takes it along

    def keep(self, tokens: int) -> int:
        """Forget what the cache holds beyond its first tokens; return how many it still holds.

        Some architectures have a state that cannot go back: they forget all.
        """
        if tokens < len(self.held):
            memory = llama_cpp.llama_get_memory(self._context)
            if tokens == 0 or not llama_cpp.llama_memory_seq_rm(memory, 0, tokens, -1):
                llama_cpp.llama_memory_clear(memory, True)
                tokens = 0
            del self.held[tokens:]
            at_once = self._settings.n_ubatch
            self.whole = min(self.whole, tokens // at_once * at_once)
        return len(self.held)

    def feed(self, tokens: Sequence[int], wanted: int) -> Any:
        """Run tokens that follow those that the cache holds.

        They run ``n_ubatch`` at a time.

        :param wanted: of how many of the last of them logits are returned; at least one.
        :returns: float32 array of shape (wanted, vocabulary), of the caller's own.
        :raises OutOfMemoryError: when they find no room.
        :raises ModelError: when llama.cpp fails otherwise.
        """
        rows = []
        at_once, first_wanted = self._settings.n_ubatch, len(tokens) - wanted
        for start in range(0, len(tokens), at_once):
            piece = tokens[start : start + at_once]
            outputs = min(len(piece), max(0, start + len(piece) - first_wanted))
            self._decode(piece, outputs)
            if outputs:
                logits = llama_cpp.llama_get_logits(self._context)
                shape = (outputs, self.vocabulary)
                rows.append(np.ctypeslib.as_array(logits, shape=shape).copy())
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def state_after(self, tokens: Sequence[int]) -> bytes:
        """Run tokens from an empty cache; return what llama.cpp writes out of the sequence."""
        self.make_room(len(tokens))
        self.keep(0)
        try:
            # In pieces, as a prompt: llama.cpp ends the process for more than its batch holds.
            self.feed(tokens, 1)
            size = llama_cpp.llama_state_seq_get_size(self._context, 0)
            room = (ctypes.c_uint8 * size)()
            written = llama_cpp.llama_state_seq_get_data(self._context, room, size, 0)
            return bytes(room[:written])
        finally:
            self.keep(0)

    def around_head(self, tokens: Sequence[int]) -> tuple[Any, Any]:
        """Run tokens from an empty cache; return what goes into the head, and the logits.

        :returns: float32 arrays of shape (tokens, width) and (tokens, vocabulary).
        """
        self.make_room(len(tokens), len(tokens))
        self.keep(0)
        llama_cpp.llama_set_embeddings(self._context, True)
        try:
            self._decode(list(tokens), len(tokens))
            width = llama_cpp.llama_model_n_embd(self._model)
            inputs = llama_cpp.llama_get_embeddings(self._context)
            logits = llama_cpp.llama_get_logits(self._context)
            return tuple(
                np.ctypeslib.as_array(found, shape=(len(tokens), size)).copy()
                for found, size in ((inputs, width), (logits, self.vocabulary))
            )
        finally:
            llama_cpp.llama_set_embeddings(self._context, False)
            self.keep(0)

    def _decode(self, tokens: Sequence[int], outputs: int) -> None:
        count = len(tokens)
        batch = llama_cpp.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for i, token in enumerate(tokens):
                batch.token[i] = token
                batch.pos[i] = len(self.held) + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = i >= count - outputs
            messages.ERRORS.clear()
            state = llama_cpp.llama_decode(self._context, batch)
        finally:
            llama_cpp.llama_batch_free(batch)
        if state:
            # What the cache holds now is not known.
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
            self._forget()
            if state in _OUT_OF_MEMORY:
                raise OutOfMemoryError
            raise ModelError(f"llama.cpp failed with code {state}: {messages.first_error()}")
        if self.whole == len(self.held) and count == self._settings.n_ubatch:
            self.whole += count
        self.held.extend(tokens)

    def _forget(self) -> None:
        self.held, self.whole = [], 0
