"""Every arm of a grid reads the base arm's answers: whole, killed, damaged, and as a command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

import torch
from click.testing import CliRunner
from in_process_arms import InProcess
from read_grids import TOP, left, read_here, reads, tiny_plan
from transformers import AutoModelForCausalLM

from qrag_tasks.cli import main
from qrag_tasks.engines.journal import Journal
from qrag_tasks.errors import ComparisonError, PlanError, StoreError
from qrag_tasks.experiment.comparison.grids import compare_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.fidelity import reading, run, store
from qrag_tasks.experiment.fidelity.answers import answers_of, tokens_of
from qrag_tasks.experiment.fidelity.places import reads_of
from qrag_tasks.experiment.fidelity.run import read_grid, readings_of
from qrag_tasks.experiment.plan.planned_fidelity import GOLD, OWN
from qrag_tasks.experiment.running.arm import load
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder


def test_kl_is_that_of_the_whole_distributions(read: Path, tiny_model: Path) -> None:
    """Against plain transformers, over the whole vocabulary."""
    (cell,) = [r for r in reads(read, "bf16") if r.cell.task_name == "lamp5u_rag_k1"]
    (found,) = [
        each for each in readings_of(read, TOP) if (each.cell, each.kind) == (cell.cell, OWN)
    ]
    stored = store.read(cell.base_file)
    assert stored is not None
    models = [
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    lm = load(cell.base)
    given = answers_of(cell.base_folder, OWN)
    for number, (each, tokens) in enumerate(zip(given, stored.tokens, strict=True)):
        divergence = found.read.some([number]).places
        prompt = lm.encode_prompts([each.prompt])[0]
        ids = torch.tensor([[*prompt, *tokens[:-1]]])
        with torch.no_grad():
            one, other = (
                torch.log_softmax(model(ids).logits[0, -len(tokens) :].double(), -1).numpy()
                for model in models
            )
        true = (np.exp(one) * (one - other)).sum(axis=1)
        assert (divergence.kl <= true + 1e-4).all()
        assert (true <= divergence.kl_at_most + 1e-4).all()
        assert divergence.same.tolist() == (one.argmax(1) == other.argmax(1)).tolist()
    # It generated what it finds likeliest.
    assert found.base_itself == 1.0


def test_golds_are_read_too(read: Path) -> None:
    golds = [each for each in readings_of(read, TOP) if each.kind == GOLD]
    assert [len(each.read) for each in golds] == [6] * 4
    (ratings,) = [each for each in golds if each.cell.task_name == "lamp3u_rag_k0"]
    given = answers_of(GridFolder.at(read).cell(ratings.cell), GOLD)
    assert {each.answer.strip() for each in given} <= set("12345")
    own = answers_of(GridFolder.at(read).cell(ratings.cell), OWN)
    for gold, answer in zip(given, own, strict=True):
        begins = len(answer.answer) - len(answer.answer.lstrip())
        assert gold.answer[:begins] == answer.answer[:begins]


def test_what_is_there_is_not_read_again(read: Path) -> None:
    files = {each.file: each.file.stat().st_mtime_ns for each in reads(read, "bf16")}
    for each in reads(read, "bf16"):
        reading.read_cell(load(each.cell.arm), each)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    # Fewer tokens of each are another reading.
    first = reads(read, "fp32")[0]
    before = first.file.read_bytes()
    reading.read_cell(load(first.cell.arm), replace(first, top=3))
    kept = store.read(first.file)
    assert kept is not None
    assert kept.readings[0].tokens.shape[1] == 3
    first.file.write_bytes(before)


def test_a_kill_loses_nothing(grid: Path, read: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_), (undisturbed, *_) = reads(grid, "fp32"), reads(read, "fp32")
    arm = replace(first.cell.arm, arguments={**first.cell.arm.arguments, "batch_size": 2})
    lm = load(arm)
    asked: list[int] = []
    sound = lm.engine.read

    def dying(requests: Any, answered: Any) -> None:
        asked.append(len(requests))

        def once(batch: Any, cost: Any) -> None:
            answered(batch, cost)
            if len(asked) == 1:
                raise KeyboardInterrupt

        sound(requests, once)

    monkeypatch.setattr(lm.engine, "read", dying)
    with pytest.raises(KeyboardInterrupt):
        reading.read_cell(lm, first)
    assert store.read(first.file) is None
    reading.read_cell(lm, first)
    assert asked == [6, 4]
    one, other = store.read(first.file), store.read(undisturbed.file)
    assert one is not None
    assert other is not None
    assert one.origin.source == other.origin.source
    for mine, theirs in zip(one.readings, other.readings, strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
    assert not list(first.file.parent.glob("readings_*.jsonl"))


# ---------------------------------------------------------------------- what need not be read
def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("a process was started")


def test_nothing_is_loaded_where_all_is_there(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.subprocess, "Popen", refuse)
    told: list[str] = []
    read_grid(whole, TOP, tell=told.append)
    assert told == []


def test_other_answers_are_read_again(whole: Path) -> None:
    assert left(whole) == set()
    (first, *_) = reads(whole, "fp32")
    (log,) = first.folder.path.glob("samples_*.jsonl")
    body = log.read_bytes()
    log.write_bytes(body.replace(b'"user"', b'"User"', 1))
    assert left(whole) == {"fp32", "bf16"}


def test_another_arm_is_read_again(whole: Path) -> None:
    (first, *_) = reads(whole, "bf16")
    (results,) = first.folder.path.glob("results_*.json")
    identity = str(first.answered_by)
    body = results.read_text()
    assert identity in body
    results.write_text(body.replace(identity, identity[::-1]))
    assert left(whole) == {"bf16"}


def test_what_rests_on_other_readings_is_read_again(whole: Path) -> None:
    (first, *_) = reads(whole, "fp32")
    stored = store.read(first.file)
    assert stored is not None
    store.write(first.file, replace(stored, origin=replace(stored.origin, kept="others")))
    assert left(whole) == {"bf16"}


def test_readings_of_an_earlier_release_are_made_again(whole: Path) -> None:
    (first, *_) = reads(whole, "fp32")
    table = pq.read_table(first.file)
    about = {"format": 1, "arm": "a", "answers": "b"}
    pq.write_table(
        table.replace_schema_metadata({b"qrag_tasks": json.dumps(about).encode()}), first.file
    )
    assert store.read(first.file) is None
    assert left(whole) == {"fp32", "bf16"}


# ---------------------------------------------------------------------- what cannot be
def test_an_arm_that_is_not_there(grid: Path) -> None:
    with pytest.raises(PlanError, match=r"no arm 'int3' \(known: llama/fp32, llama/bf16\)"):
        read_grid(grid, TOP, ["int3"])


# ---------------------------------------------------------------------- while a plan is run
def test_a_run_reads_while_its_arms_are_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base arm reads first, wherever the plan names it."""
    monkeypatch.setattr(run, "_read", refuse)
    plan = tiny_plan(tiny_model, base="bf16", tasks=["lamp5u"], fidelity={"top": 9}, limit=2)
    progress = run_plan(plan, tmp_path / "grid", launcher=InProcess())
    assert not progress.unread
    assert [len(each.read) for each in readings_of(tmp_path / "grid")] == [2] * 4
    stored = store.read(reads_of(GridFolder.at(tmp_path / "grid"))[0].file)
    assert stored is not None
    assert stored.places.tokens.shape[1] == stored.origin.top == 9


