"""Batches by tokens: prompts of like length together, as many as fit the memory that is free."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter

logger = logging.getLogger("lm_eval.qrag_tasks")

_SHARE_OF_FREE = {"cuda": 0.8, "cpu": 0.5}


class OutOfMemory(Exception):  # noqa: N818 - no error: what is left is answered in other batches
    """Memory ran out; what was answered before has been handed on."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a batch takes beside the weights.

    :ivar token: for each token of prompt and answer: its cached keys and values, and what its
        pass through the widest layer takes.
    :ivar pair: for each pair of tokens of a sequence: the attention mask.
    :ivar logit_row: for each position whose logits are kept.
    """

    token: float
    pair: float
    logit_row: float

    @classmethod
    def of(cls, config: Any, item_size: int, kept_size: float | None = None) -> Footprint:
        """Estimate from a transformers configuration.

        :param item_size: bytes of a number in the dtype of computation.
        :param kept_size: of a number of a cached key or value; the same by default.
        """
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        hidden = int(getattr(text, "hidden_size", 0) or 4096)
        layers = int(getattr(text, "num_hidden_layers", 0) or 32)
        heads = int(getattr(text, "num_attention_heads", 0) or 32)
        key_value_heads = int(getattr(text, "num_key_value_heads", 0) or heads)
        head_size = int(getattr(text, "head_dim", 0) or hidden // heads)
        inner = int(getattr(text, "intermediate_size", 0) or 4 * hidden)
        kept = 2 * layers * key_value_heads * head_size
        # A growing cache is copied a layer at a time; the widest layer holds gate, up and product.
        passing = 2 * key_value_heads * head_size + 6 * hidden + 3 * inner
        vocabulary = int(getattr(text, "vocab_size", 0) or 32000)
        # Logits as they come, in 32 bits, and once more while they are normalized.
        cached = kept * (item_size if kept_size is None else kept_size)
        return cls(cached + passing * item_size, item_size + 1.0, vocabulary * (item_size + 8.0))

    def bytes(self, rows: int, width: int, kept: int = 1) -> float:
        """Return the bytes of a batch.

        :param rows: sequences.
        :param width: tokens of the longest, answer included.
        :param kept: positions of each sequence whose logits are kept.
        """
        return rows * (width * self.token + width * width * self.pair + kept * self.logit_row)


def free_bytes(device: Any) -> float:
    """Return the bytes that a batch may take on a ``torch.device``, with a margin left.

    On a CUDA device what torch has reserved and does not use counts as free. Rounded down to a
    power of two, or to one and a half of it: what is free is never twice the same to the byte.
    """
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return rounded_down(_SHARE_OF_FREE["cuda"] * float(free + unused))
    import psutil

    return rounded_down(_SHARE_OF_FREE["cpu"] * float(psutil.virtual_memory().available))


def rounded_down(room: float) -> float:
    """Round to 1, 1.5, 2, 3, 4, 6, ... bytes."""
    power = 2.0 ** math.floor(math.log2(max(room, 1.0)))
    return 1.5 * power if room >= 1.5 * power else power


@dataclass
class Batches:
    """Runs a model's sequences in batches that fit.

    :ivar limit: how large a batch may be; falls when memory runs out.
    :ivar footprint: what a batch takes.
    :ivar device: the model's ``torch.device``.
    :ivar meter: is told of batches that ran out of memory.
    """

    limit: BatchLimit
    footprint: Footprint
    device: Any
    meter: Meter

    def run(
        self,
        widths: Sequence[int],
        kept: int,
        names: Sequence[str],
        run: Callable[[Sequence[int]], None],
    ) -> None:
        """Run all of them; see :func:`in_batches`.

        :param widths: tokens of each, the answer included.
        :param kept: the most positions of one whose logits are kept.
        :param names: of the requests, for an error.
        :raises ModelError: when a sequence does not fit alone.
        """

        def fits(rows: int, width: int) -> bool:
            # A batch size that was asked for is obeyed, whatever the estimate says.
            return self.limit.holds(rows, width) and (
                self.limit.tokens is None or self.footprint.bytes(rows, width, kept) <= room
            )

        def too_large(rows: int, width: int) -> None:
            self.limit.halve(rows, width)
            self.meter.out_of_memory(rows)
            logger.warning(
                "out of memory with %d sequences of up to %d tokens: going on in smaller batches, "
                "nothing is lost",
                rows,
                width,
            )

        def run_or_name(batch: Sequence[int]) -> None:
            try:
                run(batch)
            except Exception as error:
                if len(batch) > 1 or not out_of_memory(error):
                    raise
                raise ModelError(
                    f"{names[batch[0]]}: {widths[batch[0]]} tokens, the answer "
                    f"included, do not fit the memory of {self.device}, even alone. Set "
                    f"context_tokens lower in --metadata, or take a device with more memory."
                ) from error

        room = self.limit.room_within(free_bytes(self.device))
        in_batches(widths, fits, run_or_name, too_large)


def in_batches(
    widths: Sequence[int],
    fits: Callable[[int, int], bool],
    run: Callable[[Sequence[int]], None],
    too_large: Callable[[int, int], None],
) -> None:
    """Run everything, longest first, in batches that fit; make smaller ones when memory runs out.

    Longest first, so that memory runs out at the start or not at all. Nothing is lost: what was in
    a batch that failed runs again, what was run before stays.

    :param widths: tokens of each sequence, answer included.
    :param fits: (rows, width of the longest) -> whether such a batch may be made. A sequence that
        does not fit alone is run alone.
    :param run: runs the sequences at these indices.
    :param too_large: is told (rows, width) of a batch of several that ran out of memory; from then
        on ``fits`` must refuse it.
    :raises Exception: what ``run`` raised, where a single sequence ran out of memory, or for any
        other cause.
    """
    waiting = deque(sorted(range(len(widths)), key=lambda index: (-widths[index], index)))
    while waiting:
        batch = [waiting.popleft()]
        width = widths[batch[0]]
        while waiting and fits(len(batch) + 1, width):
            batch.append(waiting.popleft())
        if not _ran(run, batch):
            too_large(len(batch), width)
            waiting.extendleft(reversed(batch))


def _ran(run: Callable[[Sequence[int]], None], batch: Sequence[int]) -> bool:
    try:
        run(batch)
    except Exception as error:
        if len(batch) == 1 or not out_of_memory(error):
            raise
    else:
        return True
    # Not in the except clause: there, the error's traceback still holds the batch's tensors.
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)
    return False


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of a device, or of the machine, ran out."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or should_reduce_batch_size(error)
        # What cuBLAS says when it finds no room for its workspace.
        or (isinstance(error, RuntimeError) and "CUBLAS_STATUS_ALLOC_FAILED" in str(error))
    )
