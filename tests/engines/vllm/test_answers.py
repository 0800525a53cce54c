"""vLLM's answers and likelihoods are those of transformers, and it is asked as little as can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quantized_files import read_tensors, write_tensors
from vllm_models import DEVICE, load, torch

from qrag_tasks.engines.base import Engine, GenerationRequest, LikelihoodRequest
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.locations import embedded_model
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engine_requests import generate, prompts, sample_requests, score

LARGER = 128 << 20
"""Bytes of a cache that holds the embedded model's window."""


@pytest.fixture(scope="module")
def loaded() -> tuple[Engine, Meter]:
    return load(embedded_model(), kv_cache_memory_bytes=LARGER)


@pytest.fixture(scope="module")
def of_transformers() -> Engine:
    arguments = {"pretrained": str(embedded_model()), "precision": "fp32", "device": "cpu"}
    factory = ENGINES.get("transformers").value
    return factory.load(arguments, Meter(torch.device("cpu")))


@pytest.fixture(scope="module")
def long_prompts(loaded: tuple[Engine, Meter]) -> list[list[int]]:
    """A user's prompts: each is the one before it and more, 300 tokens and above."""
    words = "A review of the kettle that I bought for my small kitchen: it boils, it whistles. "
    tokens: list[int] = loaded[0].tokenizer(words * 40)["input_ids"]
    return [tokens[:length] for length in (300, 400, 560)]


# ---------------------------------------------------------------------- the same as transformers
def test_greedy_answers(loaded: tuple[Engine, Meter], of_transformers: Engine) -> None:
    engine, _ = loaded
    requests = sample_requests(engine, max_new_tokens=24)
    assert generate(engine, requests) == generate(of_transformers, requests)
    assert engine.decoding == of_transformers.decoding
    assert engine.window == of_transformers.window


def test_a_repetition_penalty(loaded: tuple[Engine, Meter], of_transformers: Engine) -> None:
    engine, _ = loaded
    settings = {"do_sample": False, "repetition_penalty": 1.7, "min_new_tokens": 5}
    requests = sample_requests(engine, settings=settings, max_new_tokens=12)
    answers = generate(engine, requests)
    assert answers == generate(of_transformers, requests)
    assert answers != generate(engine, sample_requests(engine, max_new_tokens=12))
    assert min(map(len, answers)) >= 5


def test_stops(loaded: tuple[Engine, Meter]) -> None:
    engine, _ = loaded
    for request in sample_requests(engine)[:4]:
        (whole,) = generate(engine, [request])
        texts = [engine.tokenizer.decode(whole[: n + 1]) for n in range(len(whole))]
        stop = texts[-1][-2:]
        (cut,) = generate(engine, [replace(request, stops=(stop,))])
        assert cut == whole[: next(n for n, text in enumerate(texts) if stop in text) + 1]


def test_likelihoods(loaded: tuple[Engine, Meter], of_transformers: Engine) -> None:
    engine, _ = loaded
    requests = [
        LikelihoodRequest(f"{number}", tuple(prompt), tuple([token] for token in range(2, 300)))
        for number, prompt in enumerate(prompts(engine))
    ]
    # One of several tokens, whose likeliest continuation is among them.
    prompt = prompts(engine)[4]
    (best,) = generate(engine, [GenerationRequest("best", prompt, 3)])
    others = [[*best[:-1], 5], [*best[:-1], 9]]
    requests.append(LikelihoodRequest("long", (*prompt, *best[:-1]), (best, *others)))
    ours, theirs = score(engine, requests), score(of_transformers, requests)
    for one, other in zip(ours, theirs, strict=True):
        assert [value for value, _ in one] == pytest.approx([v for v, _ in other], abs=1e-3)
        assert [likeliest for _, likeliest in one] == [likeliest for _, likeliest in other]
    assert [likeliest for _, likeliest in ours[-1]] == [True, False, False]
    assert sum(math.exp(value) for value, _ in ours[0]) < 1.0001


# ---------------------------------------------------------------------- drawn tokens
def test_tokens_are_drawn(vllm_model: Path) -> None:
    engine, _ = load(vllm_model)
    greedy = generate(engine, sample_requests(engine))
    drawn = generate(engine, sample_requests(engine, settings={"do_sample": True}))
    assert drawn != greedy
    nearly = {"do_sample": True, "top_k": 1}
    assert generate(engine, sample_requests(engine, settings=nearly)) == greedy
    again, _ = load(vllm_model)
    assert generate(again, sample_requests(again, settings={"do_sample": True})) != greedy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True, "temperature": 0.0}, "temperature=0.0: tokens are drawn"),
        ({"do_sample": True, "top_p": 2.0}, "vLLM refuses them: top_p must be in"),
        ({"num_beams": 4}, "num_beams=4: unknown to engine=vllm"),
        ({"temprature": 1.0}, "Did you mean 'temperature'?"),
    ],
)
def test_settings_that_cannot_be(
    loaded: tuple[Engine, Meter], settings: Mapping[str, Any], message: str
) -> None:
    engine, _ = loaded
    with pytest.raises(SettingsError) as raised:
        generate(engine, sample_requests(engine, settings=settings))
    assert message in str(raised.value)


