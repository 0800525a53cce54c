"""How long many questions about one large collection of documents take to rank.

``python benchmarks/shared_documents.py [--questions 500] [--documents 10000]`` writes own data of
made-up words into a temporary folder, and ranks all of it as ``qrag rank own`` does; then a few
questions as if each had documents of its own, which is what sharing them saves.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.queries import make_query
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.tasks.catalog import TASKS

CORPUS = """
name = "shared"
license = "CC0-1.0"
[splits]
dev = "dev.jsonl"
[documents]
file = "documents.jsonl"
[answer]
kind = "exact"
"""
ALONE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=100, help="of a document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QRAG_CACHE"] = f"{folder}/cache"
        write(Path(folder), given.questions, given.documents, given.words)
        start = time.perf_counter()
        data = TASKS["own"].load(folder)
        print(f"read once: {time.perf_counter() - start:.1f} s")
        retriever = build_retriever("bm25")
        start = time.perf_counter()
        *_, last = Rankings(data, retriever).fill()
        each = (time.perf_counter() - start) / last.total
        print(f"ranked and kept: {last.total} questions, {each * 1000:.0f} ms each")
        start = time.perf_counter()
        for sample in data.samples[:ALONE]:
            retriever.rank([make_query(data.task, sample, retriever)])
        each = (time.perf_counter() - start) / ALONE
        print(f"each as if its documents were its own: {each * 1000:.0f} ms")


def write(folder: Path, questions: int, documents: int, words: int) -> None:
    draw = random.Random(0)
    known = [f"w{n}" for n in range(30_000)]
    shares = [1 / (n + 1) for n in range(len(known))]

    def text(length: int) -> str:
        return " ".join(draw.choices(known, shares, k=length))

    def put(name: str, records: list[dict[str, str]]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / name).write_text(lines, encoding="utf-8")

    (folder / "corpus.toml").write_text(CORPUS, encoding="utf-8")
    put("documents.jsonl", [{"id": f"d{n}", "text": text(words)} for n in range(documents)])
    asked = [{"id": f"q{n}", "question": text(12), "answer": text(2)} for n in range(questions)]
    put("dev.jsonl", asked)


if __name__ == "__main__":
    main()
