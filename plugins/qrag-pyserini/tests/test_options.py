"""The options, what they refuse, and what is known of a retriever before it ranks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from qrag_tasks.errors import RetrieverError
from qrag_tasks.plugins import build_retriever

from qrag_pyserini.retriever import PyseriniBM25


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("k1=-1", "k1 is -1.0, expected at least 0"),
        ("k1=nan", "k1 is nan"),
        ("b=1.5", "b is 1.5, expected 0 to 1"),
        ("stemmer=snowball", "stemmer is 'snowball', expected one of porter, krovetz, none"),
        ("language=xx", "language is 'xx', expected one of ar, bn"),
        ("language=de,stemmer=none", "English only"),
        ("language=de,stopwords=false", "English only"),
        ("heap=lots", "heap is 'lots', expected a size such as 512m"),
        ("stem=porter", "has no option 'stem'"),
    ],
)
def test_a_wrong_option_is_named(option: str, told: str) -> None:
    with pytest.raises(RetrieverError, match=told):
        build_retriever(f"pyserini:{option}")


def test_the_fingerprint_names_the_versions() -> None:
    named = build_retriever("pyserini:k1=1.2")
    assert named.spec == "pyserini:k1=1.2"
    assert set(named.fingerprint.identity) == {"pyserini", "anserini"}
    assert named.fingerprint.options["b"] == 0.4


def test_without_a_jar_ranking_says_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from profiles import profile

    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))
    retriever = PyseriniBM25(heap="77m")  # no worker of another test has this
    assert set(retriever.identity) == {"pyserini"}
    with pytest.raises(RetrieverError, match=r"'q1': no anserini-\*-fatjar.jar in"):
        retriever.rank([profile("tea")])


def test_building_and_naming_it_loads_nothing_heavy() -> None:
    program = """
import sys
from qrag_tasks.plugins import build_retriever
named = build_retriever("pyserini")
named.fingerprint.digest
heavy = {"jnius", "jnius_config", "pyserini", "torch", "transformers"} & set(sys.modules)
assert not heavy, heavy
import qrag_pyserini.client
assert not qrag_pyserini.client._workers
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
