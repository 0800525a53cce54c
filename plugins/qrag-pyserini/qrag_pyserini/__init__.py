"""Lucene BM25 through Pyserini, as a retriever of qrag-tasks: ``pyserini``.

No Java runs in the process that imports this: :mod:`qrag_pyserini.worker` has one of its own.
"""
