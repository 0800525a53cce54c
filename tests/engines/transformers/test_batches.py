"""Batches by tokens: everything runs once, what fits together runs together, memory may run out."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the hf extra is not installed")
import torch

from qrag_tasks.engines.batch_limit import TOKENS_PER_BATCH, BatchLimit
from qrag_tasks.engines.transformers.batches import (
    Footprint,
    free_bytes,
    in_batches,
    out_of_memory,
    rounded_down,
)
from qrag_tasks.errors import SettingsError

CPU = torch.device("cpu")
OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


def batches_of(widths: Sequence[int], limit: BatchLimit, room: int) -> list[list[int]]:
    """Run on a machine whose memory holds ``room`` tokens."""
    ran: list[list[int]] = []

    def run(batch: Sequence[int]) -> None:
        if len(batch) * max(widths[i] for i in batch) > room:
            raise RuntimeError(OUT_OF_MEMORY)
        ran.append(list(batch))

    in_batches(widths, limit.holds, run, limit.halve)
    return ran


widths = st.lists(st.integers(1, 50), max_size=60)


@given(widths, st.integers(1, 400), st.none() | st.integers(1, 9))
def test_everything_runs_once_longest_first_within_the_limit(
    widths: list[int], tokens: int, rows: int | None
) -> None:
    limit = BatchLimit(rows=rows, tokens=tokens)
    ran = batches_of(widths, limit, room=10**9)
    order = [i for batch in ran for i in batch]
    assert sorted(order) == list(range(len(widths)))
    assert [widths[i] for i in order] == sorted(widths, reverse=True)
    for batch in ran:
        width = max(widths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * width <= tokens
        assert len(batch) <= (rows or len(batch))
    # No batch could have taken the first of the next.
    for batch in ran[:-1]:
        assert not limit.holds(len(batch) + 1, widths[batch[0]])


@settings(max_examples=30)  # each time memory runs out, all garbage is collected
@given(widths, st.integers(50, 400), st.booleans())
def test_nothing_is_lost_when_memory_runs_out(widths: list[int], room: int, by_rows: bool) -> None:
    limit = BatchLimit(rows=64) if by_rows else BatchLimit(tokens=10**6)
    gc.freeze()  # of the hundred thousands of objects that torch has
    try:
        ran = batches_of(widths, limit, room)
    finally:
        gc.unfreeze()
    assert sorted(i for batch in ran for i in batch) == list(range(len(widths)))


def test_the_limit_stays_down() -> None:
    limit = BatchLimit(tokens=1000)
    ran = batches_of([10] * 100, limit, room=300)
    assert limit.tokens == 250
    assert [len(batch) for batch in ran] == [25] * 4


def test_one_that_does_not_fit_alone_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="can't allocate"):
        batches_of([10, 400, 20], BatchLimit(tokens=1000), room=300)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def run(batch: Sequence[int]) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    limit = BatchLimit(tokens=100)
    with pytest.raises(RuntimeError, match="multiplied"):
        in_batches([1, 2], limit.holds, run, limit.halve)
    assert limit.tokens == 100


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError(OUT_OF_MEMORY), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (MemoryError(), True),
        (RuntimeError("shapes"), False),
        (ValueError("CUDA out of memory."), False),
    ],
)
def test_out_of_memory(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected


def test_batch_arguments() -> None:
    assert BatchLimit.of("auto", None, None, CPU) == BatchLimit(None, TOKENS_PER_BATCH["cpu"])
    assert BatchLimit.of("auto", 4, 100, CPU) == BatchLimit(4, 100)
    assert BatchLimit.of("8", None, None, CPU) == BatchLimit(8, None)
    assert BatchLimit.of(8, 2, 100, CPU) == BatchLimit(8, None)
    for wrong in ("auto:4", 0, "-1", "many"):
        with pytest.raises(SettingsError, match=f"batch_size={wrong}: give a whole number"):
            BatchLimit.of(wrong, None, None, CPU)
    with pytest.raises(SettingsError, match="max_batch_tokens=0"):
        BatchLimit.of("auto", None, 0, CPU)


def test_the_footprint_covers_cache_and_logits() -> None:
    config = SimpleNamespace(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        vocab_size=1000,
    )
    footprint = Footprint.of(config, item_size=2)
    cached = 2 * 2 * 2 * 16 * 2  # keys and values, layers, heads, their size, bytes
    assert footprint.token > cached
    assert footprint.bytes(3, 100) == 3 * footprint.bytes(1, 100)
    assert footprint.bytes(1, 100, kept=5) - footprint.bytes(1, 100) >= 4 * 1000 * 4
    assert free_bytes(CPU) > 0


def test_a_little_more_or_less_of_free_memory_is_the_same_room() -> None:
    assert [rounded_down(x) for x in (0, 1, 1.4, 1.5, 1.9, 2, 2.9, 3, 1e9)] == [
        *(1, 1, 1, 1.5, 1.5, 2, 2, 3, 1.5 * 2**29)
    ]
    limit = BatchLimit(tokens=100)
    for free, room in ((96.0, 96.0), (128.0, 96.0), (80.0, 96.0), (64.0, 64.0), (80.0, 64.0)):
        assert limit.room_within(free) == limit.room == room
