"""The entry point: tells qrag-tasks of the retriever ``pyserini``. Imports no Java."""

from __future__ import annotations

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl

from qrag_pyserini.retriever import PyseriniBM25


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``pyserini``."""
    register("pyserini", PyseriniBM25)
