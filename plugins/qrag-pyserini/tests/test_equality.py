"""The ranking and every score are those of plain Pyserini over an index on disk."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from profiles import REVIEWS, profile
from qrag_pyserini.java import find_java
from qrag_pyserini.retriever import PyseriniBM25

_WORDS = ("models", "of", "neural", "parsing", "parse", "parses", "the", "graph", "data")
_ABSTRACTS = [  # lengths 1 to 400, so that most are rounded in Lucene's byte
    " ".join(random.Random(i).choices(_WORDS, k=i * i)) for i in range(1, 21)
]
_CASES: dict[str, tuple[dict[str, Any], str, Any, dict[str, Any], list[str]]] = {
    # name: options, query, texts, arguments of get_lucene_analyzer, options of the index command
    "defaults": ({}, "coffee for my organization and the runners, coffee!", REVIEWS, {}, []),
    "whole review": ({}, " ".join(REVIEWS), REVIEWS, {}, []),
    "long documents": ({}, "parsing the graph of models, models", _ABSTRACTS, {}, []),
    "k1 and b": ({"k1": 1.7, "b": 0.9}, "parse neural data", _ABSTRACTS, {}, []),
    "b 0 and k1 0": ({"k1": 0.0, "b": 0.0}, "parse neural coffee", _ABSTRACTS, {}, []),
    "krovetz": (
        {"stemmer": "krovetz"},
        "organizations running on coffees",
        REVIEWS,
        {"stemmer": "krovetz"},
        ["--stemmer", "krovetz"],
    ),
    "unstemmed, with stop words": (
        {"stemmer": "none", "stopwords": False},
        "the coffee of the organization",
        REVIEWS,
        {"stemming": False, "stopwords": False},
        ["--stemmer", "none", "--keepStopwords"],
    ),
    "german": (
        {"language": "de"},
        "bester kaffee the beans 🍯",
        REVIEWS,
        {"language": "de"},
        ["--language", "de"],
    ),
    "chinese": ({"language": "zh"}, "茉莉花", REVIEWS, {"language": "zh"}, ["--language", "zh"]),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[Any]]]:
    folder = tmp_path_factory.mktemp("plain")
    cases = [
        {
            "query": query,
            "documents": [(d.id, d.text) for d in profile(query, texts).documents],
            "k1": options.get("k1", 0.9),
            "b": options.get("b", 0.4),
            "analyzer": analyzer,
            "index_options": index_options,
        }
        for options, query, texts, analyzer, index_options in _CASES.values()
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("plain_pyserini.py")
    # In its own process: ours loads no Java.
    command = [sys.executable, str(script), str(find_java().home), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rankings = json.loads((folder / "rankings.json").read_text())
    return dict(zip(_CASES, rankings, strict=True))


@pytest.mark.parametrize("name", _CASES)
def test_ranking_and_scores_equal_plain_pyserini(
    name: str, plain: dict[str, list[list[Any]]]
) -> None:
    options, query, texts, _, _ = _CASES[name]
    [ranking] = PyseriniBM25(**options).rank([profile(query, texts)])
    matching = [pair for pair in zip(ranking.ids, ranking.scores, strict=True) if pair[1]]
    assert matching, "the case shows nothing"
    searcher, lucene = plain[name]
    assert matching == [tuple(pair) for pair in lucene]
    assert [document for document, _ in matching] == [document for document, _ in searcher]
    assert [s for _, s in matching] == pytest.approx([s for _, s in searcher], abs=1e-4)
