"""Profiles to rank, and functions that a child process can import."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks import Document, Query, Ranking

from qrag_pyserini.client import lucene_worker
from qrag_pyserini.retriever import PyseriniBM25

REVIEWS = (
    "Best coffee I have had in years; the beans are fresh and the roast is dark.",
    "Stale crackers. The box arrived crushed and the crackers tasted of cardboard.",
    "",
    "My kids love these gummy bears, but they are very sticky and far too sweet.",
    "The tea's aroma is lovely: jasmine, 茉莉花茶, and a hint of honey 🍯.",
    "Coffee again. Running out of coffee is not an option in our organization!",
    "the and of it",
    "Dried mango without sugar: chewy, organic, organized in small bags for runners.",
    "Coffee again. Running out of coffee is not an option in our organization!",
    "A" + " long review about olive oil, bread and salt" * 30,
)


def profile(query: str, texts: Sequence[str] = REVIEWS, id: str = "q1") -> Query:  # noqa: A002
    # Ids in the data's order are also in order as texts, by which plain Pyserini breaks ties.
    return Query(id, query, tuple(Document(f"d{i:04}", text) for i, text in enumerate(texts)))


def rank(retriever: PyseriniBM25, query: str = "coffee") -> Ranking:
    return retriever.rank([profile(query)])[0]


def pid_of_worker(_: int = 0) -> int:
    return lucene_worker("", "1g").pid
