"""Imports that stay cheap, pickled copies, other processes."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from qrag_tasks import plugins
from queries import python, query, random_texts

from qrag_dense.retrievers import DPR, Contriever, Dense

BUILD = """
import sys
from qrag_tasks.plugins import RETRIEVERS, build_retriever
assert {"contriever", "dpr", "dense"} <= set(RETRIEVERS.all())
named = build_retriever(f"contriever:model={sys.argv[1]}")
assert named.fingerprint.identity["model"].startswith("sha256:")
heavy = ("torch", "transformers", "sentence_transformers", "huggingface_hub", "tokenizers")
print([name for name in heavy if name in sys.modules])
"""


def test_building_imports_nothing_heavy(bert: Path) -> None:
    assert python(BUILD, str(bert)).stdout.strip() == "[]"


def test_the_plugin_is_in_order() -> None:
    (plugin,) = (p for p in plugins.plugins() if p.origin.distribution == "qrag-dense")
    assert plugin.state == "ok", plugin.cause
    assert list(plugins.RETRIEVERS.of(plugin)) == ["contriever", "dpr", "dense"]


def test_a_pickled_copy_ranks_alike(bert: Path, dpr_question: Path, dpr_context: Path) -> None:
    asked = [query("tea", random_texts(10))]
    for retriever in (
        Contriever(model=str(bert)),
        Dense(model=str(bert)),
        DPR(question_model=str(dpr_question), context_model=str(dpr_context)),
    ):
        fresh = pickle.loads(pickle.dumps(retriever))  # noqa: S301 - our own
        rankings = retriever.rank(asked)
        # Weights are not in it: a loaded retriever is as small as a fresh one.
        assert len(pickle.dumps(retriever)) < 4000
        used = pickle.loads(pickle.dumps(retriever))  # noqa: S301 - our own
        assert fresh.rank(asked) == used.rank(asked) == rankings
        assert used.identity == retriever.identity


def test_a_spawned_process_ranks_alike(bert: Path) -> None:
    retriever = Contriever(model=str(bert))
    old, new = [query("tea", random_texts(10))], [query("cat", random_texts(10, seed=9))]
    here = retriever.rank(old)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(retriever.rank, old).result() == here
        there = pool.submit(retriever.rank, new).result()
    assert retriever.rank(new) == there
