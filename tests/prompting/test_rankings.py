"""The rankings of a data set: what a retriever is given, and that it is asked once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from lamp_files import papers, reviews, write_flat

from qrag_tasks.errors import RetrieverError
from qrag_tasks.installed import Origin
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.queries import make_query
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.retrieval.named import NamedRetriever, described
from qrag_tasks.retrieval.store import CHUNK
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.data import DataSet
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

SIZE = 2 * CHUNK + 3


class Counting:
    """Ranks in the data's order and remembers what it was asked."""

    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.asked: list[Query] = []

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        self.asked += queries
        return [
            Ranking(
                tuple(d.id for d in q.documents[:k]),
                tuple(-float(i) for i in range(len(q.documents[:k]))),
            )
            for q in queries
        ]


def named(retriever: object, **options: int) -> NamedRetriever:
    return described("counting", "counting", Origin("qrag-counting", "1"), options, retriever)


@pytest.fixture
def many(tmp_path: Path) -> DataSet:
    root = write_flat(tmp_path / "data", "lamp3u", *reviews(SIZE))
    return data.load(LAMP_TASKS["lamp3u"], str(root))


def test_a_profile_is_ranked_once_for_every_k_and_process(many: DataSet, tmp_path: Path) -> None:
    retriever = Counting()
    rankings = Rankings(many, named(retriever), tmp_path)
    assert rankings.of([0, 1], 0) == [Ranking(), Ranking()]
    assert not retriever.asked
    three = rankings.of([CHUNK + 1, 0, CHUNK], 3)
    assert [r.ids[0] for r in three] == [many.samples[i].profile[0]["id"] for i in (33, 0, 32)]
    assert len(retriever.asked) == 2 * CHUNK
    assert rankings.of([CHUNK + 1], 1) == [three[0].best(1)]
    again = Rankings(many, named(Counting()), tmp_path)  # as another process would
    assert again.of([CHUNK + 1, 0, CHUNK], 3) == three
    assert not again.retriever.retriever.asked  # type: ignore[attr-defined]
    assert len(retriever.asked) == 2 * CHUNK


def test_other_options_or_data_share_nothing(many: DataSet, tmp_path: Path) -> None:
    folders = {Rankings(many, named(Counting(), seed=i), tmp_path).store.folder for i in range(3)}
    other = data.load(
        LAMP_TASKS["lamp3u"], str(write_flat(tmp_path / "other", "lamp3u", *reviews(3)))
    )
    folders.add(Rankings(other, named(Counting()), tmp_path).store.folder)
    assert len(folders) == 4


def test_looking_keeps_nothing(many: DataSet, tmp_path: Path) -> None:
    retriever = Counting()
    rankings = Rankings(many, named(retriever), tmp_path / "store")
    looked = rankings.look(5, 2)
    assert len(retriever.asked) == 1
    assert not (tmp_path / "store").exists()
    assert rankings.of([5], 2) == [looked]
    assert rankings.look(5, 2) == looked
    assert len(retriever.asked) == 1 + CHUNK


def test_filling_tells_how_far_it_is_and_goes_on(many: DataSet, tmp_path: Path) -> None:
    Rankings(many, named(Counting()), tmp_path).of([CHUNK], 1)
    told = list(Rankings(many, named(Counting()), tmp_path).fill())
    assert [(p.found, p.ranked) for p in told] == [(0, 0), (32, 0), (32, 32), (32, 35)]
    assert all(p.total == SIZE for p in told)
    (first, last) = list(Rankings(many, named(Counting()), tmp_path).fill())
    assert (first.found, last.found, last.ranked) == (0, SIZE, 0)


def bytes_of(rankings: Rankings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(rankings.store.folder.iterdir())}


def test_workers_make_the_same_store(many: DataSet, tmp_path: Path) -> None:
    alone = Rankings(many, build_retriever("bm25:k1=1.2"), tmp_path / "1")
    shared = Rankings(many, build_retriever("bm25:k1=1.2"), tmp_path / "2")
    shared.of([CHUNK])
    assert list(alone.fill())[-1].ranked == SIZE
    last = list(shared.fill(workers=2))[-1]
    assert (last.found, last.ranked) == (CHUNK, SIZE - CHUNK)
    assert bytes_of(alone) == bytes_of(shared)


