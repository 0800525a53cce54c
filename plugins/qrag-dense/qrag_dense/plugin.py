"""The entry point: what this plugin registers. Imports neither torch nor transformers."""

from __future__ import annotations

from qrag_tasks.hookspecs import RegisterRetriever, hookimpl

from qrag_dense.retrievers import DPR, Contriever, Dense


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``contriever``, ``dpr`` and ``dense``."""
    register("contriever", Contriever)
    register("dpr", DPR)
    register("dense", Dense)
