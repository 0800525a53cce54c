"""What results hold of ours: of this release, of earlier ones, of later ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rated_arms import answers, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.errors import DataError
from qrag_tasks.logs.runs import Run, read_runs
from qrag_tasks.logs.schema import SCHEMA, LoggedArm, LoggedPrompts, read

# As release 0.1 wrote them, without a number.
EARLIER_ARM = """{
  "precision": "int4-nf4",
  "arm": {
    "precision": "int4-nf4",
    "layers": [{"bits": 4, "method": "nf4", "count": 28}],
    "adapter": {},
    "unquantized": ["lm_head"],
    "weights": {"bytes": 5000, "parameters": 9000}
  },
  "identity": "abc",
  "identity_parts": {"class": "qrag_tasks.harness.model.QragLM", "weights": "def"},
  "decoding": {"end_tokens": [2, 7], "pad_token": 0, "set_aside": {"temperature": 0.6}},
  "smoke_check": null,
  "cost": {"device": "cpu", "run_seconds": 2.5, "peak_device_bytes": null}
}"""
EARLIER_PROMPTS = """{
  "version": "0.1.0",
  "data": "/data/lamp3u/dev_questions.json",
  "split": "dev",
  "data_sha256": "ddd",
  "data_notes": ["one user has no profile"],
  "protocol": "qrag",
  "retriever": "bm25",
  "retriever_from": "qrag-tasks 0.1.0",
  "retriever_options": {"k1": 1.5},
  "retriever_identity": {},
  "retriever_sha256": "rrr",
  "retriever_sees_gold": false,
  "prompt": "lamp",
  "prompt_from": "qrag-tasks 0.1.0",
  "filter": "none",
  "index": "lamp",
  "order": "best-first",
  "fill": "exact",
  "oversized": "skip",
  "answer": "generate"
}"""


def run_with(folder: Path, arm: dict[str, Any], prompts: dict[str, Any]) -> Path:
    task, config = "lamp3u_rag_k3", {"qrag": arm}
    return write_run(folder, samples(answers(6)), task, facts=prompts, config=config)


def facts_of(run: Run) -> tuple[Any, ...]:
    (task,) = run.tasks.values()
    return run.logged, run.precision, run.settings, task.lamp_task, task.k, task.prompts


def test_what_this_release_writes_it_reads() -> None:
    arm = LoggedArm(precision="int8", arm={"weights": {"bytes": 9}}, decoding={"end_tokens": [1]})
    prompts = LoggedPrompts(retriever="bm25", data_notes=["x"], retriever_sees_gold=True)
    for block in (arm, prompts):
        written = json.loads(json.dumps({"qrag": block.as_dict()}))
        assert written["qrag"]["schema"] == SCHEMA
        assert read(type(block), written, "here") == block
    assert (arm.weight_bytes, arm.end_tokens) == (9, [1])
    assert (LoggedArm().weight_bytes, LoggedArm().end_tokens) == (None, None)
    assert read(LoggedArm, {"model": "hf"}, "here") is None


def test_results_of_an_earlier_release_hold_the_same_facts(tmp_path: Path) -> None:
    arm, prompts = json.loads(EARLIER_ARM), json.loads(EARLIER_PROMPTS)
    (earlier,) = read_runs(run_with(tmp_path / "earlier", arm, prompts))
    numbered = ({"schema": SCHEMA, **arm}, {"schema": SCHEMA, **prompts})
    (now,) = read_runs(run_with(tmp_path / "now", *numbered))
    assert facts_of(earlier) == facts_of(now)
    assert (earlier.precision, earlier.logged.identity) == ("int4-nf4", "abc")
    assert earlier.logged.weight_bytes == 5000
    assert earlier.logged.bits_per_weight == 8 * 5000 / 9000
    assert earlier.logged.linear_bits_per_weight is None
    assert earlier.logged.cost == arm["cost"]
    assert earlier.settings["end tokens"] == [2, 7]
    (task,) = earlier.tasks.values()
    assert task.facts == {"lamp_task": "lamp3u", "k": "3", **prompts}


def test_bits_a_weight_are_counted_or_missing() -> None:
    counted = {"bytes": 900, "parameters": 800, "linear_bytes": 425, "linear_weights": 800}
    kinds = {"Q6_K": {"share": 0.3}, "Q4_K": {"share": 0.62}, "F32": {"share": 0.08}}
    arm = LoggedArm(arm={"weights": counted, "tensor_kinds": kinds})
    assert (arm.linear_bits_per_weight, arm.bits_per_weight) == (4.25, 9.0)
    assert list(arm.shares.items()) == [("Q4_K", 0.62), ("Q6_K", 0.3), ("F32", 0.08)]
    plain = [{"method": "none", "bits": 16, "count": 14}, {"method": "none", "bits": 16}]
    assert LoggedArm(arm={"layers": plain}).linear_bits_per_weight == 16.0
    # Earlier results do not say how many of a quantized arm's weights are in its linear layers.
    mixed = [*plain, {"method": "gptq", "bits": 4, "count": 14}]
    for said in ({}, {"layers": mixed}, {"layers": "?", "weights": []}, {"tensor_kinds": [1]}):
        assert LoggedArm(arm=said).linear_bits_per_weight is None
        assert LoggedArm(arm=said).bits_per_weight is None
        assert LoggedArm(arm=said).shares == {}


def test_what_was_called_otherwise_has_its_name_of_now() -> None:
    block = {"filter": "paper", "index": "paper", "fill": "paper", "protocol": "yazan2024"}
    now = LoggedPrompts(filter="yazan2024", index="yazan2024", fill="yazan2024")
    prompts = read(LoggedPrompts, {"qrag": block}, "here")
    assert prompts == replace(now, protocol="yazan2024")


@pytest.mark.parametrize("place", ["config", "metadata of lamp3u_rag_k3"])
def test_results_of_a_later_release_are_refused(tmp_path: Path, place: str) -> None:
    later = {"schema": SCHEMA + 1}
    blocks = (later, {}) if place == "config" else ({}, later)
    folder = run_with(tmp_path, *blocks)
    (path,) = folder.glob("results_*.json")
    with pytest.raises(DataError) as caught:
        read_runs(folder)
    assert str(caught.value) == (
        f"{path}, {place}: a later release of qrag-tasks wrote it (schema 2; this release reads up "
        f"to 1). Install that release, or a newer one, to read it."
    )


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"precision": 4}, "field 'precision': expected text, got int"),
        ({"cost": []}, "field 'cost': expected an object, got an empty list"),
        ({"schema": "one"}, "field 'schema': expected a number, got text"),
        ("text", "field 'qrag': expected an object"),
    ],
)
def test_what_is_damaged_is_named(block: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"here, qrag: {message}"):
        read(LoggedArm, {"qrag": block}, "here")


def test_a_model_of_others_tells_by_its_arguments(tmp_path: Path) -> None:
    (run,) = read_runs(write_run(tmp_path, samples(answers(6)), model_args=QUANTIZED))
    assert (run.logged, run.precision) == (LoggedArm(), "int4-nf4")
