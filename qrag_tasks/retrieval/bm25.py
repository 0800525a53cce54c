"""``bm25``: LaMP's own lexical retriever.

The scores are those of rank_bm25's ``BM25Okapi`` over ``str.split()`` tokens, case kept, to the
last bit: every sum is taken in the same order. The formula is the ATIRE variant of Okapi BM25
(Trotman, Puurula, Burgess 2014), with an idf below zero replaced by ``epsilon`` times the mean
idf of the collection.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Query, Ranking


class BM25:
    """Okapi BM25 over whitespace tokens; equal scores: the later document first, as in LaMP.

    :param k1: saturation of a term's frequency, at least 0.
    :param b: strength of the length normalization, 0 to 1.
    :param epsilon: share of the mean idf that replaces a negative idf.
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25) -> None:
        for name, value in (("k1", k1), ("b", b), ("epsilon", epsilon)):
            if not isinstance(value, (int, float)):
                raise ValueError(f"{name} is {value!r}, expected a number")
        if not k1 >= 0:
            raise ValueError(f"k1 is {k1}, expected at least 0")
        if not 0 <= b <= 1:
            raise ValueError(f"b is {b}, expected 0 to 1")
        self.k1 = k1
        self.b = b
        self.epsilon = epsilon

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [self._rank(query, k) for query in queries]

    def _rank(self, query: Query, k: int | None) -> Ranking:
        if not query.documents or k == 0:
            return Ranking()
        scores = self.scores(
            query.text.split(), [document.text.split() for document in query.documents]
        )
        order = np.argsort(scores, kind="stable")[::-1][:k].tolist()
        return Ranking(tuple(query.documents[i].id for i in order), tuple(scores[order].tolist()))

    def scores(
        self, query: Sequence[str], documents: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Return the score of every document, shape ``(len(documents),)``.

        :param query: tokens; a token that stands twice counts twice.
        :param documents: tokens of each document; at least one document.
        """
        total = np.zeros(len(documents))
        frequencies = [Counter(tokens) for tokens in documents]
        containing: Counter[str] = Counter()  # word -> number of documents that contain it
        for counts in frequencies:
            containing.update(counts.keys())
        words = [word for word in dict.fromkeys(query) if word in containing]
        if not words:
            return total

        idf = self._idf(words, containing, len(documents))
        lengths = np.array([len(tokens) for tokens in documents])
        mean_length = int(lengths.sum()) / len(documents)
        frequency = np.array([[counts[word] for counts in frequencies] for word in words])
        saturation = self.k1 * (1 - self.b + self.b * lengths / mean_length)
        # Left at 0 where the word is absent: there an empty document would divide by 0 with b = 1.
        share = np.zeros(frequency.shape)
        np.divide(frequency * (self.k1 + 1), frequency + saturation, out=share, where=frequency > 0)
        parts = idf[:, None] * share
        row = {word: parts[i] for i, word in enumerate(words)}
        for token in query:
            if token in row:
                total += row[token]
        return total

    def _idf(self, words: Sequence[str], containing: Counter[str], n: int) -> NDArray[np.float64]:
        by_count = [0.0] + [
            math.log(n - count + 0.5) - math.log(count + 0.5) for count in range(1, n + 1)
        ]
        everything = np.array([by_count[count] for count in containing.values()])
        # cumsum adds from left to right, as a plain loop does; sum and np.sum do not.
        floor = self.epsilon * (float(np.cumsum(everything)[-1]) / len(everything))
        idf = [by_count[containing[word]] for word in words]
        return np.array([floor if value < 0 else value for value in idf])


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``bm25``."""
    register("bm25", BM25)
