"""Whole runs against a server: lm_eval's command, and grids that lose it or are killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from in_process_arms import InProcess
from killed_grids import kill_midway, samples
from model_server import Fault, ModelServer

from qrag_tasks.engines.journal import Journal
from qrag_tasks.engines.server import connection
from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.noise import measure_noise
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.running.grid import run_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.harness.model import QragLM


def test_the_command_with_a_chat_template_in_a_full_window(
    server: ModelServer, tiny_model: Path, tmp_path: Path, lm_eval_command: Callable[..., Any]
) -> None:
    server.entry = {"owned_by": "vllm", "max_model_len": 4096}
    arguments = {
        "engine": "server",
        "base_url": server.url,
        "tokenizer": tiny_model,
        "precision": "int4-awq",
        "max_length": 4096,
    }
    done = lm_eval_command(
        *("--model", "qrag", "--model_args", ",".join(f"{k}={v}" for k, v in arguments.items())),
        *("--tasks", "lamp3u_rag_kmax4k", "--limit", 3, "--metadata", '{"data": "mini"}'),
        *("--apply_chat_template", "--log_samples", "--output_path", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "prefill and decode" in done.stdout
    (file,) = tmp_path.rglob("results_*.json")
    ours = json.loads(file.read_text(encoding="utf-8"))["config"]["qrag"]
    assert (ours["precision"], ours["engine"]["evidence"]) == ("int4-awq", "stated")
    assert ours["arm"]["server"]["software"] == "vllm"
    assert ours["cost"]["device"] == f"vllm at {server.url}"
    assert ours["cost"]["peak_rss_bytes"] is None
    (log,) = tmp_path.rglob("samples_*.jsonl")
    samples = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    asked = server.asked[-3:]
    counted = sorted(sample["doc"]["prompt_tokens"] for sample in samples)
    assert counted == sorted(len(body["prompt"]) for body in asked)
    assert counted[-1] > 1024
    assert all(len(body["prompt"]) + body["max_tokens"] <= 4096 for body in asked)
    assert all("<|assistant|>" in server.tokenizer.decode(body["prompt"]) for body in asked)


@pytest.fixture(scope="module")
def of_grids(tiny_model: Path) -> Iterator[ModelServer]:
    with ModelServer(tiny_model) as server:
        yield server


@pytest.fixture(scope="module")
def plan(of_grids: ModelServer, tiny_model: Path) -> Plan:
    arguments = {
        "engine": "server",
        "base_url": of_grids.url,
        "tokenizer": str(tiny_model),
        "max_length": 1024,
        "retries": 1,
        "concurrency": 2,
    }
    return Plan.model_validate(
        {
            "name": "served",
            "models": [{"name": "tiny", "args": arguments}],
            "precisions": ["fp32"],
            "tasks": ["lamp3u"],
            "k": [0, 1],
            "limit": 6,
        }
    )


Whole = tuple[dict[str, bytes], int]
"""The samples of the grid, undisturbed, by cell; and how often the server was asked for them."""


@pytest.fixture(scope="module")
def whole(
    of_grids: ModelServer, plan: Plan, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    root = tmp_path_factory.mktemp("whole") / "grid"
    assert not run_plan(plan, root, launcher=InProcess()).failed
    return samples(root), len(of_grids.asked)


def test_a_grid_that_loses_its_server_goes_on(
    of_grids: ModelServer,
    plan: Plan,
    whole: Whole,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.01)
    # Two questions at the start; four answers of the first cell, then nothing.
    of_grids.faults = [*[None] * 6, *[Fault(status=502, body="{}")] * 40]
    root = tmp_path / "grid"
    assert len(run_plan(plan, root, launcher=InProcess()).failed) == 2
    (why,) = (root / "cells").rglob("lamp3u_rag_k0/failed.json")
    reason = why.read_text(encoding="utf-8")
    assert "HTTP 502" in reason
    assert "4 of 6 requests were answered before" in reason
    of_grids.faults.clear()
    before = len(of_grids.asked)
    assert not run_plan(plan, root, launcher=InProcess()).failed
    # What was answered is not asked again.
    assert len(of_grids.asked) - before == whole[1] - 4
    assert samples(root) == whole[0]
    with pytest.raises(StoreError, match="was begun by arm"):
        Journal(GridFolder.at(root).cell(plan.cells()[0]).journal, "another")


def test_a_grid_that_is_killed_goes_on(
    of_grids: ModelServer, plan: Plan, whole: Whole, tmp_path: Path
) -> None:
    root = tmp_path / "grid"
    kill_midway(plan, root, tmp_path, "lamp3u_rag_k1", opening=4)
    before = len(of_grids.asked)
    assert not run_plan(plan, root, launcher=InProcess()).failed
    # The first cell was whole; of the second, the header and two answers were written.
    assert len(of_grids.asked) - before == whole[1] - 6 - 2
    assert samples(root) == whole[0]


def test_what_requests_at_once_change_is_measured(
    server: ModelServer, tiny_model: Path, tmp_path: Path
) -> None:
    given = f"engine=server,base_url={server.url},tokenizer={tiny_model},max_length=1024"
    noise = measure_noise(
        ["lamp3u_rag_k0"],
        f"{given},precision=fp32,concurrency=3",
        {"data": "mini"},
        batch_size=1,
        limit=4,
        apply_chat_template=False,
    )
    assert noise.batching == ("batches of the engine's own", "1 sequences a batch")
    assert noise.tasks[0].equal == 1


def test_two_servers_are_two_arms(server: ModelServer, tiny_model: Path) -> None:
    def identity(url: str, **more: Any) -> str:
        return QragLM(
            engine="server",
            base_url=url,
            tokenizer=str(tiny_model),
            **{"precision": "fp32", "max_length": 1024, **more},
        ).identity.digest

    with ModelServer(tiny_model) as other:
        assert other.entry == server.entry
        first = identity(server.url)
        assert identity(server.url, concurrency=1, timeout=5, retries=0) == first
        others = [
            identity(other.url),
            identity(server.url, precision="bf16"),
            identity(server.url, max_length=512),
        ]
        other_version = {"version": "0.25.0"}
        server.pages = {"/version": other_version}
        assert len({first, *others, identity(server.url)}) == 5
