"""What a task is made of: its depth so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Depth:
    """How deep prompts go into a ranking: the k of a task's name.

    :ivar documents: how many documents are asked for; ``None`` for as many as fit :attr:`window`.
    :ivar window: the tokens for prompt and answer together that are to be filled, a multiple of
        1,024; ``None`` where a number of documents is asked for.
    """

    documents: int | None
    window: int | None = None

    @classmethod
    def parse(cls, k: int | str) -> Depth:
        """Return the depth that a task's name or a plan writes as ``k``: ``5`` or ``"max4k"``.

        :raises ValueError: when it is neither a number of documents nor a window of
            :data:`DEPTHS`; the message says what was expected.
        """
        windows = {str(depth): depth for depth in DEPTHS if depth.window}
        if (known := windows.get(str(k))) is not None:
            return known
        if not str(k).isdecimal():
            raise ValueError(f"expected a number of documents, or one of {', '.join(windows)}")
        return cls(int(k))

    def __str__(self) -> str:
        """Return it as :meth:`parse` reads it."""
        return str(self.documents) if self.window is None else f"max{self.window // 1024}k"

    @property
    def in_words(self) -> str:
        """What is asked for: ``"5"``, or ``"as many as fit 4,096 tokens"``."""
        if self.window is None:
            return str(self.documents)
        return f"as many as fit {self.window:,} tokens"


DEPTHS = (*map(Depth, (0, 1, 3, 5, 10)), Depth(None, 4096), Depth(None, 8192))
"""The depths of the tasks that lm_eval knows from us, in the order of lists and tables."""
