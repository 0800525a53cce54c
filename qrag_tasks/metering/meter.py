"""Measures what a run costs, where the model runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from qrag_tasks.metering.cost import Cost, seconds_of
from qrag_tasks.metering.energy import Joules, energy_counter, together_counted
from qrag_tasks.metering.usage import Usages, fullest, together, usage_of


class Batch:
    """One batch that is being metered."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.first: float | None = None
        self.answers: Sequence[int] = ()
        self.cached_tokens: int | None = None
        self.cost: Mapping[str, float] = {}
        """What it cost, once it has ended: amounts of :class:`~qrag_tasks.metering.cost.Cost`."""

    def first_token(self) -> None:
        """Mark the end of prefill; later calls change nothing."""
        if self.first is None:
            self.first = self._now()

    def generated(self, tokens: Sequence[int]) -> None:
        """Note the tokens of each sequence's answer."""
        self.answers = tokens

    def cached(self, tokens: int) -> None:
        """Note how many prompt tokens of the batch came out of a prefix cache."""
        self.cached_tokens = tokens


class SideBySide:
    """Meters requests that are answered side by side, where only the ends of answers are seen.

    An answer costs the time since the one before it, so that all cost the time that passed.

    :param at_once: the most sequences that go through the model together; 1 where nobody knows.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        add: Callable[[Mapping[str, float]], None],
        at_once: int = 1,
    ) -> None:
        self._clock, self._add = clock, add
        self._at_once = at_once
        self._last = clock()

    def answered(
        self, prompt_tokens: int, generated: int, cached: int | None = None, *, answers: int = 1
    ) -> Mapping[str, float]:
        """Count one answer, or several that came together; return what they cost.

        :param generated: tokens of the answers.
        :param cached: prompt tokens out of a prefix cache; ``None`` where that is unknown.
        :param answers: how many came.
        """
        before, self._last = self._last, self._clock()
        cost: dict[str, float] = {
            "prefill_seconds": 0.0,
            "decode_seconds": 0.0,
            "undivided_seconds": self._last - before,
            "batches": 1,
            "prompt_tokens": prompt_tokens,
            "padded_tokens": prompt_tokens,
            "generated_tokens": generated,
            "decode_tokens": max(0, generated - answers),
            "largest_batch": self._at_once,
        }
        if cached is not None:
            cost["cached_prompt_tokens"] = cached
        self._add(cost)
        return cost


@dataclass(frozen=True)
class Elsewhere:
    """Stands for a ``torch.device`` where a model computes on a machine that is not measured.

    :ivar name: of the machine, or of who answers there.
    """

    name: str
    type: str = "elsewhere"

    def __str__(self) -> str:
        return self.name


class Meter:
    """Measures what one model costs.

    On a CUDA device each batch waits for the device three times, so that its queued work is
    counted where it belongs: at its start, its first token and its end. No other step waits.

    :param device: the model's ``torch.device``; without an index, the current one whenever it
        is read. Assign it again where the model went elsewhere; :class:`Elsewhere`, where it is not
        on this machine: then no memory and no energy is measured.
    :param clock: in seconds.
    :param joules: energy counter; by default the device's own.
    :ivar threads: that compute on a CPU, where these are not torch's.
    :ivar cache_bytes_per_token: of the model's cache of keys and values, where it is known.
    :ivar usages: tells the memory of all processes and devices that compute, where there is more
        than this process and its device.
    """

    threads: int | None = None
    usages: Usages | None = None
    cache_bytes_per_token: float | None = None

    def __init__(
        self,
        device: Any,
        clock: Callable[[], float] = time.perf_counter,
        joules: Joules | None = None,
    ) -> None:
        self.device = device
        self._clock = clock
        self._joules = joules
        self._energies: list[float | None] = []
        self._totals: dict[str, Any] = {}
        if device.type == "cuda":
            import torch

            # Before CUDA is in use there is no peak, and resetting it would put it in use.
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Meter the loading of the model."""
        start = self._clock()
        try:
            yield
        finally:
            self._add(load_seconds=self._clock() - start)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Meter one call of the model's, all its batches; not one within another."""
        if self._joules is None:
            self._joules = self._energy_counter()
        before, start = self._joules(), self._clock()
        try:
            yield
        finally:
            self._add(run_seconds=self._clock() - start)
            after = self._joules()
            self._energies.append(None if before is None or after is None else after - before)

    @contextmanager
    def batch(
        self, prompt_tokens: Sequence[int], padded: int, kind: Literal["generate", "likelihood"]
    ) -> Iterator[Batch]:
        """Meter one batch. Where it raises, its time is lost and its tokens do not count.

        :param prompt_tokens: of each sequence, without padding.
        :param padded: tokens of the whole batch with padding.
        :param kind: a ``likelihood`` batch is all prefill, and so is one to ``generate`` whose
            :meth:`Batch.first_token` is never called.
        """
        start = self._now()
        batch = Batch(self._now)
        try:
            yield batch
            end = self._now()
        except BaseException:
            self._add(lost_seconds=self._clock() - start)
            raise
        first = end if kind == "likelihood" or batch.first is None else batch.first
        batch.cost = {
            "prefill_seconds": first - start,
            "decode_seconds": end - first,
            "batches": 1,
            "prompt_tokens": sum(prompt_tokens),
            "padded_tokens": padded,
            "generated_tokens": sum(batch.answers),
            "decode_tokens": sum(max(0, tokens - 1) for tokens in batch.answers),
            "largest_batch": len(prompt_tokens),
        }
        if batch.cached_tokens is not None:
            batch.cost = {**batch.cost, "cached_prompt_tokens": batch.cached_tokens}
        self._add_batch(batch.cost)

    def side_by_side(self, at_once: int = 1) -> SideBySide:
        """Begin to meter requests that are answered side by side.

        :param at_once: as of :class:`SideBySide`.
        """
        return SideBySide(self._clock, self._add_batch, at_once)

    def restart(self, batches: Sequence[Mapping[str, float]]) -> None:
        """Begin to count again, with what was metered before: all but loading is set back.

        :param batches: what batches of an earlier process cost (:attr:`Batch.cost`). The energy
            is unknown then: what the process used that was killed is nowhere written.
        """
        self._totals = {"load_seconds": self._totals.get("load_seconds", 0.0)}
        self._energies = [None] if batches else []
        for batch in batches:
            self._add_batch(batch)
            self._add(run_seconds=seconds_of(batch))
        if self.usages is not None:
            self.usages(True)
        elif self.device.type == "cuda":
            usage_of(self.device, begin=True)

    def _energy_counter(self) -> Joules:
        if self.usages is None:
            return energy_counter(self.device)
        used = [each for model in self.usages(False) for each in model]
        return together_counted(each.uuid for each in used if each.device)

    def _add_batch(self, cost: Mapping[str, float]) -> None:
        largest = max(self._totals.get("largest_batch", 0), cost["largest_batch"])
        self._add(**{name: amount for name, amount in cost.items() if name != "largest_batch"})
        self._totals["largest_batch"] = largest

    def out_of_memory(self, rows: int) -> None:
        """Note that a batch of so many sequences was too large."""
        self._add(out_of_memory=1)
        self._totals["too_large_batch"] = min(self._totals.get("too_large_batch", rows), rows)

    def cost(self) -> Cost:
        """Return the cost so far, of this one rank."""
        measured = {**self._totals, "cache_bytes_per_token": self.cache_bytes_per_token}
        if isinstance(self.device, Elsewhere):
            return Cost(device=self.device.name, **measured)
        models = self.usages(False) if self.usages else [[usage_of(self.device)]]
        used = fullest([together(each) for each in models])
        measured["ranks"] = len(models)
        measured["device"] = used.device
        measured["peak_device_bytes"] = used.device_bytes
        measured["peak_device_reserved_bytes"] = used.device_reserved_bytes
        measured["peak_rss_bytes"] = used.rss_bytes
        if used.threads is not None:
            measured["threads"] = self.threads or used.threads
        known = [joules for joules in self._energies if joules is not None]
        if known and len(known) == len(self._energies):
            measured["energy_joules"] = sum(known)
        return Cost(**measured)

    def _add(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self._totals[name] = self._totals.get(name, 0) + amount

    def _now(self) -> float:
        """Return the time once the device has done all that was asked of it."""
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
        return self._clock()
