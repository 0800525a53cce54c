"""Watches a model's logits while it generates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.not_a_number import not_a_number


class Watch:
    """A ``LogitsProcessor`` that changes nothing and notes whose logits are NaN.

    It notes on the device, so that no step has to wait for it; but where tokens are drawn, which
    cannot be done from NaN, it checks at every step.

    :param names: of the requests of the batch.
    :param drawn: whether tokens are drawn.
    """

    def __init__(self, names: Sequence[str], engine: Engine, drawn: bool) -> None:
        self._names = names
        self._engine = engine
        self._drawn = drawn
        self._broken: Any = None
        self._ends: Any = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Look at the logits of one step, of shape (sequences, vocabulary), and return them."""
        import torch

        broken = scores.amax(dim=-1).isnan()
        if self._broken is None:
            decoding = self._engine.decoding
            ends = [*decoding.end_tokens, decoding.pad_token]
            self._ends = torch.tensor(ends, device=input_ids.device)
            self._broken = broken
        else:
            # What ended goes on with padding, and means nothing.
            self._broken |= broken & ~torch.isin(input_ids[:, -1], self._ends)
        if self._drawn:
            self.check()
        return scores

    def check(self) -> None:
        """Check that all logits so far were numbers.

        :raises ModelError: when those of a request were not.
        """
        if self._broken is not None and bool(self._broken.any()):
            # With beams, a request has several sequences, one after the other.
            row = int(self._broken.int().argmax()) * len(self._names) // len(self._broken)
            raise not_a_number(self._names[row], self._engine)