# ---------------------------------------------------------------------- refused
def test_the_base_reads_first(grid: Path) -> None:
    (first, *_) = reads(grid, "bf16")
    with pytest.raises(ComparisonError, match="the base arm has to read first"):
        reading.read_cell(load(first.cell.arm), first)


def test_other_tokens_are_refused(grid: Path) -> None:
    (first, *_), (other, *_) = reads(grid, "fp32"), reads(grid, "bf16")
    reading.read_cell(load(first.cell.arm), first)
    stored = store.read(first.file)
    assert stored is not None
    store.write(first.file, replace(stored, tokens=[[1, *each[1:]] for each in stored.tokens]))
    with pytest.raises(ComparisonError, match="their tokenizers make different tokens"):
        reading.read_cell(load(other.cell.arm), other)


def test_golds_that_do_not_fit_are_read_by_no_arm(
    grid: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A right answer may be longer than any that was generated: the others are read."""
    base, other = (
        next(r for r in reads(grid, name, GOLD) if r.cell.task_name == "lamp5u_rag_k0")
        for name in ("fp32", "bf16")
    )
    lm = load(base.cell.arm)
    given = answers_of(base.folder, GOLD)
    lengths = [
        len(lm.encode_prompts([each.prompt])[0]) + len(tokens_of(lm, each.answer)) - 1
        for each in given
    ]
    lm.engine.window = max(lengths) - 1
    reading.read_cell(lm, base)
    kept = [each.key for each, n in zip(given, lengths, strict=True) if n < max(lengths)]
    stored = store.read(base.file)
    assert stored is not None
    assert stored.keys == kept
    assert len(kept) < len(given)
    assert "gold answers are not read, as they do not fit" in caplog.text
    reading.read_cell(load(other.cell.arm), other)
    (found,) = readings_of(grid, TOP)
    assert list(found.keys) == kept


def test_what_another_arm_left_half_read_is_read_again(grid: Path) -> None:
    (first, *_) = reads(grid, "fp32")
    left_over = Journal(first.folder.path / reading.JOURNAL, "another arm")
    left_over.append({"key": {}}, {}, (None, None, None))
    reading.read_cell(load(first.cell.arm), first)
    assert first.done


def test_golds_that_nobody_knows(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for log in grid.rglob("samples_*.jsonl"):
        records = [json.loads(line) for line in log.read_text().splitlines()]
        for record in records:
            record["doc"]["target"] = None
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
        # The marker has its size.
        marker = log.parent / "complete.json"
        body = json.loads(marker.read_text())
        body["files"][log.name] = log.stat().st_size
        marker.write_text(json.dumps(body))
    monkeypatch.setattr(run, "_read", read_here)
    read_grid(grid, TOP)
    assert left(grid) == set()
    assert {each.kind for each in readings_of(grid, TOP)} == {OWN}
    cells = compare_grid(grid, Options(resamples=199)).cells
    assert all(cell.fidelity and cell.fidelity.own for cell in cells)
    assert not any(cell.fidelity and cell.fidelity.gold for cell in cells)


@pytest.mark.parametrize("damage", [b"", b"PAR1 and no more", None])
def test_damaged_readings(grid: Path, read: Path, damage: bytes | None) -> None:
    (first, *_), (whole, *_) = reads(grid, "fp32"), reads(read, "fp32")
    body = whole.file.read_bytes()
    first.file.write_bytes(body[: len(body) // 2] if damage is None else damage)
    with pytest.raises(StoreError, match=r"readings_own\.parquet: cannot be read: .*remove it to"):
        store.read(first.file)


def test_a_grid_that_is_not_complete(grid: Path) -> None:
    (first, *_) = reads(grid, "bf16")
    (first.folder.path / "complete.json").unlink()
    result = CliRunner().invoke(main, ["fidelity", str(grid)])
    assert result.exit_code == 1
    assert "is not complete: run the plan first, `qrag run PLAN --out " in result.output


def test_likelihoods_are_no_answers(grid: Path) -> None:
    file = grid / "plan.json"
    body = json.loads(file.read_text())
    file.write_text(
        json.dumps({**body, "answer": "likelihood", "tasks": ["lamp3u"], "answer_tokens": None})
    )
    with pytest.raises(PlanError, match="fidelity is of answers that are generated"):
        list(reads_of(GridFolder.at(grid), TOP))


# ---------------------------------------------------------------------- the command
def test_the_command(read: Path, tmp_path: Path) -> None:
    out = tmp_path / "fidelity.json"
    result = CliRunner().invoke(main, ["fidelity", str(read), "--top", str(TOP), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "llama/bf16 against fp32, along the base's own answers" in result.stdout
    assert "along the right answers" in result.stdout
    assert "KL changes by " in result.stdout
    assert re.search(r"Of the tokens of the base's own answers, [\d.]+% or more", result.stdout)
    body = json.loads(out.read_text())
    assert [cell["samples"] for cell in body["cells"]] == [6] * 8
    assert all(cell["kl"]["value"] < 0.01 for cell in body["cells"])
    assert len(body["trends"]) == 4


def test_what_is_read_is_shown_where_an_arm_cannot_read(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a grid that was brought from a machine with what its engine needs."""
    (first, *_) = reads(whole, "bf16")
    first.file.unlink()
    monkeypatch.setattr(run, "_read", lambda *_: "llama/bf16 cannot read: no such device")
    result = CliRunner().invoke(main, ["fidelity", str(whole), "--top", str(TOP)])
    assert result.exit_code == 1
    assert "llama/bf16 reads 1 of 4 cells" in result.stderr
    assert "llama/bf16 cannot read: no such device" in result.stderr
    assert "along the right answers" in result.stdout
    assert len(re.findall(r"^lamp[35]u ", result.stdout, re.MULTILINE)) == 7
