"""How much retrievers agree: ``python benchmarks/overlap.py --data FOLDER RETRIEVER...``.

Prints, for every pair of retrievers, the share of their best k documents that they have in common,
averaged over the users who have more than k (with k or fewer, all retrievers agree). What is kept
in the cache is read; the rest is ranked.
"""

from __future__ import annotations

import argparse
import statistics

from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.table import LAMP_TASKS


def best_documents(task: str, root: str, spec: str, k: int) -> list[frozenset[str]]:
    dataset = data.load(LAMP_TASKS[task], root)
    indices = [i for i, sample in enumerate(dataset.samples) if len(sample.profile) > k]
    rankings = Rankings(dataset, build_retriever(spec))
    return [frozenset(ranking.ids) for ranking in rankings.of(indices, k)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="data root with lamp3u and lamp5u")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("retrievers", nargs="+", metavar="RETRIEVER")
    options = parser.parse_args()
    for task in ("lamp3u", "lamp5u"):
        found = [best_documents(task, options.data, s, options.k) for s in options.retrievers]
        print(f"{task}: top-{options.k} overlap, {len(found[0])} users with more documents")
        numbers = [str(i) for i in range(1, len(found) + 1)]
        print(" " * 4 + "".join(number.rjust(6) for number in numbers))
        for number, spec, row in zip(numbers, options.retrievers, found, strict=True):
            shares = [
                statistics.mean(len(a & b) / options.k for a, b in zip(row, column, strict=True))
                for column in found
            ]
            print(number.rjust(4) + "".join(f"{share:6.2f}" for share in shares) + f"  {spec}")
        print()


if __name__ == "__main__":
    main()
