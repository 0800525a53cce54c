"""Rankings on disk: whole or not there, whatever happens to the processes that write them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pyarrow.feather as feather
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.errors import StoreError
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.retrieval.store import CHUNK, RankingStore

SAMPLES = [f"s{i}" for i in range(CHUNK + 3)]


def store_in(root: Path, samples: list[str] = SAMPLES) -> RankingStore:
    return RankingStore(
        root, "lamp3u-bm25:k1=2.0", {"task": "lamp3u"}, "0123456789abcdef0", samples
    )


def ranking_of(index: int) -> Ranking:
    size = index % 5
    return Ranking(tuple(f"d{i} ü#2" for i in range(size)), tuple(0.1 - i for i in range(size)))


def fill(store: RankingStore) -> RankingStore:
    for chunk in store.chunks:
        with store.lock(chunk) as held:
            assert held
            store.write(chunk, [ranking_of(i) for i in store.members(chunk)])
    store.tidy()
    return store


def contents(root: Path) -> dict[str, bytes]:
    """Every file of every store below ``root``, without the locks."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert list(store.chunks) == [0, 1]
    assert store.members(1) == range(CHUNK, CHUNK + 3)
    assert store.read(0) is None
    assert store.written() == set()
    fill(store)
    assert store.written() == {0, 1}
    for chunk in store.chunks:
        stored = store.read(chunk)
        assert stored is not None
        for member, index in enumerate(store.members(chunk)):
            assert stored.ranking(member) == ranking_of(index)
            for k in (0, 1, 3, 9):
                assert stored.ranking(member, k) == ranking_of(index).best(k)


