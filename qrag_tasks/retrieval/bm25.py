"""The lexical retrievers: ``bm25`` (LaMP's own), ``bm25-word`` and ``bm25-char``.

The scores are those of rank_bm25's ``BM25Okapi`` over the same tokens, to the last bit: every sum
is taken in the same order. The formula is the ATIRE variant of Okapi BM25
(Trotman, Puurula, Burgess 2014), with an idf below zero replaced by ``epsilon`` times the mean
idf of the collection.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Document, Query, Ranking

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
        self._last: tuple[bytes, _Index] | None = None

    def tokens(self, text: str) -> Sequence[str]:
        """Return the tokens of a text."""
        return text.split()

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`.

        Documents that several queries share, the same tuple, are indexed once.
        """
        asked = Counter(id(query.documents) for query in queries)
        indexes: dict[int, _Index] = {}
        rankings = []
        for query in queries:
            key = id(query.documents)
            if asked[key] > 1 and key not in indexes and query.documents:
                indexes[key] = self._index_of(query.documents)
            rankings.append(self._rank(query, k, indexes.get(key)))
        return rankings

    def _rank(self, query: Query, k: int | None, index: _Index | None) -> Ranking:
        if not query.documents or k == 0:
            return Ranking()
        words = self.tokens(query.text)
        if index is not None:
            scores = index.scores(words)
        else:
            scores = self.scores(words, [self.tokens(each.text) for each in query.documents])
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

        idf = self.idf(words, containing, len(documents))
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

    def idf(self, words: Sequence[str], containing: Counter[str], n: int) -> NDArray[np.float64]:
        """Return the inverse document frequency of words.

        :param containing: every word of the documents -> how many of the ``n`` contain it, in the
            order of first occurrence.
        """
        by_count = [0.0] + [
            math.log(n - count + 0.5) - math.log(count + 0.5) for count in range(1, n + 1)
        ]
        everything = np.array(by_count)[np.fromiter(containing.values(), dtype=np.int64)]
        # cumsum adds from left to right, as a plain loop does; sum and np.sum do not.
        floor = self.epsilon * (float(np.cumsum(everything)[-1]) / len(everything))
        idf = [by_count[containing[word]] for word in words]
        return np.array([floor if value < 0 else value for value in idf])

    def _index_of(self, documents: Sequence[Document]) -> _Index:
        """Return the index of documents that queries share: the last one, where it is of them.

        It is known again by the texts, as documents are not to be kept after a call.
        """
        digest = hashlib.blake2b()
        for document in documents:
            text = document.text.encode(errors="surrogatepass")
            digest.update(len(text).to_bytes(8, "little") + text)
        key = digest.digest()
        if self._last is None or self._last[0] != key:
            self._last = key, _Index(self, [self.tokens(each.text) for each in documents])
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the index behind."""
        return {**vars(self), "_last": None}


class _Index:
    """Where every word of some documents is: the scores of :meth:`BM25.scores`, to the last bit.

    :param documents: tokens of each document; at least one document.
    """

    def __init__(self, bm25: BM25, documents: Sequence[Sequence[str]]) -> None:
        self._bm25 = bm25
        self._size = len(documents)
        self._containing = Counter(chain.from_iterable(map(dict.fromkeys, documents)))
        self._numbers = {word: number for number, word in enumerate(self._containing)}
        lengths = np.array([len(tokens) for tokens in documents])
        words = np.fromiter(
            map(self._numbers.__getitem__, chain.from_iterable(documents)), dtype=np.int64
        )
        cells = words * self._size + np.repeat(np.arange(self._size), lengths)
        # One entry for each word of each document, by word, then by document.
        cells, self._frequency = np.unique(cells, return_counts=True)
        self._documents = cells % self._size
        ends = np.arange(len(self._numbers) + 1)
        self._starts = np.searchsorted(cells // self._size, ends)
        mean_length = int(lengths.sum()) / self._size
        self._saturation = bm25.k1 * (1 - bm25.b + bm25.b * lengths / (mean_length or 1))

    def scores(self, query: Sequence[str]) -> NDArray[np.float64]:
        """Return the score of every document."""
        total = np.zeros(self._size)
        words = [word for word in dict.fromkeys(query) if word in self._numbers]
        if not words:
            return total
        parts = {}
        for word, idf in zip(
            words, self._bm25.idf(words, self._containing, self._size), strict=True
        ):
            number = self._numbers[word]
            of_word = slice(self._starts[number], self._starts[number + 1])
            places, frequency = self._documents[of_word], self._frequency[of_word]
            share = frequency * (self._bm25.k1 + 1) / (frequency + self._saturation[places])
            parts[word] = places, idf * share
        for token in query:
            if token in parts:
                places, part = parts[token]
                total[places] += part
        return total


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
