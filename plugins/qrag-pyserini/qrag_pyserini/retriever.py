"""The retriever ``pyserini``: its options, and the whole profile in the order of Lucene's BM25."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from qrag_tasks.errors import RetrieverError
from qrag_tasks.retrieval.base import Query, Ranking

from qrag_pyserini.anserini import versions
from qrag_pyserini.client import WorkerError, lucene_worker

STEMMERS = ("porter", "krovetz", "none")
"""The stemmers of Anserini's English analyser; ``none`` leaves words as they are."""

LANGUAGES = tuple(
    "ar bn da de en es fi fr hi hu id it ja ko nl no pt ru te th tr zh".split()  # noqa: SIM905 -- legible
)
"""The languages for which ``pyserini.analysis.get_lucene_analyzer`` has an analyser."""

_HEAP = re.compile(r"[1-9][0-9]*[kKmMgG]?")


class PyseriniBM25:
    """BM25 as Lucene computes it, over each user's profile; equal scores: the earlier first.

    Every profile is a collection of its own. Tokens, query and scores are those of Pyserini's
    ``LuceneSearcher`` over an index of Anserini's ``IndexCollection``, but that Anserini rounds
    the scores to four decimals afterwards. The variant of BM25 is the one without ``k1 + 1`` in
    the numerator, with an idf that is never negative, 32-bit, and with document lengths kept in
    one byte: exact up to 40 tokens, rounded down above (Robertson and Zaragoza 2009; on the
    variants Kamphuis, de Vries, Boytsov and Lin 2020, where this is "Lucene (default)").
    Documents that share no term with the query follow with the score 0, in the data's order.

    The work is done in a process of its own (:mod:`qrag_pyserini.client`).

    :param k1: saturation of a term's frequency, at least 0. Anserini's default is 0.9.
    :param b: strength of the length normalization, 0 to 1. Anserini's default is 0.4.
    :param stemmer: one of :data:`STEMMERS`, for English only.
    :param stopwords: whether Lucene's 33 English stop words are left out; for English only.
    :param language: whose analyser, one of :data:`LANGUAGES`. Those other than English have their
        own stemmer and stop words.
    :param heap: the most memory that Java may take for its objects, as in ``-Xmx1g``. Changes no
        ranking.
    :param java: the folder of a Java 21 or later; where empty, see
        :func:`qrag_pyserini.java.find_java`. Changes no ranking.
    """

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        stemmer: str = "porter",
        stopwords: bool = True,
        language: str = "en",
        heap: str = "1g",
        java: str = "",
    ) -> None:
        if not 0 <= k1 < math.inf:
            raise ValueError(f"k1 is {k1}, expected at least 0")
        if not 0 <= b <= 1:
            raise ValueError(f"b is {b}, expected 0 to 1")
        if stemmer not in STEMMERS:
            raise ValueError(f"stemmer is {stemmer!r}, expected one of {', '.join(STEMMERS)}")
        if language not in LANGUAGES:
            raise ValueError(f"language is {language!r}, expected one of {', '.join(LANGUAGES)}")
        if language != "en" and (stemmer != "porter" or not stopwords):
            raise ValueError(
                f"stemmer and stopwords are choices for English only: "
                f"the analyser of {language!r} has its own"
            )
        if not _HEAP.fullmatch(heap):
            raise ValueError(f"heap is {heap!r}, expected a size such as 512m or 2g")
        self.k1 = k1
        self.b = b
        self.stemmer = stemmer
        self.stopwords = stopwords
        self.language = language
        self.heap = heap
        self.java = java

    @property
    def identity(self) -> dict[str, str]:
        """The versions of Pyserini and Anserini: a newer analyser may rank otherwise."""
        return versions()

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank the documents of every query; see :class:`~qrag_tasks.retrieval.base.Retriever`.

        :raises RetrieverError: when there is no Java 21, or the worker fails or ends; it names
            the sample. The next call starts a new worker.
        """
        return [self._rank(query).best(k) if k != 0 else Ranking() for query in queries]

    def _rank(self, query: Query) -> Ranking:
        if not query.documents:
            return Ranking()
        try:
            found = lucene_worker(self.java, self.heap).ask(
                {
                    "analyzer": {
                        "language": self.language,
                        "stemming": self.stemmer != "none",
                        "stemmer": self.stemmer,
                        "stopwords": self.stopwords,
                    },
                    "k1": self.k1,
                    "b": self.b,
                    "query": query.text,
                    "documents": [document.text for document in query.documents],
                }
            )
        except WorkerError as error:
            raise RetrieverError(
                f"retriever 'pyserini' from qrag-pyserini, sample {query.id!r}: {error}"
            ) from error
        matching: list[int] = found["documents"]
        others = sorted(set(range(len(query.documents))).difference(matching))
        return Ranking(
            tuple(query.documents[i].id for i in (*matching, *others)),
            (*found["scores"], *[0.0] * len(others)),
        )
