"""Answers on disk: whole batches survive a kill, and what is left is answered as ever."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from qrag_tasks.engines.journal import Journal, answered, request_keys
from qrag_tasks.errors import StoreError

ARM = "a" * 64
SENTENCE = "a review of the kettle that I bought for my small kitchen"
COST = {"prefill_seconds": 0.5, "batches": 1}
LIMIT = (None, 8192)
BATCHES = [{"1": "vier\u2028 Sterne", "2": "{{ }}"}, {"3": [[-0.1, True]]}, {"4": "\ud800"}]


def filled(path: Path) -> Journal:
    journal = Journal(path, ARM)
    for batch in BATCHES:
        journal.append(batch, COST, LIMIT)
    return journal


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    filled(path)
    again = Journal(path, ARM)
    assert len(again) == answered(path).answers == 4
    assert {key: again[key] for batch in BATCHES for key in batch} == {
        key: answer for batch in BATCHES for key, answer in batch.items()
    }
    assert "5" not in again
    assert again.costs == [COST] * 3
    assert again.limit == [None, 8192]


def test_a_file_that_ends_anywhere_keeps_its_whole_batches(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    filled(whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(data[:length])
        before = max(0, data[:length].count(b"\n") - 1)
        assert answered(path).answers == sum(map(len, BATCHES[:before]))
        journal = Journal(path, ARM)
        assert len(journal) == sum(map(len, BATCHES[:before]))
        for batch in BATCHES[before:]:
            journal.append(batch, COST, LIMIT)
        assert path.read_bytes() == data


def test_another_arm_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "answers.jsonl")
    with pytest.raises(StoreError, match=r"was begun by arm aaaaaaaaaaaa, and this is bbb"):
        Journal(tmp_path / "answers.jsonl", "b" * 64)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"\x00\x00", b'{"answers": []}', b'{"cost": {}, "limit": []}', b"7"]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    filled(path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(StoreError, match=r"answers.jsonl, line 3: damaged. Move the file away"):
        Journal(path, ARM)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"journal": 99, "arm": ""}\n', encoding="utf-8")
    with pytest.raises(StoreError, match="no journal that this release reads"):
        Journal(path, ARM)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        Journal(tmp_path, ARM)
    with pytest.raises(StoreError, match=r"nowhere/answers.jsonl: cannot be written"):
        Journal(tmp_path / "nowhere" / "answers.jsonl", ARM)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on file size as Linux has it")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from qrag_tasks.errors import StoreError
from qrag_tasks.engines.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]), "a" * 64)
journal.append({"1": "x" * 100}, {}, (1, 1))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    journal.append({"2": "y" * 5000}, {}, (1, 1))
except StoreError as error:
    print(error)
print(len(journal))
"""
    path = tmp_path / "answers.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    message, kept = done.stdout.splitlines()
    assert "answers.jsonl: cannot be written: File too large. What was answered before" in message
    assert kept == "1"
    assert len(Journal(path, ARM)) == 1
    assert len(path.read_bytes().splitlines()) == 2


def test_alike_requests_have_keys_of_their_own() -> None:
    one, two = ("a", {"until": [], "max_gen_toks": 4}), ("a", {"max_gen_toks": 4, "until": []})
    keys = request_keys([one, ("b", {}), two, one])
    assert len(set(keys)) == 4
    assert [key.partition(":")[2] for key in keys] == ["1", "1", "2", "3"]
    assert keys[0].partition(":")[0] == keys[2].partition(":")[0]
    assert request_keys([("b", {}), one]) == [keys[1], keys[0]]


# ---------------------------------------------------------------------- the model
def a_run(model: Path, path: Path, kind: str) -> tuple[Any, Any]:
    """Return the answers of a fresh process' model, and its cost."""
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from lm_eval.api.instance import Instance

    from qrag_tasks.harness.model import QragLM

    lm = QragLM(str(model), precision="bf16", device="cpu", max_batch_tokens=96)
    lm.keep_answers(Journal(path, lm.identity.digest))
    words = [
        "a",
        "review",
        "of",
        "the",
        "kettle",
        "that",
        "I",
        "bought",
        "for",
        "my",
        "small",
        "kitchen",
    ]
    # The first twice: alike requests.
    texts = [" ".join(words[: 1 + i % 11] * (1 + i % 4)) for i in (0, *range(20))]
    settings: Any = {"until": [], "do_sample": False, "max_gen_toks": 6}
    asked = [
        (text, settings if kind == "generate_until" else f" {answer}")
        for text in texts
        for answer in ([""] if kind == "generate_until" else ["one", "five", "good"])
    ]
    requests = [
        Instance(request_type=kind, doc={}, arguments=args, idx=0, metadata=("task", i, 1))
        for i, args in enumerate(asked)
    ]
    return getattr(lm, kind)(requests), lm.cost