@given(
    st.lists(
        st.lists(
            st.tuples(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False)),
            max_size=6,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_ranking_comes_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[list[tuple[str, float]]]
) -> None:
    rankings = [Ranking(tuple(i for i, _ in r), tuple(s for _, s in r)) for r in drawn]
    store = store_in(tmp_path_factory.mktemp("store"), [str(i) for i in range(len(rankings))])
    with store.lock(0):
        store.write(0, rankings)
    stored = store.read(0)
    assert stored is not None
    assert [stored.ranking(i) for i in range(len(rankings))] == rankings


def test_other_tools_can_read_it(tmp_path: Path) -> None:
    store = fill(store_in(tmp_path))
    assert store.folder.name == "lamp3u-bm25_k1=2.0-0123456789abcdef"
    table = feather.read_table(min(store.folder.glob("*.arrow")))
    assert table.column_names == ["sample", "documents", "scores"]
    assert table.column("sample").to_pylist() == SAMPLES[:CHUNK]
    about = json.loads((store.folder / "about.json").read_text(encoding="utf-8"))
    assert about == {"format": 1, "chunk": CHUNK, "samples": len(SAMPLES), "task": "lamp3u"}


def test_two_folders_filled_alike_are_equal_to_the_byte(tmp_path: Path) -> None:
    one, other = fill(store_in(tmp_path / "1")), fill(store_in(tmp_path / "2"))
    assert contents(one.folder) == contents(other.folder)
    assert len(contents(one.folder)) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other samples"])
def test_a_damaged_file_counts_as_not_there(tmp_path: Path, damage: str) -> None:
    store = fill(store_in(tmp_path))
    (path,) = store.folder.glob("00000-*")
    whole = path.read_bytes()
    if damage == "other samples":
        store = store_in(tmp_path, [f"x{i}" for i in range(len(SAMPLES))])
    else:
        path.write_bytes(
            {
                "cut": whole[: len(whole) // 2],
                "empty": b"",
                "text": b"<html>",
            }[damage]
        )
    with pytest.warns(
        RuntimeWarning, match=r"00000-[0-9a-f]{16}.arrow are damaged and are made again"
    ):
        assert store.read(0) is None
    fill(store)
    assert store.read(0) is not None


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with store_in(tmp_path).lock(0) as held:
        assert held
        with store_in(tmp_path).lock(0, wait=False) as also:
            assert not also
        with store_in(tmp_path).lock(1, wait=False) as another:
            assert another
    with store_in(tmp_path).lock(0, wait=False) as free:
        assert free


def in_a_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )


def test_the_lock_of_a_killed_process_is_free_and_its_leavings_are_replaced(tmp_path: Path) -> None:
    holder = in_a_process(
        """
        import sys, time
        from pathlib import Path
        from test_store import store_in
        store = store_in(Path(sys.argv[1]))
        with store.lock(0):
            store.folder.mkdir(parents=True)
            (store.folder / "00000.tmp").write_bytes(b"half of it")
            (store.folder / "about.1.tmp").write_bytes(b"half of it")
            print("held", flush=True)
            time.sleep(600)
        """,
        tmp_path,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    store = store_in(tmp_path)
    with store.lock(0, wait=False) as held:
        assert not held
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    fill(store)
    undisturbed = fill(store_in(tmp_path / "undisturbed"))
    assert contents(store.folder) == contents(undisturbed.folder)


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    """A limit on the size of files makes every write fail as a full disk does."""
    store = store_in(tmp_path)
    with store.lock(0):
        store.write(0, [ranking_of(i) for i in store.members(0)])
    before = contents(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with store.lock(1), pytest.raises(StoreError) as caught:
            store.write(1, [ranking_of(i) for i in store.members(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert str(store.folder) in str(caught.value)
    assert "QRAG_CACHE" in str(caught.value)
    assert contents(tmp_path) == before
    with store.lock(1):
        store.write(1, [ranking_of(i) for i in store.members(1)])
    assert store.read(1) is not None


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(StoreError, match=r"cannot be kept in .*QRAG_CACHE"),
        store_in(tmp_path / "file").lock(0),
    ):
        pass


def test_no_flipped_byte_goes_unseen(tmp_path: Path) -> None:
    store = fill(store_in(tmp_path))
    (path,) = store.folder.glob("00000-*")
    whole = path.read_bytes()
    for position in range(0, len(whole), 11):
        flipped = bytes([whole[position] ^ 0x24])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        with pytest.warns(RuntimeWarning, match="its checksum does not match"):
            assert store.read(0) is None


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[[str], str]:
    def run(code: str) -> str:
        process = in_a_process(code, tmp_path)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    return run


def test_fifty_kills_at_random_moments(tmp_path: Path, run_script: Callable[[str], str]) -> None:
    """Each child fills what is missing and is killed; what they leave resumes to the same bytes."""
    # One process imports, and forks those that are killed: a start takes a millisecond so.
    killed = run_script(
        """
        import os, random, signal, sys, time
        from pathlib import Path
        from test_store import fill, ranking_of, store_in, SAMPLES

        def slowly(store):
            for chunk in sorted(set(store.chunks) - store.written()):
                with store.lock(chunk):
                    store.write(chunk, [ranking_of(i) for i in store.members(chunk)])

        samples = [f"s{i}" for i in range(32 * 150)]
        fill(store_in(Path(sys.argv[1]) / "warm"))  # so that no child spends its life importing
        random.seed(5)
        killed, longest, store = 0, 0.03, store_in(Path(sys.argv[1]), samples)
        while killed < 50:
            child = os.fork()
            if not child:
                slowly(store_in(Path(sys.argv[1]), samples))
                os._exit(0)
            time.sleep(random.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
                killed += 1
            else:  # it had finished: give the next ones something to do
                for path in list(store.folder.iterdir())[:100]:
                    path.unlink()
            if not store.written():  # the machine is too busy for a child to come so far
                longest *= 1.2
                assert longest < 10, "no child has written anything"
        print(killed)
        """
    )
    assert int(killed) == 50
    samples = [f"s{i}" for i in range(32 * 150)]
    left = store_in(tmp_path, samples)
    there = [chunk for chunk in left.chunks if left.read(chunk)]
    assert there  # each of them whole: a damaged one would have warned
    fill(left)
    undisturbed = fill(store_in(tmp_path / "undisturbed", samples))
    assert contents(left.folder) == contents(undisturbed.folder)
