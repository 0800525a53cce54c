"""The lexical retrievers: ``bm25`` (LaMP's own), ``bm25-word`` and ``bm25-char``.

The scores are those of rank_bm25's ``BM25Okapi`` over the same tokens, to the last bit: every sum
is taken in the same order. The formula is the ATIRE variant of Okapi BM25
(Trotman, Puurula, Burgess 2014), with an idf below zero replaced by ``epsilon`` times the mean
idf of the collection.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Query, Ranking

_WORD = re.compile(r"\w+")


class BM25:
    """Okapi BM25; equal scores: the later document first, as in LaMP.

    The tokens are what stands between white space, case kept, as LaMP's code takes them.

    :param k1: saturation of a term's frequency, at least 0.
    :param b: strength of the length normalization, 0 to 1.
    :param epsilon: share of the mean idf that replaces a negative idf.
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25) -> None:
        if not 0 <= k1 < math.inf:
            raise ValueError(f"k1 is {k1}, expected at least 0")
        if not 0 <= b <= 1:
            raise ValueError(f"b is {b}, expected 0 to 1")
        if not math.isfinite(epsilon):
            raise ValueError(f"epsilon is {epsilon}, expected a finite number")
        self.k1 = k1
        self.b = b
        self.epsilon = epsilon

    def tokens(self, text: str) -> Sequence[str]:
        """Return the tokens of a text."""
        return text.split()

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`."""
        return [self._rank(query, k) for query in queries]

    def _rank(self, query: Query, k: int | None) -> Ranking:
        if not query.documents or k == 0:
            return Ranking()
        tokens = self.tokens
        scores = self.scores(
            tokens(query.text), [tokens(document.text) for document in query.documents]
        )
        order = np.argsort(scores, kind="stable")[::-1][:k].tolist()
        return Ranking(tuple(query.documents[i].id for i in order), tuple(scores[order].tolist()))

    def scores(
        self, query: Sequence[str], documents: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Return the score of every document, shape ``(len(documents),)``.

        :param query: tokens; a token that appears twice counts twice.
        :param documents: tokens of each document; at least one document.
        """
        total = np.zeros(len(documents))
        # word -> number of documents that contain it, in the order of first occurrence
        containing = Counter(chain.from_iterable(map(dict.fromkeys, documents)))
        words = [word for word in dict.fromkeys(query) if word in containing]
        if not words:
            return total
        column = {word: i for i, word in enumerate(words)}

        idf = self._idf(words, containing, len(documents))
        lengths = np.array([len(tokens) for tokens in documents])
        mean_length = int(lengths.sum()) / len(documents)
        # The tokens of a document that are in the query, as numbers: counted in one go, since
        # a dictionary a document is what takes the time of a plain implementation.
        columns = [[column[token] for token in tokens if token in column] for tokens in documents]
        cells = np.repeat(np.arange(len(documents)), [len(tokens) for tokens in columns])
        cells += np.fromiter(chain.from_iterable(columns), dtype=np.int64) * len(documents)
        frequency = np.bincount(cells, minlength=len(column) * len(documents))
        frequency = frequency.reshape(len(column), len(documents))
        saturation = self.k1 * (1 - self.b + self.b * lengths / mean_length)
        # Left at 0 where the word is absent: there an empty document would divide by 0 with b = 1.
        share = np.zeros(frequency.shape)
        np.divide(frequency * (self.k1 + 1), frequency + saturation, out=share, where=frequency > 0)
        parts = idf[:, None] * share
        for token in query:
            if token in column:
                total += parts[column[token]]
        return total

    def _idf(self, words: Sequence[str], containing: Counter[str], n: int) -> NDArray[np.float64]:
        by_count = [0.0] + [
            math.log(n - count + 0.5) - math.log(count + 0.5) for count in range(1, n + 1)
        ]
        everything = np.array(by_count)[np.fromiter(containing.values(), dtype=np.int64)]
        # cumsum adds from left to right, as a plain loop does; sum and np.sum do not.
        floor = self.epsilon * (float(np.cumsum(everything)[-1]) / len(everything))
        idf = [by_count[containing[word]] for word in words]
        return np.array([floor if value < 0 else value for value in idf])


class WordBM25(BM25):
    """BM25 over lower-cased words: runs of letters, digits and ``_``."""

    def tokens(self, text: str) -> list[str]:
        """Return the words of a text."""
        return _WORD.findall(text.lower())


class CharacterBM25(BM25):
    """BM25 over single characters: what arXiv 2406.10251 measured under the name of BM25.

    Its code gave whole strings to rank_bm25, which takes each for a sequence of tokens. The
    rankings are near to random; they are here to reproduce that paper.
    """

    def tokens(self, text: str) -> str:
        """Return the text itself: a sequence of characters."""
        return text


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``bm25``, ``bm25-word`` and ``bm25-char``."""
    register("bm25", BM25)
    register("bm25-word", WordBM25)
    register("bm25-char", CharacterBM25)
