"""How much an engine runs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qrag_tasks.errors import SettingsError

TOKENS_PER_BATCH = {"cuda": 65536, "cpu": 8192}
"""Device -> the most tokens of a batch, padding and answers included, where memory allows.

Larger batches no longer raise the throughput, and arms of a model that all reach the same limit
are batched alike, whatever memory their weights leave free."""

_HOLDS_STILL = 1.25
"""What a batch might take before, it may take still where it is at most this times what it may
now: memory that is free varies a little, and batches must not, as answers depend on them."""


@dataclass
class BatchLimit:
    """How large a batch may be. It falls when memory runs out, and stays there for the run.

    :ivar rows: sequences; ``None`` for any number.
    :ivar tokens: rows times width; ``None`` for any number.
    :ivar room: bytes beside the weights, where ``tokens`` are limited; ``None`` until it is found
        how many are free.
    """

    rows: int | None = None
    tokens: int | None = None
    room: float | None = None

    @classmethod
    def of(
        cls,
        batch_size: int | str,
        max_batch_size: int | None,
        max_batch_tokens: int | None,
        device: Any,
    ) -> BatchLimit:
        """Read the model arguments that say how large a batch may be.

        :param batch_size: sequences, obeyed as it is; or ``"auto"``.
        :param device: a ``torch.device``.
        :raises SettingsError: for what is no positive whole number.
        """
        auto = batch_size == "auto"
        given = {"max_batch_size": max_batch_size, "max_batch_tokens": max_batch_tokens}
        for name, value in {**given, "batch_size": None if auto else batch_size}.items():
            if value is not None and not (str(value).isdecimal() and int(value) > 0):
                or_auto = ", or auto for as many as fit" if name == "batch_size" else ""
                raise SettingsError(f"{name}={value}: give a whole number above 0{or_auto}")
        if not auto:
            return cls(rows=int(batch_size))
        kind = "cpu" if device.type == "cpu" else "cuda"
        return cls(
            rows=int(max_batch_size) if max_batch_size else None,
            tokens=int(max_batch_tokens or TOKENS_PER_BATCH[kind]),
        )

    def __str__(self) -> str:
        parts = [f"{self.tokens} tokens a batch"] if self.tokens else []
        parts += [f"{self.rows} sequences a batch"] if self.rows else []
        return ", ".join(parts) or "batches of the engine's own"

    def holds(self, rows: int, width: int) -> bool:
        """Tell whether a batch is small enough."""
        return (self.rows is None or rows <= self.rows) and (
            self.tokens is None or rows * width <= self.tokens
        )

    def halve(self, rows: int, width: int) -> None:
        """Note that a batch was too large."""
        smaller = max(1, rows // 2)
        if self.tokens is not None:
            self.tokens = min(self.tokens, max(width, rows * width // 2))
        else:
            self.rows = min(self.rows or smaller, smaller)

    def room_within(self, free: float) -> float:
        """Return the room: what it was before, or ``free`` bytes where that is no longer right."""
        if self.room is None or self.room > _HOLDS_STILL * free:
            self.room = free
        return self.room
