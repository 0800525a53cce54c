"""llama.cpp answers as transformers does in 32 bits, and counts what it need not compute again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
import torch
from gguf_models import load_gguf, quantize_gguf, write_gguf

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import Engine, GenerationRequest, LikelihoodRequest
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.locations import embedded_model, mini_root
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engine_requests import (
    generate,
    likelihood_requests,
    sample_requests,
    score,
)


def in_transformers(folder: Path) -> Engine:
    arguments = {"pretrained": str(folder), "precision": "fp32", "device": "cpu"}
    return ENGINES.get("transformers").value.load(arguments, Meter(checked_device("cpu")))


@pytest.fixture(scope="module", params=["tiny_model", "wide_model", "qwen_model"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A checkpoint, and the same in GGUF in float32."""
    folder = request.getfixturevalue(request.param)
    return folder, write_gguf(folder, tmp_path_factory.mktemp("gguf") / "same.gguf")


def test_greedy_answers_are_those_of_transformers(pair: tuple[Path, Path]) -> None:
    folder, file = pair
    reference, engine = in_transformers(folder), load_gguf(file)
    requests = sample_requests(reference, max_new_tokens=24)
    assert generate(engine, requests) == generate(reference, requests)


def test_likelihoods_are_those_of_transformers(pair: tuple[Path, Path]) -> None:
    folder, file = pair
    reference, engine = in_transformers(folder), load_gguf(file)
    requests = likelihood_requests(reference)
    for own, other in zip(score(engine, requests), score(reference, requests), strict=True):
        assert [value for value, _ in own] == pytest.approx([value for value, _ in other], abs=1e-4)
        assert [likeliest for _, likeliest in own] == [likeliest for _, likeliest in other]


def test_the_embedded_model_answers_mini_alike(tmp_path: Path) -> None:
    reference = in_transformers(embedded_model())
    engine = load_gguf(write_gguf(embedded_model(), tmp_path / "embedded.gguf"))
    requests = []
    for task in ("LaMP_3", "LaMP_5"):
        path = mini_root() / task / "dev" / "dev_questions.json"
        for sample in json.loads(path.read_text(encoding="utf-8"))[:10]:
            prompt = reference.tokenizer(sample["input"])["input_ids"]
            requests.append(GenerationRequest(sample["id"], prompt, 16))
    assert engine.tokenizer(sample["input"])["input_ids"] == prompt
    assert generate(engine, requests) == generate(reference, requests)
    assert engine.decoding == reference.decoding or set(reference.decoding.end_tokens) <= set(
        engine.decoding.end_tokens
    )


def test_rows_that_are_not_in_llamas_order_are_another_model(
    tiny_model: Path, tmp_path: Path
) -> None:
    """What first differed between the two: rotary positions turn neighbours in llama.cpp."""
    config = json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))
    rows = torch.arange(64).reshape(4, 8, 2).swapaxes(1, 2).reshape(64)

    def undone(name: str, array: Any) -> Any:
        turned = name.endswith(("attn_q.weight", "attn_k.weight"))
        return array[rows.numpy()] if turned else array

    assert config["num_attention_heads"] == 4
    file = write_gguf(tiny_model, tmp_path / "a.gguf", change=undone)
    reference = in_transformers(tiny_model)
    requests = likelihood_requests(reference)
    values = [value for row in score(load_gguf(file), requests) for value, _ in row]
    expected = [value for row in score(reference, requests) for value, _ in row]
    assert values != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("file_type", "most"), [("q8_0", 0.05), ("q6_k", 0.1), ("q4_k_m", 0.4)])
def test_quantized_files_compute_about_the_same(
    wide_gguf: Path, tmp_path: Path, file_type: str, most: float
) -> None:
    plain = load_gguf(wide_gguf)
    packed = load_gguf(quantize_gguf(wide_gguf, tmp_path / "a.gguf", file_type))
    requests = likelihood_requests(plain)
    one = torch.tensor([v for row in score(plain, requests) for v, _ in row])
    other = torch.tensor([v for row in score(packed, requests) for v, _ in row])
    assert 0 < float((one - other).abs().max()) < most


def test_what_a_prompt_shares_is_not_computed_again(tiny_gguf: Path) -> None:
    start = list(range(300, 340))
    prompts = [[*start, *range(400, 400 + number)] for number in (1, 5, 9)]
    requests = [GenerationRequest(str(i), prompt, 3) for i, prompt in enumerate(prompts)]
    engine = load_gguf(tiny_gguf)
    costs: dict[int, Any] = {}
    engine.generate(requests, lambda answers, cost: costs.update(dict.fromkeys(answers, cost)))
    # The longest comes first; then each has one token of its own, as logits are of its last.
    assert {place: cost["cached_prompt_tokens"] for place, cost in costs.items()} == {
        2: 0,
        1: 44,
        0: 40,
    }
    assert [cost["prompt_tokens"] for _, cost in sorted(costs.items())] == [41, 45, 49]


def test_requests_of_one_name(tiny_gguf: Path) -> None:
    engine = load_gguf(tiny_gguf)
    lengths = (600, 20)
    requests = [GenerationRequest("same", [300] * length, 2) for length in lengths]
    assert [len(tokens) for tokens in generate(engine, requests)] == [2, 2]
    scored = [LikelihoodRequest("same", [300] * length, ((301,),)) for length in lengths]
    assert len(score(load_gguf(tiny_gguf), scored)) == 2


def test_only_greedy_settings_are_taken(tiny_gguf: Path) -> None:
    engine = load_gguf(tiny_gguf)
    for settings, told in (
        ({"do_sample": True}, "do_sample=True: engine=llama_cpp takes the likeliest token only"),
        ({"do_sample": False, "repetition_penalty": 1.2}, "repetition_penalty=1.2: engine=llama"),
    ):
        with pytest.raises(SettingsError, match=told):
            generate(engine, sample_requests(engine, settings=settings))


def test_a_prompt_beyond_the_window_is_refused(tiny_gguf: Path) -> None:
    engine = load_gguf(tiny_gguf, max_length=40)
    assert engine.window == 40
    fits = GenerationRequest("fits", list(range(300, 330)), 10)
    assert len(generate(engine, [fits])[0]) <= 10
    with pytest.raises(ModelError, match=r"too long: prompt and answer take 41 tokens.*has 40"):
        generate(engine, [GenerationRequest("too long", list(range(300, 331)), 10)])
    with pytest.raises(ModelError, match="too long"):
        score(engine, [LikelihoodRequest("too long", list(range(300, 341)), ((5,),))])


def test_more_positions_than_one_piece(tiny_model: Path, tiny_gguf: Path) -> None:
    """Logits are wanted of the last tokens of two pieces of a prompt."""
    tokens = list(range(300, 330))
    request = LikelihoodRequest("long", tokens, ((*tokens[-11:], 7), (8,)))
    (pieces,) = score(load_gguf(tiny_gguf, n_ubatch=8), [request])
    (whole,) = score(in_transformers(tiny_model), [request])
    assert [value for value, _ in pieces] == pytest.approx([value for value, _ in whole], abs=1e-4)