def test_an_error_in_a_worker_is_told(many: DataSet, tmp_path: Path) -> None:
    run = tmp_path / "some.trec"
    run.write_text("100 Q0 1000 1 0.5 x\n", encoding="utf-8")
    rankings = Rankings(many, build_retriever(f"run:{run}"), tmp_path)
    with pytest.raises(RetrieverError, match=r"some.trec has no query '101'"):
        list(rankings.fill(workers=2))
    assert not list(tmp_path.rglob("*.arrow"))


def test_two_at_once_share_the_work(many: DataSet, tmp_path: Path) -> None:
    code = """
    import sys
    from pathlib import Path
    from qrag_tasks.tasks.lamp import data
    from qrag_tasks.tasks.lamp.table import LAMP_TASKS
    from test_rankings import Counting, named
    from qrag_tasks.prompting.rankings import Rankings
    import time

    class Slow(Counting):
        def rank(self, queries, k=None):
            time.sleep(0.2)
            return super().rank(queries, k)

    many = data.load(LAMP_TASKS["lamp3u"], sys.argv[1])
    sys.stdin.readline()
    print(list(Rankings(many, named(Slow()), Path(sys.argv[2])).fill())[-1].ranked)
    """
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(many.questions.parents[1]), tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ranked = [int(process.communicate(timeout=120)[0]) for process in both]
    assert sum(ranked) == SIZE
    undisturbed = Rankings(many, named(Counting()), tmp_path / "undisturbed")
    assert list(undisturbed.fill())[-1].ranked == SIZE
    assert bytes_of(Rankings(many, named(Counting()), tmp_path)) == bytes_of(undisturbed)


# ---------------------------------------------------------------- what a retriever is given
def test_a_retriever_sees_only_what_it_needs(tmp_path: Path) -> None:
    questions, outputs = papers(1)
    for item in questions[0]["profile"]:
        item["date"] = "2020-02-03"
    task = LAMP_TASKS["lamp5u"]
    (sample,) = data.load(task, str(write_flat(tmp_path, "lamp5u", questions, outputs))).samples

    def seen(*needs: str) -> tuple[str | None, str | None, str | None]:
        retriever = Counting()
        retriever.needs = needs
        query = make_query(task, sample, named(retriever))
        return query.documents[0].date, query.documents[0].target, query.gold

    assert seen() == (None, None, None)
    assert seen("date") == ("2020-02-03", None, None)
    assert seen("target") == (None, "On bird 0", None)
    assert seen("gold") == (None, None, "The songs of bird 0")


