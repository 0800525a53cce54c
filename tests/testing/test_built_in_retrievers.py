"""The built-in retrievers keep the contract."""

# ruff: noqa: RUF012 - read only, and written as plugin authors write it

from __future__ import annotations

from pathlib import Path

import pytest

from qrag_tasks.plugins import RETRIEVERS, build_retriever
from qrag_tasks.retrieval.trec import run_lines
from qrag_tasks.testing import RetrieverConformance
from qrag_tasks.testing.examples import ODD_IDS, every_query


class TestBM25(RetrieverConformance):
    spec = "bm25"


class TestBM25WithOptions(RetrieverConformance):
    spec = "bm25:k1=0.9,b=1"


class TestWordBM25(RetrieverConformance):
    spec = "bm25-word"


class TestCharacterBM25(RetrieverConformance):
    spec = "bm25-char"


class TestRandom(RetrieverConformance):
    spec = "random:seed=3"


class TestOracle(RetrieverConformance):
    spec = "oracle"


class TestFirst(RetrieverConformance):
    spec = "first"
    expected_failures = {"differs_by_query": "the order is the data's"}


class TestRecency(RetrieverConformance):
    spec = "recency"
    expected_failures = {"differs_by_query": "it looks at dates only"}


class TestNone(RetrieverConformance):
    spec = "none"
    expected_failures = {
        "differs_by_query": "it returns no document",
        "k_documents": "it returns no document",
    }


class TestRun(RetrieverConformance):
    expected_failures = {
        "ids_kept": "a run file is of one data set",
        "query_ids_reused": "a run file is of one data set",
    }

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def run_file(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        queries = [query for query in every_query() if query is not ODD_IDS]
        rankings = build_retriever("bm25").rank(queries)
        samples = [(query.id, ranking) for query, ranking in zip(queries, rankings, strict=True)]
        file = Path(tmp_path_factory.mktemp("run"), "bm25.trec")
        file.write_text("".join(run_lines(samples, "bm25")), encoding="utf-8")
        cls.spec = f"run:{file}"


def test_none_is_left_out() -> None:
    held = {kind.spec.partition(":")[0] for kind in RetrieverConformance.__subclasses__()}
    assert {
        name
        for name, plugin in RETRIEVERS.all().items()
        if plugin.origin.distribution == "qrag-tasks"
    } <= held | {"run"}
