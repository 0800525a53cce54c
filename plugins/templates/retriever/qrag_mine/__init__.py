"""The retriever ``mine``: documents that share words with the question."""

from __future__ import annotations

import re
from collections.abc import Callable

from qrag_tasks import Query, Retriever, ScoringRetriever, hookimpl

_WORD = re.compile(r"\w+")


class Mine(ScoringRetriever):
    """Ranks by the Jaccard index of two sets of words: |A and B| / |A or B|, 0 to 1.

    :param shortest: words of fewer letters are not counted; at least 1.
    """

    # The parameters are the options: `mine:shortest=3`. Refuse a value by ValueError.
    def __init__(self, shortest: int = 1) -> None:
        if shortest < 1:
            raise ValueError(f"shortest is {shortest}, expected at least 1")
        self.shortest = shortest

    # One number a document, in their order. Sorting, k and batches are done for you.
    def score(self, query: Query) -> list[float]:
        """Return the index of every document of ``query``."""
        asked = self._words(query.text)
        return [self._index(asked, self._words(document.text)) for document in query.documents]

    def _words(self, text: str) -> set[str]:
        return {word for word in _WORD.findall(text.lower()) if len(word) >= self.shortest}

    @staticmethod
    def _index(one: set[str], other: set[str]) -> float:
        return len(one & other) / len(one | other) if one or other else 0.0


@hookimpl
def qrag_register_retrievers(register: Callable[[str, Callable[..., Retriever]], None]) -> None:
    """Register ``mine``."""
    register("mine", Mine)
