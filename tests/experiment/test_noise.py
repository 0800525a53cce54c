"""The noise floor: one arm twice over the same prompts, in other batches."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from qrag_tasks.cli import main
from qrag_tasks.experiment.comparison.batch_noise import noise_floor
from qrag_tasks.experiment.noise import TaskNoise, compare

TASK = "lamp3u_rag_k1"


def logged(doc: int, answer: str, **metrics: float) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "prompt_hash": f"hash {doc}",
        "filtered_resps": [answer],
        "metrics": list(metrics),
        **metrics,
    }


def test_two_runs_are_compared_sample_by_sample() -> None:
    first = [logged(0, "5", mae=0.0), logged(1, "4", mae=1.0), logged(2, "4 ", mae=1.0)]
    second = [logged(2, "4", mae=1.0), logged(1, "2", mae=3.0), logged(0, "5", mae=0.0)]
    scores = {"alias": TASK, "mae,none": 2 / 3, "mae_stderr,none": 0.3, "sample_len": 3}
    comparison = compare(TASK, first, second, scores, {**scores, "mae,none": 4 / 3})
    # Moved by 0, 2 and 0: a standard deviation of 2 / sqrt(3), over three samples.
    errors = {"mae": pytest.approx(2 / 3)}
    expected = TaskNoise(TASK, 3, 1 / 3, {"mae": (2 / 3, 4 / 3)}, {"mae": 1}, errors=errors)
    assert comparison == expected


def test_batches_alone_stay_below_the_floor() -> None:
    """In 95 of 100 pairs of runs, of another number of samples than it was measured with."""

    def ran(rng: np.random.Generator, answers: NDArray[Any]) -> NDArray[Any]:
        """Other batches change some of the answers, in either direction."""
        moved = np.clip(answers + rng.choice([-1, 1], len(answers)), 0, 4)
        return np.where(rng.random(len(answers)) < 0.08, moved, answers)

    below = 0
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        few, many = (rng.choice(5, number, p=[0.5, 0.2, 0.2, 0.05, 0.05]) for number in (300, 900))
        first, second = (
            [logged(i, "", mae=float(error)) for i, error in enumerate(ran(rng, few))]
            for _ in range(2)
        )
        scores = [{"mae,none": float(np.mean([s["mae"] for s in run]))} for run in (first, second)]
        measured = asdict(compare(TASK, first, second, *scores))
        floor = noise_floor([measured, None], "mae", 900)
        assert floor is not None
        below += abs(ran(rng, many).mean() - ran(rng, many).mean()) <= floor
    # 0.007 is a standard error.
    assert 0.92 <= below / 1000 <= 0.97


def test_likelihoods_are_compared_by_the_likeliest_and_by_the_number() -> None:
    def shares(*values: float) -> list[dict[str, Any]]:
        return [{"answer": str(i), "logprob": value, "p": 0.5} for i, value in enumerate(values, 1)]

    first = [{**logged(0, ""), "filtered_resps": shares(-1.0, -2.0)}]
    second = [{**logged(0, ""), "filtered_resps": shares(-1.25, -2.0)}]
    comparison = compare(TASK, first, second, {}, {})
    assert (comparison.equal, comparison.logprob) == (1.0, 0.25)
    other = [{**logged(0, ""), "filtered_resps": shares(-2.5, -2.0)}]
    assert compare(TASK, first, other, {}, {}).equal == 0.0


def test_other_prompts_cannot_be_compared() -> None:
    with pytest.raises(AssertionError, match="doc 0 had two prompts"):
        compare(TASK, [logged(0, "5")], [{**logged(0, "5"), "prompt_hash": "other"}], {}, {})


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["noise", *map(str, arguments)])


def test_an_arm_in_32_bits_has_no_noise(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    out = tmp_path / "noise.json"
    done = run(
        *("lamp_rag_k1", "--data", "mini", "--limit", 3, "--out", out),
        *("--model_args", f"pretrained={tiny_model},precision=fp32,device=cpu"),
    )
    assert done.exit_code == 0, done.output
    assert "0 of 3" in done.output
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["precision"] == "fp32"
    assert written["batching"] == ["8192 tokens a batch", "1 sequences a batch"]
    assert [task["task"] for task in written["tasks"]] == ["lamp3u_rag_k1", "lamp5u_rag_k1"]
    for task in written["tasks"]:
        assert task["equal"] == 1.0
        assert all(one == other for one, other in task["scores"].values())
    again = run("lamp_rag_k1", "--data", "mini", "--out", out)
    assert "exists: name another file" in again.output


def test_the_second_run_finds_nothing_of_the_first(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and values of the first run's prompts would hide what other batches change."""
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from qrag_tasks.engines.transformers.engine import TransformersEngine

    done: list[str] = []
    answer = TransformersEngine.generate
    monkeypatch.setattr(
        TransformersEngine, "generate", lambda *a: (done.append("answer"), answer(*a))[1]
    )
    monkeypatch.setattr(TransformersEngine, "forget", lambda _: done.append("forget"))
    arguments = f"pretrained={tiny_model},precision=fp32,device=cpu"
    options = ("--model_args", arguments, "--data", "mini", "--limit", 2)
    done_by = run("lamp3u_rag_k0", *options)
    assert done_by.exit_code == 0, done_by.output
    assert done == ["answer", "forget", "answer"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no_such_task"], "no such task"),
        (["lamp3u_rag_k1", "hellaswag"], "no such task: 'hellaswag'"),
        (["lamp3u_rag_k1", "lamp5u_rag_k4"], "'lamp5u_rag' has no k of '4'"),
        (["lamp_rag_k1", "--model_args", "pretrained=x,batch_size=4"], "the two runs differ in it"),
        (["lamp_rag_k1", "--data", "mini", "--metadata", '{"foo": 1}'], "unknown metadata key"),
    ],
)
def test_bad_input(arguments: list[str], told: str) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    done = run(*arguments)
    assert done.exit_code == 1
    assert told in done.output
