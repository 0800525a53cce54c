"""One model on several devices, and several models side by side: the same answers, all counted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lost_workers import ended, killed_midway
from reference_model import next_log_probabilities
from vllm_models import DEVICE, load, small_arguments, torch

from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.journal import Journal, request_keys
from qrag_tasks.engines.session import Session
from qrag_tasks.engines.vllm.arguments import asked
from qrag_tasks.engines.vllm.replica import About
from qrag_tasks.engines.vllm.replicas import ReplicatedEngine
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.testing.engine_requests import generate, sample_requests
from qrag_tasks.testing.engines import EngineConformance, Load

pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and torch.cuda.device_count() < 2, reason="needs two GPUs"
)

TESTS = Path(__file__).parents[2]
Loaded = tuple[Engine, Meter]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def alone(vllm_model: Path) -> Engine:
    return load(vllm_model)[0]


@pytest.fixture(scope="module")
def running() -> Iterator[list[Loaded]]:
    """The replicas that the next test may use; none where a test has lost one of them."""
    engines: list[Loaded] = []
    yield engines
    for engine, _ in engines:
        engine.close()


@pytest.fixture
def replicas(vllm_model: Path, running: list[Loaded]) -> Loaded:
    if not running:
        running.append(load(vllm_model, data_parallel_size=2))
    return running[0]


# ---------------------------------------------------------------------- one model on two devices
IN_ANOTHER_PROCESS = """
import json, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from lost_workers import ended, killed_midway
from vllm_models import load
from qrag_tasks.testing.engine_requests import generate, sample_requests

