"""Retrievers by name: options, plugins of third parties, broken plugins, broken rankings."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrag_tasks import plugins
from qrag_tasks.errors import RetrieverError
from qrag_tasks.plugins import build_retriever, registrations
from qrag_tasks.retrieval.base import Document, Query, Ranking, Retriever

QUERY = Query("7", "tea", (Document("a", "tea"), Document("b", "pot"), Document("c", "cup")))


def test_the_built_in_ones() -> None:
    assert set(registrations()) >= {"bm25", "first", "random", "none"}
    assert all(r.distribution == "qrag-tasks" for r in registrations().values())


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [
        ("bm25", "bm25"),
        (" bm25 ", "bm25"),
        ("bm25:", "bm25"),
        ("bm25:k1=0.9,b=0.4", "bm25:b=0.4,k1=0.9"),
        ("bm25:b=0.4, k1=0.9", "bm25:b=0.4,k1=0.9"),
        ("random:seed=3", "random:seed=3"),
    ],
)
def test_specs(spec: str, canonical: str) -> None:
    built = build_retriever(spec)
    assert built.spec == canonical
    assert isinstance(built.retriever, Retriever)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "bm52",
            r"unknown retriever 'bm52' \(known: bm25, first, random, none\). Did you mean 'bm25'",
        ),
        ("", r"unknown retriever ''"),
        ("bm25:k2=1", r"retriever 'bm25' has no option 'k2' \(known: k1, b, epsilon\)"),
        ("bm25:epsilom=1", r"Did you mean 'epsilon'"),
        ("first:seed=1", r"no option 'seed' \(known: none\)"),
        ("bm25:k1", r"'k1' is no option; write name:option=value"),
        ("bm25:b=7", r"refused: b is 7, expected 0 to 1"),
        ("bm25:k1=high", r"refused: k1 is 'high', expected a number"),
    ],
)
def test_bad_specs(spec: str, message: str) -> None:
    with pytest.raises(RetrieverError, match=message):
        build_retriever(spec)


class Wrong:
    """A retriever that answers with whatever it was given."""

    def __init__(self, *rankings: Ranking) -> None:
        self.rankings = rankings

    def rank(self, queries: object, k: int | None = None) -> list[Ranking]:
        return list(self.rankings)


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([], "returned 0 rankings for 1 queries"),
        ([Ranking(("a", "b"), (1.0,))], "2 ids but 1 scores"),
        ([Ranking(("a", "b", "c"), (3.0, 2.0, 1.0))], "3 documents where 2 were asked for"),
        ([Ranking(("a", "a"), (2.0, 1.0))], "a document stands twice"),
        ([Ranking(("a", "z"), (2.0, 1.0))], "not in the profile: 'z'"),
        ([Ranking(("a", "b"), (1.0, 2.0))], "scores rise"),
        ([Ranking(("a", "b"), (float("nan"), 2.0))], "not finite"),
        ([Ranking(("a", "b"), (float("inf"), 2.0))], "not finite"),
    ],
)
def test_a_broken_ranking_names_plugin_and_sample(rankings: list[Ranking], message: str) -> None:
    registration = plugins.Registration("wrong", Wrong, "qrag-wrong", "0.3")
    named = plugins.NamedRetriever("wrong", registration, Wrong(*rankings))
    with pytest.raises(RetrieverError, match=f"'wrong' from qrag-wrong 0.3: .*{message}"):
        named.rank([QUERY], 2)


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Put a distribution with a ``qrag`` entry point on the path, as an installed wheel is."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules: list[str] = []

    def put(name: str, code: str) -> None:
        modules.append(name)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = tmp_path / f"{name}-0.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(f"[qrag]\n{name} = {name}\n", encoding="utf-8")
        registrations.cache_clear()
        build_retriever.cache_clear()

    yield put
    for name in modules:
        sys.modules.pop(name, None)
    registrations.cache_clear()
    build_retriever.cache_clear()


GOOD = """
from qrag_tasks import Ranking, hookimpl

class Last:
    def __init__(self, step=1):
        self.step = step
    def rank(self, queries, k=None):
        ids = [[d.id for d in reversed(q.documents)][:k] for q in queries]
        return [Ranking(tuple(i), tuple(-float(n) for n in range(len(i)))) for i in ids]

@hookimpl
def qrag_register_retrievers(register):
    register("last", Last)
"""


def test_a_plugin_of_a_third_party(install: Callable[[str, str], None]) -> None:
    install("qrag_last", GOOD)
    built = build_retriever("last:step=2")
    assert built.rank([QUERY], 2)[0].ids == ("c", "b")
    assert (built.registration.distribution, built.registration.version) == ("qrag_last", "0.3")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        (GOOD.replace("qrag_register_retrievers", "qrag_register_retriever"), "unknown hook"),
        (GOOD.replace('register("last", Last)', "raise RuntimeError('boom')"), "boom"),
        (GOOD.replace('"last"', '"My Last"'), "retriever name 'My Last'"),
    ],
)
def test_a_broken_plugin_is_left_out_with_a_warning(
    install: Callable[[str, str], None], code: str, cause: str
) -> None:
    install("qrag_broken", code)
    with pytest.warns(RuntimeWarning, match=f"from qrag_broken 0.3 is left out: .*{cause}"):
        assert build_retriever("bm25").spec == "bm25"
    with pytest.raises(RetrieverError, match="unknown retriever 'last'"):
        build_retriever("last")


def test_one_name_twice_is_an_error(install: Callable[[str, str], None]) -> None:
    install("qrag_rival", GOOD.replace('"last"', '"bm25"'))
    with pytest.raises(
        RetrieverError,
        match=r"two plugins register the retriever 'bm25': qrag-tasks .* qrag_rival 0.3",
    ):
        build_retriever("first")
