"""The contract that every retriever keeps."""

from __future__ import annotations

from qrag_tasks.testing import RetrieverConformance


class TestPyserini(RetrieverConformance):
    spec = "pyserini"


class TestKrovetzWithStopWords(RetrieverConformance):
    spec = "pyserini:b=0.75,k1=1.2,stemmer=krovetz,stopwords=false"