engine, meter = load(Path({folder!r}), tensor_parallel_size=2)
engine.smoke()
told = {{"answers": generate(engine, sample_requests(engine))}}
told["info"], told["identity"], told["arm"] = engine.model_info(), engine.identity, engine.arm
told["cost"] = meter.cost().as_dict()
processes = [each.proc.pid for each in engine._core.model_executor.workers]
told["error"] = killed_midway(engine, meter, processes[1], Path({journal!r}))
told["device_after"] = meter.cost().device
engine.close()
told["ended"] = [ended(process) for process in processes]
print(json.dumps(told))
"""


def test_a_model_on_two_devices(
    vllm_model: Path, alone: Engine, run_python: Run, tmp_path: Path
) -> None:
    """Its answers are those of one; both workers are read and counted; a lost one is told."""
    code = IN_ANOTHER_PROCESS.format(
        tests=str(TESTS), folder=str(vllm_model), journal=str(tmp_path / "journal")
    )
    # On a CPU, whose memory has one node here, vLLM has to be told the workers' processors; and
    # they may be forked, as it does it by itself.
    environment = {}
    if DEVICE == "cpu":
        processors = os.sched_getaffinity(0)
        environment["VLLM_CPU_OMP_THREADS_BIND"] = f"{min(processors)}|{max(processors)}"
        environment["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["answers"] == generate(alone, sample_requests(alone))
    workers = told["info"]["vllm"]["workers"]
    (of_one,) = alone.model_info()["vllm"]["workers"]
    assert [each["linear_layers"] for each in workers] == [of_one["linear_layers"]] * 2
    assert sum(each["weight_bytes"] for each in workers) == told["arm"]["weights"]["bytes"]
    assert told["identity"]["workers"] == 2
    one = Meter(torch.device(DEVICE)).cost()
    assert (told["cost"]["device"], told["cost"]["ranks"]) == (f"2 x {one.device}", 1)
    assert "One of its worker processes has ended" in told["error"]
    assert told["device_after"] == told["cost"]["device"]
    assert told["ended"] == [True, True]


@pytest.mark.skipif(DEVICE != "cpu", reason="GPUs are not bound")
def test_workers_that_vllm_finds_no_processors_for(vllm_model: Path) -> None:
    with pytest.raises(ModelError, match=r"Set VLLM_CPU_OMP_THREADS_BIND to the processors"):
        load(vllm_model, tensor_parallel_size=2)


# ---------------------------------------------------------------------- two models side by side
class TestReplicas(EngineConformance):
    name = "vllm"
    test_memory_runs_out = None  # type: ignore[assignment]
    test_memory_runs_out_with_a_single_request = None  # type: ignore[assignment]
    # The others share one engine, which this test would close.
    test_it_is_what_its_factory_says = None  # type: ignore[assignment]

    @pytest.fixture
    def arguments(self, vllm_model: Path) -> Mapping[str, Any]:
        return small_arguments(vllm_model, data_parallel_size=2)

    @pytest.fixture
    def load(self, replicas: Loaded) -> Iterator[Load]:  # type: ignore[override]
        engine, meter = replicas
        before = engine.decoding, engine.limit
        meter.restart(())
        yield lambda: replicas
        engine.decoding, engine.limit = before

    @pytest.fixture
    def reference(self, vllm_model: Path) -> Callable[[Sequence[int]], Sequence[float]]:
        return next_log_probabilities(vllm_model)


def test_what_replicas_are(replicas: Loaded, alone: Engine) -> None:
    engine, meter = replicas
    assert engine.identity == alone.identity
    assert engine.arm == alone.arm
    assert (engine.window, engine.decoding) == (alone.window, alone.decoding)
    told, of_one = engine.model_info()["vllm"], alone.model_info()["vllm"]
    assert told["replicas"] == [of_one["workers"]] * 2
    cost = meter.cost()
    assert (cost.ranks, cost.device) == (2, Meter(torch.device(DEVICE)).cost().device)
    assert cost.peak_rss_bytes


def test_replicas_after_an_error(replicas: Loaded) -> None:
    engine, _ = replicas
    requests = sample_requests(engine)
    whole = generate(engine, requests)

    def fail(answers: Mapping[int, Sequence[int]], cost: Mapping[str, float]) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        engine.generate(requests, fail)
    assert generate(engine, requests) == whole
    with pytest.raises(SettingsError, match=r"num_beams=4: unknown to engine=vllm"):
        generate(engine, sample_requests(engine, settings={"num_beams": 4}))
    assert generate(engine, requests) == whole


def test_a_replica_is_lost(
    replicas: Loaded, running: list[Loaded], alone: Engine, tmp_path: Path
) -> None:
    engine, meter = replicas
    running.clear()
    processes = [each.process.pid for each in engine._replicas]  # type: ignore[attr-defined]
    text = killed_midway(engine, meter, processes[1], tmp_path / "journal")
    assert f"replica 2 of 2 of vLLM (process {processes[1]}) ended with signal 9" in text
    assert "run again to go on" in text
    with pytest.raises(ModelError, match=r"replica 2 of 2 of vLLM .* ended with signal 9"):
        generate(engine, sample_requests(engine))
    assert meter.cost().ranks == 2
    engine.close()
    assert all(map(ended, processes))
    # Another engine goes on: what was kept is what it would have answered.
    session = Session(alone, Meter(torch.device("cpu")), "vllm")
    session.keep_answers(Journal(tmp_path / "journal", "a" * 64))
    requests = sample_requests(alone)
    keys = request_keys([[*request.prompt]] for request in requests)
    answers = session.generate(
        requests, keys, lambda _, tokens: " ".join(map(str, tokens)), lambda *_: None
    )
    assert answers == [" ".join(map(str, tokens)) for tokens in generate(alone, requests)]


def test_a_replica_that_cannot_be_had(vllm_model: Path, warm_replicas: None) -> None:
    with pytest.raises(ModelError, match=r"KV cache.*give a smaller max_length"):
        load(vllm_model, data_parallel_size=2, kv_cache_memory_bytes=200_000)


def test_replicas_that_are_not_alike(vllm_model: Path, alone: Engine) -> None:
    about = [
        About(alone.arm, {"dtype": dtype}, "float32", 8, alone.decoding, alone.limit)
        for dtype in ("float32", "bfloat16")
    ]
    wanted = asked(small_arguments(vllm_model, data_parallel_size=2))
    with pytest.raises(ModelError, match="not alike: dtype is float32 in one and bfloat16"):
        ReplicatedEngine([], about, wanted, Meter(torch.device("cpu")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_parallel_size": "two"}, "data_parallel_size=two: give a whole number above 0"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size=0: give a whole number above 0"),
        ({"data_parallel_rank": 1}, "data_parallel_rank=1: data_parallel_size alone sets it"),
    ],
)
def test_sizes_that_cannot_be(vllm_model: Path, changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        asked(small_arguments(vllm_model, **changes))


def test_more_devices_than_there_are(vllm_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sizes = {"data_parallel_size": 2, "tensor_parallel_size": 2}
    with pytest.raises(SettingsError, match="this takes 4 GPUs, and torch finds 2 here"):
        asked(small_arguments(vllm_model, device="cuda", **sizes))
    with pytest.raises(SettingsError, match="choose them by CUDA_VISIBLE_DEVICES"):
        asked(small_arguments(vllm_model, device="cuda:1", data_parallel_size=2))