# ---------------------------------------------------------------------- what is asked of it
def test_shared_prefixes_are_counted(
    loaded: tuple[Engine, Meter], long_prompts: list[list[int]]
) -> None:
    engine, meter = loaded
    meter.restart(())
    requests = [GenerationRequest(f"{len(p)}", p, 4) for p in long_prompts]
    generate(engine, requests)
    cost = meter.cost()
    size = engine.model_info()["vllm"]["block_size"]
    # The longest is read, and what is whole blocks of the others is known from it; their last token
    # is always read, since the next one follows from it.
    known = sum((len(prompt) - 1) // size * size for prompt in long_prompts[:2])
    assert cost.cached_prompt_tokens == known > 0
    assert cost.prompt_tokens == sum(map(len, long_prompts))
    assert (cost.undivided_seconds > 0, cost.prefill_seconds) == (True, 0)


def test_what_was_asked_before_is_forgotten(
    loaded: tuple[Engine, Meter], long_prompts: list[list[int]]
) -> None:
    engine, meter = loaded
    requests = [GenerationRequest(f"{len(p)}", p, 4) for p in long_prompts]

    def cached() -> int:
        meter.restart(())
        generate(engine, requests)
        return int(meter.cost().cached_prompt_tokens or 0)

    engine.forget()
    first = cached()
    assert cached() > first
    engine.forget()
    assert cached() == first


def test_places_of_likelihoods_are_asked_for_once(
    loaded: tuple[Engine, Meter], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = loaded
    core = engine._core  # type: ignore[attr-defined]
    asked: list[Sequence[int]] = []
    add = core.add_request

    def counted(name: str, prompt: Any, params: Any) -> Any:
        asked.append(tuple(prompt["prompt_token_ids"]))
        return add(name, prompt, params)

    monkeypatch.setattr(core, "add_request", counted)
    first = LikelihoodRequest("one", (7, 8, 9, 10), ([10, 11], [10, 12]))
    second = LikelihoodRequest("two", (7, 8, 9), ([4], [5], [6]))
    one, two = score(engine, [first, second])
    assert sorted(asked) == [(7, 8, 9), (7, 8, 9, 10)]
    assert (len(one), len(two)) == (2, 3)


def test_no_more_run_at_once_than_may(
    loaded: tuple[Engine, Meter], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, meter = loaded
    core, most, running = engine._core, 0, 0  # type: ignore[attr-defined]
    before, step = engine.limit, core.step

    def counted() -> Any:
        nonlocal most
        most = max(most, core.get_num_unfinished_requests())
        return step()

    monkeypatch.setattr(core, "step", counted)
    whole = generate(engine, sample_requests(engine))
    assert most == 9
    most, engine.limit = running, BatchLimit(rows=2)
    meter.restart(())
    assert generate(engine, sample_requests(engine)) == whole
    assert most == meter.cost().largest_batch == 2
    engine.limit = before


def test_an_error_leaves_nothing_running(loaded: tuple[Engine, Meter]) -> None:
    engine, _ = loaded

    def fail(answers: Mapping[int, Sequence[int]], cost: Mapping[str, float]) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        engine.generate(sample_requests(engine), fail)
    assert not engine._core.has_unfinished_requests()  # type: ignore[attr-defined]
    assert generate(engine, sample_requests(engine))


def test_logits_that_are_not_numbers(vllm_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(vllm_model, folder)
    tensors = read_tensors(folder)
    tensors["model.norm.weight"][:] = float("nan")
    write_tensors(folder, tensors)
    engine, _ = load(folder)
    with pytest.raises(ModelError, match=r"request \d: the model's logits are not numbers"):
        generate(engine, sample_requests(engine))
    ((value, _),) = score(engine, [LikelihoodRequest("one", (7, 8), ([9],))])[0]
    assert math.isnan(value)


def test_what_it_is(loaded: tuple[Engine, Meter]) -> None:
    engine, _ = loaded
    assert engine.device.type == DEVICE
    info = engine.model_info()["vllm"]
    assert info["kv_cache_tokens"] % info["block_size"] == 0
    assert info["attention"]
