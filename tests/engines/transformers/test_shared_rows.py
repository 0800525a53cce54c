"""Answers to one prompt are read in one pass, and each as if it were alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, MistralConfig

from qrag_tasks.engines.readings import ReadingRequest
from qrag_tasks.engines.transformers import shared_rows
from qrag_tasks.harness.model import QragLM
from qrag_tasks.testing.engine_requests import read

DRAW = np.random.default_rng(3)


def tokens(count: int) -> list[int]:
    return [int(token) for token in DRAW.integers(5, 60, count)]


@pytest.fixture
def requests() -> list[ReadingRequest]:
    """Eight prompts of unlike length, most with two answers, of one token or more."""
    made = []
    for number in range(8):
        prompt = tokens(3 + 5 * number)
        answers = [tokens(1 + number % 4), tokens(2 + number)][: 1 + (number != 3)]
        made += [ReadingRequest(f"sample {number}", prompt, answer, 8) for answer in answers]
    return made


def same(one: Any, two: Any) -> None:
    for mine, theirs in zip(one, two, strict=True):
        assert np.array_equal(mine.likeliest, theirs.likeliest)
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=2e-5)
        assert mine.given == pytest.approx(theirs.given, abs=2e-5)
        assert mine.entropy == pytest.approx(theirs.entropy, abs=2e-5)


def alone(lm: QragLM, requests: list[ReadingRequest]) -> list[Any]:
    """Read each in a pass of its own."""
    return [read(lm.engine, [request])[0] for request in requests]


def test_each_is_read_as_if_alone(tiny_model: Path, requests: list[ReadingRequest]) -> None:
    lm = QragLM(pretrained=str(tiny_model), precision="fp32", device="cpu")
    fed: list[int] = []
    sound = lm.engine.model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        fed.append(kwargs["input_ids"].numel())
        return sound(*args, **kwargs)

    expected = alone(lm, requests)
    same(read(lm.engine, requests), expected)
    assert lm.engine._sharing is True
    # What was tried once is not tried again; a prompt is fed once.
    lm.engine.model.forward = counting
    lm.batch_otherwise(1)
    same(read(lm.engine, requests), expected)
    rows = shared_rows.rows_of(requests, True)
    assert len(rows) == 8
    assert sum(fed) == sum(len(row.tokens) for row in rows)
    assert sum(fed) < sum(len(request.tokens) for request in requests)


def test_wanted_tokens_are_those_of_each(tiny_model: Path, requests: list[ReadingRequest]) -> None:
    lm = QragLM(pretrained=str(tiny_model), precision="fp32", device="cpu")
    asked = [
        replace(
            request,
            wanted=[sorted(DRAW.choice(60, 3, replace=False).tolist()) for _ in request.answer],
        )
        for request in requests
    ]
    same(read(lm.engine, asked), alone(lm, asked))


def test_a_model_that_looks_at_no_mask_reads_one_by_one(
    tiny_model: Path,
    requests: list[ReadingRequest],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every answer would see the one before it."""
    lm = QragLM(pretrained=str(tiny_model), precision="fp32", device="cpu")
    expected = alone(lm, requests)
    sound = lm.engine.model.forward

    def blind(*args: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.dim() == 4:
            kwargs["attention_mask"] = None
        return sound(*args, **kwargs)

    # The tiny model's distributions are flat: hardly anything moves them by more.
    monkeypatch.setattr(shared_rows, "TOLERANCE", 1e-7)
    lm.engine.model.forward = blind
    with caplog.at_level("INFO", logger="lm_eval.qrag_tasks"):
        same(read(lm.engine, requests), expected)
    assert lm.engine._sharing is False
    assert "answers to one prompt are read one by one" in caplog.text


def test_a_prompt_alone_needs_no_trial(tiny_model: Path) -> None:
    lm = QragLM(pretrained=str(tiny_model), precision="fp32", device="cpu")
    read(lm.engine, [ReadingRequest("one", tokens(5), tokens(3), 4)])
    assert lm.engine._sharing is None


def test_a_deterministic_arm_reads_one_by_one(
    tiny_model: Path, requests: list[ReadingRequest]
) -> None:
    lm = QragLM(pretrained=str(tiny_model), precision="fp32", device="cpu", deterministic=True)
    read(lm.engine, requests)
    assert lm.engine._sharing is False


@pytest.mark.parametrize(
    ("config", "takes"),
    [
        (MistralConfig(sliding_window=None), True),
        (MistralConfig(sliding_window=8), False),
    ],
)
def test_windows_of_layers(config: Any, takes: bool) -> None:
    config._attn_implementation = "sdpa"
    assert shared_rows.takes_masks(config) is takes
    config._attn_implementation = "flash_attention_2"
    assert not shared_rows.takes_masks(config)


@pytest.mark.parametrize("config", [GPT2Config, GPTNeoXConfig])
def test_other_architectures_compute_the_same(config: Any, requests: list[ReadingRequest]) -> None:
    """Learned positions, and rotary ones of a part of each head."""
    torch.manual_seed(0)
    small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    if config is GPT2Config:
        small = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}
    model = AutoModelForCausalLM.from_config(config(**small)).eval()
    assert shared_rows.takes_masks(model.config)
    rows = shared_rows.rows_of(requests, True)
    with torch.no_grad():
        together = shared_rows.log_probabilities(model, rows, 0)
        for row, answers in zip(rows, together, strict=True):
            for answer, mine in zip(row.answers, answers, strict=True):
                ids = torch.tensor([[*row.prompt, *answer[:-1]]])
                logits = model(input_ids=ids).logits[0, -len(answer) :]
                assert torch.allclose(mine, torch.log_softmax(logits, -1), atol=2e-5)
