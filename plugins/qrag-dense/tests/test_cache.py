"""The embedding cache: nothing twice, nothing wrong, whatever happens to the file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from qrag_tasks.errors import RetrieverError
from queries import forked, python, query, random_texts

from qrag_dense.cache import EmbeddingCache, text_key
from qrag_dense.retrievers import DPR, Contriever, Dense

ENCODER = {"model": "test", "pooling": "mean"}
RANK = """
import json, sys
from queries import query, random_texts
from qrag_dense.retrievers import Contriever
retriever = Contriever(model=sys.argv[1], dtype="float32")
texts = random_texts(int(sys.argv[2]), seed=5)
rankings = retriever.rank([query("tea", texts), query("paper review", texts[:20])])
print(json.dumps([[r.ids, r.scores] for r in rankings]))
"""
# With these modules away nothing can be encoded.
RANK_WITHOUT_TORCH = (
    "import sys\n"
    "for name in ('torch', 'transformers', 'sentence_transformers'): sys.modules[name] = None\n"
    + RANK
)


def vector_of(key: bytes) -> np.ndarray:
    """The one right vector of a key."""
    return np.random.default_rng(list(key)).standard_normal(64).astype(np.float32)


def keys(n: int, start: int = 0) -> list[bytes]:
    return [text_key(str(i), "") for i in range(start, start + n)]


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("embeddings/*.sqlite"))


def test_a_second_run_encodes_nothing(bert: Path) -> None:
    first = forked(RANK, str(bert), "50")
    second = python(RANK_WITHOUT_TORCH, str(bert), "50")
    assert second.stdout == first
    with_a_new_text = python(RANK_WITHOUT_TORCH, str(bert), "51", check=False)
    assert with_a_new_text.returncode != 0


def test_a_text_is_kept_once(bert: Path, cache: Path) -> None:
    documents = ["tea", "coffee", "tea", "cat"]
    retriever = Contriever(model=str(bert))
    retriever.rank([query("tea", documents), query("dog", documents)])
    retriever.rank([query("coffee", documents)], k=2)
    (file,) = files(cache)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (4,)
    connection.close()


def test_what_makes_another_vector_is_kept_apart(
    bert: Path, dpr_question: Path, dpr_context: Path, cache: Path
) -> None:
    asked = [query("tea", ["coffee"])]
    kinds = [
        Dense(model=str(bert), dtype="float32"),
        Dense(model=str(bert), dtype="bfloat16"),
        Dense(model=str(bert), pooling="cls", dtype="float32"),
        Dense(model=str(bert), max_tokens=3, dtype="float32"),
        Dense(model=str(dpr_question), pooling="pooler", dtype="float32"),
        DPR(question_model=str(dpr_question), context_model=str(dpr_context)),
    ]
    for number, retriever in enumerate(kinds, 1):
        retriever.rank(asked)
        assert len(files(cache)) == number + (number == len(kinds))
    # The similarity and the names of prompts change no vector.
    Dense(model=str(bert), dtype="float32", similarity="dot", query_prompt="none").rank(asked)
    assert len(files(cache)) == len(kinds) + 1


def test_a_prompt_is_part_of_the_text() -> None:
    assert text_key("b", "a") != text_key("ab", "") != text_key("", "ab")


def test_precisions_do_not_share_vectors(bert: Path) -> None:
    asked = [query("tea", random_texts(20))]
    full = Dense(model=str(bert), dtype="float32").rank(asked)
    half = Dense(model=str(bert), dtype="bfloat16").rank(asked)
    assert full[0].scores != half[0].scores
    assert Dense(model=str(bert), dtype="float32").rank(asked) == full


def test_two_processes_at_once(bert: Path, cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: forked(RANK, str(bert), "300"), range(3)))
    assert len({*done}) == 1
    assert python(RANK_WITHOUT_TORCH, str(bert), "300").stdout == done[0]
    assert len(files(cache)) == 1


WRITE = """
import sys
from qrag_dense.cache import EmbeddingCache
from test_cache import ENCODER, keys, vector_of
print("ready", flush=True)
for start in range(0, 10**6, 200):
    some = keys(200, start)
    EmbeddingCache(ENCODER).add({key: vector_of(key) for key in some})
