"""LaMP-style personalized RAG tasks, retriever plugins and precision arms for lm_eval.

The public names are loaded on first use: this module is imported whenever lm_eval is
(see :mod:`qrag_tasks.harness.autoload`), so it imports nothing but what makes our tasks known.
"""

import os

if os.environ.get("QRAG_AUTOLOAD") != "0":
    from qrag_tasks.harness import autoload

    autoload.install()

TYPE_CHECKING = False  # what type checkers take for true, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from pluggy import HookimplMarker

    from qrag_tasks.arms.formats.base import Format
    from qrag_tasks.arms.formats.facts import LayerFacts, Precision, StoredLayer
    from qrag_tasks.errors import QragError
    from qrag_tasks.prompting.pipeline import PromptRecord
    from qrag_tasks.retrieval.base import Document, Query, Ranking, Retriever, ScoringRetriever
    from qrag_tasks.tasks.base import Sample, Task

    __version__: str
    hookimpl: HookimplMarker

__all__ = [
    "Document",
    "Format",
    "LayerFacts",
    "Precision",
    "PromptRecord",
    "QragError",
    "Query",
    "Ranking",
    "Retriever",
    "Sample",
    "ScoringRetriever",
    "StoredLayer",
    "Task",
    "__version__",
    "hookimpl",
]

_HOME = {
    "Document": "qrag_tasks.retrieval.base",
    "Format": "qrag_tasks.arms.formats.base",
    "LayerFacts": "qrag_tasks.arms.formats.base",
    "Precision": "qrag_tasks.arms.formats.base",
    "PromptRecord": "qrag_tasks.prompting.pipeline",
    "QragError": "qrag_tasks.errors",
    "Query": "qrag_tasks.retrieval.base",
    "Ranking": "qrag_tasks.retrieval.base",
    "Retriever": "qrag_tasks.retrieval.base",
    "ScoringRetriever": "qrag_tasks.retrieval.base",
    "StoredLayer": "qrag_tasks.arms.formats.base",
    "Sample": "qrag_tasks.tasks.base",
    "Task": "qrag_tasks.tasks.base",
    "hookimpl": "qrag_tasks.hookspecs",
}


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from importlib.metadata import version

        return version("qrag-tasks")
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
