"""``first``, ``random`` and ``none``."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.plugins import build_retriever
from qrag_tasks.retrieval.base import Document, Query


def query_of(name: str, size: int) -> Query:
    return Query(name, "tea", tuple(Document(f"d{i}", "tea") for i in range(size)))


def test_first_keeps_the_order_of_the_data() -> None:
    (ranking,) = build_retriever("first").rank([query_of("q", 4)], 3)
    assert ranking.ids == ("d0", "d1", "d2")


def test_none_ranks_nothing() -> None:
    (ranking,) = build_retriever("none").rank([query_of("q", 4)], 3)
    assert ranking.ids == ()


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5))
def test_random_draws_without_replacement(size: int, k: int, seed: int) -> None:
    retriever = build_retriever(f"random:seed={seed}")
    (everything,) = retriever.rank([query_of("q", size)])
    (best,) = retriever.rank([query_of("q", size)], k)
    assert sorted(everything.ids) == sorted(f"d{i}" for i in range(size))
    assert best.ids == everything.ids[:k]


def test_random_depends_on_the_query_and_the_seed_only() -> None:
    one, other = query_of("1", 20), query_of("2", 20)
    retriever = build_retriever("random")
    together = retriever.rank([one, other])
    assert together == [retriever.rank([one])[0], retriever.rank([other])[0]]
    assert together[0].ids != together[1].ids
    assert build_retriever("random:seed=1").rank([one])[0].ids != together[0].ids


def test_random_is_the_same_in_every_process() -> None:
    code = (
        "from qrag_tasks.plugins import build_retriever\n"
        "from qrag_tasks import Document, Query\n"
        "q = Query('q', '', tuple(Document(f'd{i}', '') for i in range(20)))\n"
        "print(*build_retriever('random:seed=3').rank([q])[0].ids)"
    )
    orders = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    (here,) = build_retriever("random:seed=3").rank([query_of("q", 20)])
    assert orders == {" ".join(here.ids) + "\n"}