@pytest.mark.parametrize("kind", ["generate_until", "loglikelihood"])
def test_a_run_goes_on_as_if_it_had_never_been_cut(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    whole = tmp_path / "whole.jsonl"
    answers, cost = a_run(tiny_model, whole, kind)
    lines = whole.read_bytes().splitlines(keepends=True)
    assert len(lines) > 4, "several batches"
    for kept in (1, 3, len(lines) - 1, len(lines)):
        path = tmp_path / f"{kept}.jsonl"
        # A kill in the middle of the next batch's line.
        path.write_bytes(b"".join(lines[:kept]) + (lines[kept][:40] if kept < len(lines) else b""))
        again, cost_again = a_run(tiny_model, path, kind)
        assert again == answers
        for one, other in zip(
            lines[1:], path.read_bytes().splitlines(keepends=True)[1:], strict=True
        ):
            assert json.loads(one)["answers"] == json.loads(other)["answers"]
        counts = ("batches", "prompt_tokens", "padded_tokens", "generated_tokens", "largest_batch")
        for name in counts:
            assert getattr(cost_again, name) == getattr(cost, name)
        assert cost_again.prefill_seconds > 0


def test_it_goes_on_in_the_same_batches_where_other_memory_is_free(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from transformers import AutoConfig

    from qrag_tasks.engines.transformers import batches

    footprint = batches.Footprint.of(AutoConfig.from_pretrained(tiny_model), item_size=2)
    room = footprint.bytes(rows=2, width=40)

    def batches_with(free: float, path: Path) -> list[list[str]]:
        monkeypatch.setattr(batches, "free_bytes", lambda device: free)
        a_run(tiny_model, path, "generate_until")
        lines = path.read_bytes().splitlines()[1:]
        return [[key for key, _ in json.loads(line)["answers"]] for line in lines]

    whole = tmp_path / "whole.jsonl"
    asked = batches_with(room, whole)
    # Memory is what limits them.
    assert asked != batches_with(4 * room, tmp_path / "more.jsonl")
    begun = b"".join(whole.read_bytes().splitlines(keepends=True)[:3])
    for share in (0.85, 1, 4):
        path = tmp_path / f"{share}.jsonl"
        path.write_bytes(begun)
        assert batches_with(share * room, path) == asked
    # Where much less is free, batches must be smaller, and nothing is lost.
    path = tmp_path / "less.jsonl"
    path.write_bytes(begun)
    smaller = batches_with(room / 2, path)
    assert len(smaller) > len(asked)
    assert sorted(chain(*smaller)) == sorted(chain(*asked))


def test_it_is_not_asked_again(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    answers, _ = a_run(tiny_model, path, "generate_until")
    header, *lines = map(json.loads, path.read_bytes().splitlines())
    for line in lines:
        line["answers"] = [[key, answer + "!"] for key, answer in line["answers"]]
    path.write_text("".join(json.dumps(line) + "\n" for line in [header, *lines]), encoding="utf-8")
    again, _ = a_run(tiny_model, path, "generate_until")
    assert again == [f"{answer}!" for answer in answers]


def test_memory_that_ran_out_is_remembered(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from qrag_tasks.harness.model import QragLM

    lm = QragLM(str(tiny_model), precision="bf16", device="cpu", max_batch_tokens=96)
    path = tmp_path / "answers.jsonl"
    Journal(path, lm.identity.digest).append({"1": ""}, COST | ZERO, (3, 24))
    lm.keep_answers(Journal(path, lm.identity.digest))
    assert lm.batching() == "24 tokens a batch, 3 sequences a batch"
    lm.keep_answers(Journal(tmp_path / "other.jsonl", lm.identity.digest))
    assert lm.batching() == "96 tokens a batch"
    assert lm.cost.batches == 0


ZERO = dict.fromkeys(
    (
        *("decode_seconds", "prompt_tokens", "padded_tokens", "generated_tokens"),
        *("decode_tokens", "largest_batch"),
    ),
    0,
)