def test_the_right_answer_that_is_not_published_cannot_be_ranked_by(tmp_path: Path) -> None:
    questions, _ = papers(1)
    folder = tmp_path / "LaMP_5" / "test"
    folder.mkdir(parents=True)
    (folder / "test_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    unknown = data.load(LAMP_TASKS["lamp5u"], str(tmp_path), "test")
    with pytest.raises(RetrieverError, match="lamp5u, sample '200', is not published"):
        Rankings(unknown, build_retriever("oracle"), tmp_path).of([0])


def test_recency_without_dates_is_an_error_that_says_so(many: DataSet) -> None:
    with pytest.raises(
        RetrieverError,
        match=r"'recency' needs dates: lamp3u, sample '100', profile item '1000' has no date. "
        r"LaMP's time-based splits have them",
    ):
        Rankings(many, build_retriever("recency")).of([0], 1)
    assert Rankings(many, build_retriever("recency")).of([0], 0) == [Ranking()]


def dated_papers(root: Path, dates: Sequence[object], name: str = "lamp5t") -> DataSet:
    """One question, and a paper for every date."""
    questions, outputs = papers(1, profile=len(dates))
    for item, date in zip(questions[0]["profile"], dates, strict=True):
        item["date"] = date
    write_flat(root, name, questions, outputs)
    return data.load(LAMP_TASKS[name], str(root))


@pytest.mark.parametrize(
    ("dates", "newest_first", "scores"),
    [
        # Of one day or year the later item goes first, as in LaMP's code.
        (["2019-12-31", "2020-02-03", "2018-01-01", "2020-02-03"], [3, 1, 0, 2], None),
        # LaMP-1 and LaMP-5 have years, as numbers.
        ([2014, 2011, 2014], [2, 0, 1], [735234.0, 735234.0, 734138.0]),
        (["2014", 2011, "2014"], [2, 0, 1], None),
        (["2010-1-5", "2010-01-10", "2009-12-31"], [1, 0, 2], [733782.0, 733777.0, 733772.0]),
        (["2010-9", "2010-10", "2009-11"], [1, 0, 2], None),
        ([2011], [0], None),
        ([], [], None),
    ],
)
def test_recency_ranks_the_newest_first(
    tmp_path: Path,
    dates: Sequence[object],
    newest_first: Sequence[int],
    scores: Sequence[float] | None,
) -> None:
    dated = dated_papers(tmp_path, dates)
    (ranking,) = Rankings(dated, build_retriever("recency"), tmp_path).of([0])
    assert ranking.ids == tuple(f"200{i}" for i in newest_first)
    assert scores is None or ranking.scores == tuple(scores)


@pytest.mark.parametrize(
    ("dates", "fault"),
    [
        (["yesterday"], r"document '2000': the date 'yesterday' is not a year, YYYY-MM or YYYY-"),
        ([2011, "2011-02-30"], r"document '2001': the date '2011-02-30' is not a year"),
        ([2011, 20110230], r"document '2001': the date '20110230' is not a year"),
        ([2011, 2011.5], r"document '2001': the date '2011.5' is not a year"),
        ([2011, 0], r"document '2001': the date '0' is not a year"),
        ([2011, ""], r"document '2001': the date '' is not a year"),
        (
            [2014, "2014-05-02"],
            r"document '2001' is dated '2014-05-02' and document '2000' '2014': .* no order",
        ),
        ([2011, None], r"'recency' needs dates: lamp5t, sample '200', .* item '2001' has no date"),
    ],
)
def test_dates_without_an_order_are_named(
    tmp_path: Path, dates: Sequence[object], fault: str
) -> None:
    dated = dated_papers(tmp_path, dates)
    with pytest.raises(RetrieverError, match=fault) as caught:
        Rankings(dated, build_retriever("recency"), tmp_path).of([0])
    assert "sample '200'" in str(caught.value)


@pytest.mark.parametrize("name", ["lamp1t", "lamp5t"])
def test_recency_ranks_the_years_of_the_sample_data(name: str, tmp_path: Path) -> None:
    mini = data.load(LAMP_TASKS[name], "mini")
    rankings = Rankings(mini, build_retriever("recency"), tmp_path).of(range(len(mini.samples)))
    for sample, ranking in zip(mini.samples, rankings, strict=True):
        year = {item["id"]: item["date"] for item in sample.profile}
        place = {item["id"]: index for index, item in enumerate(sample.profile)}
        assert all(len(date) == 4 for date in year.values())
        oldest_first = sorted(sample.profile, key=lambda i: (year[i["id"]], place[i["id"]]))
        assert list(ranking.ids) == [item["id"] for item in oldest_first][::-1]


def run_of(folder: Path, *queries: str) -> NamedRetriever:
    path = folder / "made.run"
    path.write_text("".join(f"{query} Q0 {query}0 1 1 x\n" for query in queries))
    return build_retriever(f"run:{path}")


def test_queries_without_a_question_and_questions_without_a_query_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions, outputs = reviews(6)
    questions[5]["profile"] = []
    small = data.load(LAMP_TASKS["lamp3u"], str(write_flat(tmp_path, "lamp3u", questions, outputs)))

    def told(*queries: str) -> list[str]:
        caplog.clear()
        rankings = Rankings(small, run_of(tmp_path, *queries), tmp_path)
        with suppress(RetrieverError):
            rankings.of([0])
        with suppress(RetrieverError):
            rankings.of([1])
        return [record.message for record in caplog.records]

    everything = ("100", "101", "102", "103", "104")
    # The last has no documents, and needs no ranking.
    assert told(*everything) == []
    (strangers,) = told(*everything, "7", "8", "9", "10")
    assert strangers == (
        "the data of lamp3u hold no question for 4 of the 9 queries of retriever "
        f"'run:{tmp_path}/made.run': '7', '8', '9', ..."
    )
    (lacking,) = told("100", "101", "104")
    assert lacking == (
        f"retriever 'run:{tmp_path}/made.run' has no ranking for 2 of the 6 questions of lamp3u, "
        "and to ask one of these is an error: '102', '103'"
    )
    assert len(told("100", "7")) == 2


@pytest.mark.parametrize("queries", [(), ("7",)])
def test_a_run_of_other_data_is_an_error(tmp_path: Path, queries: Sequence[str]) -> None:
    root = write_flat(tmp_path, "lamp3u", *reviews(5))
    small = data.load(LAMP_TASKS["lamp3u"], str(root))
    rankings = Rankings(small, run_of(tmp_path, *queries), tmp_path)
    for ask in (lambda: rankings.of([0]), lambda: list(rankings.fill())):
        with pytest.raises(
            RetrieverError,
            match=r"has none of the 5 questions of lamp3u \('100', '101', '102', ...\). It has "
            r"[01] queries: (none|'7'). Was it made for other data",
        ):
            ask()
    assert rankings.of([0], 0) == [Ranking()]


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    root = write_flat(tmp_path / "data", "lamp3u", *reviews(20 * CHUNK))
    more = data.load(LAMP_TASKS["lamp3u"], str(root))
    filling = Rankings(more, build_retriever("bm25"), tmp_path).fill(workers=2)
    assert next(p.ranked for p in filling if p.ranked) == CHUNK
    for worker in multiprocessing.active_children():
        worker.kill()
    with pytest.raises(RetrieverError, match=r"'bm25': a process that ranked was ended from outs"):
        list(filling)
    again = list(Rankings(more, build_retriever("bm25"), tmp_path).fill())[-1]
    assert again.found >= CHUNK
    assert again.found + again.ranked == again.total == 20 * CHUNK


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_parent_that_is_killed(many: DataSet, tmp_path: Path) -> None:
    code = """
    import sys
    from pathlib import Path
    from qrag_tasks.tasks.lamp import data
    from qrag_tasks.tasks.lamp.table import LAMP_TASKS
    from qrag_tasks.plugins import build_retriever
    from qrag_tasks.prompting.rankings import Rankings

    if __name__ == "__main__":
        many = data.load(LAMP_TASKS["lamp3u"], sys.argv[1])
        for progress in Rankings(many, build_retriever("bm25"), Path(sys.argv[2])).fill(workers=2):
            if progress.ranked:
                print("working", flush=True)
                sys.stdin.readline()
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, script, str(many.questions.parents[1]), tmp_path / "store"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "working\n"
        children = [
            int(child)
            for task in Path(f"/proc/{parent.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        assert len(children) >= 2
        parent.kill()
    deadline = time.monotonic() + 20
    while left := [child for child in children if Path(f"/proc/{child}").exists()]:
        if time.monotonic() > deadline:
            for child in left:
                os.kill(child, signal.SIGKILL)
            pytest.fail("a worker lives on")
        time.sleep(0.05)


def test_rankings_of_long_fields_that_earlier_versions_kept_stay_good(
    many: DataSet, tmp_path: Path
) -> None:
    task = task_named("lamp3u", "yazan2024")
    long_fields = data.load(task, str(many.questions.parents[1]))
    ranked = Rankings(long_fields, build_retriever("first"), tmp_path)
    ranked.of([0])
    about = json.loads((ranked.store.folder / "about.json").read_bytes())
    assert about["index"] == "paper"
    plain = Rankings(many, build_retriever("first"), tmp_path).store.folder
    assert plain != ranked.store.folder
