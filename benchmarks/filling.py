"""How long it takes to fill a window with whole documents, against plain bisection.

    python benchmarks/filling.py [--documents 1000] [--window 4096] [--tokenizer MODEL]

Both measure finished prompts; bisection starts with that of all documents. The tokenizer is the
embedded model's where none is named.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.locations import embedded_model
from qrag_tasks.prompting.fitting import fit_documents

WORDS = ("river", "bank", "boat", "fish", "water", "long", "old", "stone", "bridge", "town")
ROUNDS = 5


def bisected(lengths: list[int], tokens_with: Callable[[int], int], budget: int) -> int:
    if tokens_with(len(lengths)) <= budget:
        return len(lengths)
    fits, too_many = 0, len(lengths)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if tokens_with(middle) <= budget:
            fits = middle
        else:
            too_many = middle
    return fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--tokenizer")
    options = parser.parse_args()
    text = model_text({"pretrained": options.tokenizer or str(embedded_model())})
    if text is None:
        raise SystemExit(f"no tokenizer in {options.tokenizer}")
    seeded = random.Random(0)
    documents = [
        " ".join(seeded.choices(WORDS, k=seeded.randint(20, 300))) for _ in range(options.documents)
    ]
    lengths = [len(document) for document in documents]

    def tokens_with(n: int) -> int:
        return text.count(", and ".join(documents[:n]))

    seconds: dict[str, list[float]] = {"fit_documents": [], "bisection": []}
    found = set()
    for _ in range(ROUNDS):
        for name, fit in (("fit_documents", fit_documents), ("bisection", bisected)):
            start = time.perf_counter()
            found.add(fit(lengths, tokens_with, options.window))
            seconds[name].append(time.perf_counter() - start)
    if len(found) > 1:
        raise SystemExit(f"they disagree: {found}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:14} {median * 1000:8.1f} ms a prompt")
    print(f"{found.pop()} of {options.documents} documents in {options.window} tokens")
    print(f"ratio {medians['fit_documents'] / medians['bisection']:.3f}")


if __name__ == "__main__":
    main()
