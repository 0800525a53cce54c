"""The worker process: one for all, out of the caller's way, and never left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from qrag_tasks import Ranking
from qrag_tasks.errors import RetrieverError

from profiles import pid_of_worker, profile, rank
from qrag_pyserini.client import stop_workers
from qrag_pyserini.retriever import PyseriniBM25

_TESTS = str(Path(__file__).parent)


def _wait_for_end(pid: int, seconds: float = 10) -> bool:
    """Whether a process that is no child of ours ends."""
    for _ in range(int(seconds * 20)):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_java_never_comes_into_this_process() -> None:
    assert rank(PyseriniBM25()).scores[0] > 0
    assert not {"jnius", "jnius_config", "pyserini", "torch"} & set(sys.modules)


def test_all_retrievers_share_one_worker() -> None:
    rank(PyseriniBM25())
    first = pid_of_worker()
    rank(PyseriniBM25(k1=2.0, stemmer="krovetz"))
    rank(PyseriniBM25(language="fr"))
    assert pid_of_worker() == first


def test_threads_share_it_too() -> None:
    retrievers = [PyseriniBM25(k1=0.5 + i) for i in range(4)]
    expected = [rank(retriever) for retriever in retrievers]
    found: dict[int, list[Ranking]] = {}

    def rank_often(i: int) -> None:
        found[i] = [rank(retrievers[i]) for _ in range(20)]

    threads = [threading.Thread(target=rank_often, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(4)] == [[ranking] * 20 for ranking in expected]


def test_nothing_of_java_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    stop_workers()
    rank(PyseriniBM25())
    stop_workers()
    assert capfd.readouterr() == ("", "")


def test_what_java_prints_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_workers()
    # Java then prints its start on standard output, and a line on standard error.
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xlog:gc*:stdout -verbose:class")
    assert rank(PyseriniBM25()).ids[0] in {"d0005", "d0008"}
    stop_workers()


def test_a_worker_killed_at_work_is_an_error_and_the_next_call_starts_another() -> None:
    retriever = PyseriniBM25()
    expected = rank(retriever)
    pid = pid_of_worker()
    os.kill(pid, signal.SIGSTOP)  # so that it is at work when it is killed
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(RetrieverError, match="sample 'q1': the Java worker ended, killed by SIGK"):
        rank(retriever)
    killer.join()
    assert rank(retriever) == expected
    assert pid_of_worker() != pid


def test_its_last_words_are_told() -> None:
    with pytest.raises(RetrieverError, match=r"(?s)worker ended, with exit status.*heap"):
        rank(PyseriniBM25(heap="1k"))


def test_java_out_of_memory_is_told() -> None:
    texts = [" ".join(f"term{i}of{j}" for i in range(20_000)) for j in range(60)]
    with pytest.raises(RetrieverError, match="OutOfMemoryError"):
        PyseriniBM25(heap="16m").rank([profile("term", texts)])
    assert rank(PyseriniBM25(heap="32m")).ids


def test_an_error_inside_java_is_told_and_leaves_the_worker_alive() -> None:
    retriever = PyseriniBM25()
    rank(retriever)
    pid = pid_of_worker()
    retriever.language = "xx"
    with pytest.raises(RetrieverError, match="sample 'q1': ValueError: Invalid configuration"):
        rank(retriever)
    retriever.language = "en"
    assert rank(retriever).ids
    assert pid_of_worker() == pid


def test_an_interrupted_question_is_not_answered_later() -> None:
    retriever = PyseriniBM25()
    expected = rank(retriever, "mango")
    pid = pid_of_worker()
    os.kill(pid, signal.SIGSTOP)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            rank(retriever, "coffee")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rank(retriever, "mango") == expected
    assert pid_of_worker() != pid


def test_ctrl_c_does_not_reach_the_worker() -> None:
    retriever = PyseriniBM25()
    rank(retriever)
    pid = pid_of_worker()
    os.kill(pid, signal.SIGINT)
    rank(retriever)
    assert pid_of_worker() == pid


_PARENT = """
import sys, time
from profiles import pid_of_worker, profile, rank
from qrag_pyserini.client import lucene_worker
from qrag_pyserini.retriever import PyseriniBM25
PyseriniBM25().rank([profile("coffee")])
print(lucene_worker("", "1g").pid, flush=True)
"""


def _parent(then: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PARENT + then],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ, PYTHONPATH=_TESTS),
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_the_worker_ends_with_its_parent() -> None:
    process, worker = _parent("")
    told, _ = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, "")
    assert _wait_for_end(worker)


def test_the_worker_ends_when_its_parent_is_killed() -> None:
    process, worker = _parent("time.sleep(60)")
    process.kill()
    process.communicate(timeout=20)
    assert _wait_for_end(worker)


def test_a_fork_does_not_keep_the_worker_of_a_killed_parent() -> None:
    # A fork holds copies of all that its parent had open, the worker's input among them.
    fork = "import os; fork = os.fork(); fork and print(fork, flush=True); time.sleep(60)"
    process, worker = _parent(fork)
    assert process.stdout is not None
    fork_pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        assert _wait_for_end(worker)
        assert not _wait_for_end(fork_pid, seconds=0.1)
    finally:
        os.kill(fork_pid, signal.SIGKILL)


def test_a_fork_starts_its_own() -> None:
    retriever = PyseriniBM25()
    expected = rank(retriever)
    before = pid_of_worker()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        # With a limit: a Pool whose workers cannot start waits for ever.
        assert pool.map_async(rank, [retriever] * 6).get(60) == [expected] * 6
        assert before not in pool.map_async(pid_of_worker, range(2)).get(60)
    assert pid_of_worker() == before
    assert rank(retriever) == expected


def test_spawned_and_daemonic_processes_have_their_own() -> None:
    retriever = PyseriniBM25(k1=1.2)
    expected = rank(retriever)
    # The workers of a Pool are daemonic.
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map_async(rank, [retriever] * 4).get(60) == [expected] * 4


def test_a_pickled_copy_ranks_alike() -> None:
    retriever = PyseriniBM25(k1=1.2, stemmer="krovetz")
    expected = rank(retriever)
    copy = pickle.loads(pickle.dumps(retriever))  # noqa: S301
    assert vars(copy) == vars(retriever)
    assert rank(copy) == expected


def test_stopping_is_no_end() -> None:
    retriever = PyseriniBM25()
    expected = rank(retriever)
    pid = pid_of_worker()
    stop_workers()
    assert _wait_for_end(pid)
    assert rank(retriever) == expected