"""


def test_a_killed_writer_leaves_whole_vectors(cache: Path) -> None:
    draw = random.Random(0)  # noqa: S311 - not a secret
    kept = 0
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(draw.uniform(0.05, 0.5))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        vectors = EmbeddingCache(ENCODER).get(keys(4000))
        assert all((vector == vector_of(key)).all() for key, vector in vectors.items())
        assert len(vectors) >= kept
        assert len(vectors) % 200 == 0
        kept = len(vectors)
    assert kept > 0
    # And it can be written to again.
    EmbeddingCache(ENCODER).add({b"x": np.ones(4, np.float32)})
    assert EmbeddingCache(ENCODER).get([b"x"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: b"",
        lambda body: b"This is no database. " * 500,
        lambda body: body[:100],
        lambda body: body[: len(body) // 2],
        lambda body: b"\0" * 4096 + body[4096:],
        lambda body: body[:16384] + b"\xff" * (len(body) - 16384),
    ],
    ids=["empty", "text", "header only", "half", "no header", "no pages"],
)
@pytest.mark.filterwarnings("ignore:embedding cache:RuntimeWarning")
def test_a_damaged_file_is_encoded_anew(bert: Path, cache: Path, damage: object) -> None:
    asked = [query("tea", random_texts(60))]
    before = Contriever(model=str(bert)).rank(asked)
    (file,) = files(cache)
    file.write_bytes(damage(file.read_bytes()))
    assert Contriever(model=str(bert)).rank(asked) == before
    assert Contriever(model=str(bert)).rank(asked) == before


def test_damage_is_told_with_the_file_and_the_cause(bert: Path, cache: Path) -> None:
    Contriever(model=str(bert)).rank([query("tea", ["coffee"])])
    (file,) = files(cache)
    file.write_bytes(b"This is no database. " * 500)
    with pytest.warns(
        RuntimeWarning, match=r"not a database.*damaged, its texts are encoded again"
    ):
        Contriever(model=str(bert)).rank([query("tea", ["coffee"])])
    assert Path(f"{file}.damaged").is_file()


@pytest.mark.filterwarnings("ignore:embedding cache:RuntimeWarning")
def test_no_flipped_byte_gives_a_wrong_vector() -> None:
    some = {key: vector_of(key) for key in keys(300)}
    cache = EmbeddingCache(ENCODER)
    cache.add(some)
    body = cache.path.read_bytes()
    draw = random.Random(1)  # noqa: S311 - not a secret
    lost = 0
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(draw.choice([1, 1, 30])):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        cache.path.write_bytes(damaged)
        vectors = cache.get(list(some))
        lost += len(vectors) < len(some)
        assert all((vectors[key] == some[key]).all() for key in vectors)
        cache.add(some)
        cache.get(list(some))
    assert lost > 0


def test_a_damaged_vector_is_told_and_replaced(cache: Path) -> None:
    some = {key: vector_of(key) for key in keys(3)}
    EmbeddingCache(ENCODER).add(some)
    with sqlite3.connect(files(cache)[0]) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(256) WHERE key = ?", keys(1))
    connection.close()
    with pytest.warns(RuntimeWarning, match="1 damaged vectors are encoded again"):
        assert set(EmbeddingCache(ENCODER).get(keys(3))) == set(keys(3)[1:])
    EmbeddingCache(ENCODER).add(some)
    assert set(EmbeddingCache(ENCODER).get(keys(3))) == set(some)


FULL_DISK = """
import resource, sys
from queries import query, random_texts
from qrag_dense.retrievers import Contriever
retriever = Contriever(model=sys.argv[1])
retriever.rank([query("tea", ["coffee"])])
# From here on no file may grow beyond 96 KiB: what a full disk looks like to a writer.
resource.setrlimit(resource.RLIMIT_FSIZE, (96 << 10, 96 << 10))
try:
    retriever.rank([query("tea", random_texts(2000))])
except Exception as error:
    print(type(error).__name__, error)
print(retriever.rank([query("tea", ["coffee"])])[0].ids)
"""


def test_a_full_disk_is_an_error_that_says_where(bert: Path, cache: Path) -> None:
    printed = forked(FULL_DISK, str(bert))
    assert printed.startswith("RetrieverError the embedding cache")
    assert str(cache / "embeddings") in printed
    assert "QRAG_CACHE" in printed
    # What was kept before is still there.
    assert printed.endswith("('d0',)\n")


def test_a_folder_that_cannot_be_made_is_an_error(bert: Path, cache: Path) -> None:
    cache.write_text("a file", encoding="utf-8")
    with pytest.raises(RetrieverError, match="QRAG_CACHE"):
        Contriever(model=str(bert)).rank([query("tea", ["coffee"])])


def test_a_busy_file_is_waited_for(cache: Path) -> None:
    some = {key: vector_of(key) for key in keys(3)}
    EmbeddingCache(ENCODER).add(some)
    other = sqlite3.connect(files(cache)[0], isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(EmbeddingCache(ENCODER).get, list(some))
        time.sleep(0.3)
        assert not waiting.done()
        other.execute("COMMIT")
        assert set(waiting.result(timeout=30)) == set(some)
    other.close()


def test_the_first_vector_of_a_text_stays() -> None:
    cache = EmbeddingCache(ENCODER)
    cache.add({b"x": np.zeros(4, np.float32)})
    cache.add({b"x": np.ones(4, np.float32), b"y": np.ones(4, np.float32)})
    assert cache.get([b"x"])[b"x"].tolist() == [0, 0, 0, 0]
    assert cache.get([b"y"])[b"y"].tolist() == [1, 1, 1, 1]
