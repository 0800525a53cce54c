"""TREC run files, out and in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.errors import RetrieverError, StoreError
from qrag_tasks.plugins import build_retriever
from qrag_tasks.retrieval.base import Document, Query, Ranking
from qrag_tasks.retrieval.trec import run_lines, write_run


def query_of(name: str, *documents: str) -> Query:
    return Query(name, "", tuple(Document(d, "") for d in documents))


@given(
    st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
        max_size=4,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, scores: list[list[float]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "out.trec"
    rankings = {
        str(i): Ranking(tuple(f"d{j}" for j in range(len(s))), tuple(sorted(s, reverse=True)))
        for i, s in enumerate(scores)
    }
    assert write_run(path, run_lines(rankings.items(), "b m")) == sum(map(len, scores))
    retriever = build_retriever(f"run:{path}")
    queries = [query_of(name, *ranking.ids) for name, ranking in rankings.items()]
    assert retriever.rank(queries) == list(rankings.values())


def test_the_format(tmp_path: Path) -> None:
    lines = run_lines([("7", Ranking(("a", "b"), (1.5, -2.0)))], "bm25:k1=2.0, b=1")
    assert list(lines) == ["7 Q0 a 1 1.5 bm25:k1=2.0,_b=1\n", "7 Q0 b 2 -2.0 bm25:k1=2.0,_b=1\n"]


def test_a_file_of_another_tool(tmp_path: Path) -> None:
    """Tabs, any order, integers, ties by rank, empty lines."""
    path = tmp_path / "other.run"
    path.write_text("7\tQ0\tb\t3\t1\tx\n\n7 Q0 c 2 1 x\n7 Q0 a 1 9e0 x\r\n8 Q0 z 1 0 x")
    retriever = build_retriever(f"run:{path}")
    assert retriever.spec == f"run:{path}"
    (seven, eight, empty) = retriever.rank(
        [query_of("7", "a", "b", "c"), query_of("8", "z"), query_of("9")], 2
    )
    assert seven == Ranking(("a", "c"), (9.0, 1.0))
    assert eight.ids == ("z",)
    assert empty == Ranking()


def test_a_file_of_other_data_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.run"
    path.write_text("7 Q0 a 1 1 x\n")
    retriever = build_retriever(f"run:{path}")
    with pytest.raises(RetrieverError, match=r"has no query '8' \(it has 1: '7'\). Was it made"):
        retriever.rank([query_of("8", "a")])
    with pytest.raises(RetrieverError, match=r"sample '7': ids that are not in the profile: 'a'"):
        retriever.rank([query_of("7", "b")])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("7 Q0 a 1 1", "'7 Q0 a 1 1'"),
        ("7 Q0 a 1 high x", "is not 'query Q0 document rank score tag'"),
        ("7 Q0 a 1 nan x", "nan x"),
        ("<html>", "'<html>'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, shown: str) -> None:
    path = tmp_path / "broken.run"
    path.write_text(f"6 Q0 a 1 1 x\n{line}\n")
    with pytest.raises(RetrieverError, match=rf"broken.run, line 2: .*{shown}"):
        build_retriever(f"run:{path}").rank([query_of("6", "a")])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"6 Q0 \xff 1 1 x", "not UTF-8 text at byte 5"),
        ("6 Q0 a 1 1 x\n".encode("utf-16"), "not UTF-8 text but UTF-16"),
        ("6 Q0 a 1 1 x\n".encode("utf-16-le"), "not UTF-8 text but UTF-16"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "broken.run"
    path.write_bytes(content)
    with pytest.raises(RetrieverError, match=f"broken.run: {told}.*Save it as UTF-8"):
        build_retriever(f"run:{path}").rank([query_of("6", "a")])


def test_a_byte_order_mark_belongs_to_no_query(tmp_path: Path) -> None:
    path = tmp_path / "marked.run"
    path.write_text("6 Q0 b 1 2 x\n6 Q0 a 2 1 x\n", encoding="utf-8-sig")
    (six,) = build_retriever(f"run:{path}").rank([query_of("6", "a", "b")])
    assert six.ids == ("b", "a")


@given(st.lists(st.text(st.sampled_from("a0u2 \t\u2003\u00a0\\%"), min_size=1), unique=True))
def test_any_ids_are_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """Also those with white space, and those that look like what these are written as."""
    names = [*names, r"a\u0020b", "a b", r"C:\users\u002f"]
    names = list(dict.fromkeys(names))
    path = tmp_path_factory.mktemp("run") / "out.trec"
    ranking = Ranking(tuple(names), tuple(float(len(names) - n) for n in range(len(names))))
    write_run(path, run_lines([(name, ranking) for name in names], "tag"))
    assert {len(line.split()) for line in path.read_text(encoding="utf-8").splitlines()} == {6}
    retriever = build_retriever(f"run:{path}")
    assert set(retriever.known_queries or ()) == set(names)
    assert retriever.rank([query_of(name, *names) for name in names]) == [ranking] * len(names)


def test_ids_with_white_space_are_one_field() -> None:
    lines = run_lines([("my question", Ranking(("notes/plan 2.md",), (1.0,)))], "x")
    assert list(lines) == [r"my\u0020question Q0 notes/plan\u00202.md 1 1.0 x" + "\n"]


def test_an_empty_id_has_no_place_in_the_format(tmp_path: Path) -> None:
    path = tmp_path / "out.trec"
    with pytest.raises(RetrieverError, match="cannot hold an id that is empty"):
        write_run(path, run_lines([("7", Ranking(("",), (1.0,)))], "x"))
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"out.trec: No such file or directory"):
        write_run(tmp_path / "no" / "out.trec", [])


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "made.run"
    path.write_text("7 Q0 a 1 2 x\n7 Q0 b 2 1 x\n")
    before = build_retriever(f"run:{path}")
    assert before is build_retriever(f"run:{path}")
    unread = build_retriever(f"run:{tmp_path}/../{tmp_path.name}/made.run")
    assert before.rank([query_of("7", "a", "b")])[0].ids == ("a", "b")
    path.write_text("7 Q0 b 1 2 x\n7 Q0 a 2 1 x\n")
    after = build_retriever(f"run:{path}")
    assert after.rank([query_of("7", "a", "b")])[0].ids == ("b", "a")
    assert after.fingerprint != before.fingerprint
    # Its fingerprint is of what is there no longer.
    with pytest.raises(RetrieverError, match=r"made\.run: it changed during the run"):
        unread.rank([query_of("7", "a", "b")])


def test_the_content_is_in_the_fingerprint(tmp_path: Path) -> None:
    digests = set()
    for name, line in (("1", "7 Q0 a 1 1 x"), ("2", "7 Q0 a 1 2 x")):
        (tmp_path / name).write_text(line)
        digests.add(build_retriever(f"run:{tmp_path / name}").fingerprint.identity["sha256"])
    assert len(digests) == 2
